"""The closed list of reasons for which something is refused, and what each means to a caller."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["HTTP_STATUS", "Reason"]


class Reason(StrEnum):
    """Why something was refused.

    The same word stands in a problem document, in a verdict, on the `rejected` topic and in the
    metrics, so that a refusal can be followed from the caller to the counter.
    """

    MALFORMED_REQUEST = "malformed_request"
    UNKNOWN_ROUTE = "unknown_route"
    WRONG_METHOD = "wrong_method"
    EXPECTATION_FAILED = "expectation_failed"
    MALFORMED_BODY = "malformed_body"
    INVALID_ENCODING = "invalid_encoding"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    TOO_MANY_EVENTS = "too_many_events"
    EMPTY_BATCH = "empty_batch"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNAUTHENTICATED = "unauthenticated"
    BAD_SIGNATURE = "bad_signature"
    EXPIRED_SIGNATURE = "expired_signature"
    REPLAYED = "replayed"
    FORBIDDEN = "forbidden"
    UNKNOWN_APP = "unknown_app"
    UNKNOWN_LINK = "unknown_link"
    AMBIGUOUS_LINK = "ambiguous_link"
    EXPIRED_LINK = "expired_link"
    UNKNOWN_CONVERSION = "unknown_conversion"
    NOT_FOUND = "not_found"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    INVALID_VALUE = "invalid_value"
    NO_IDENTIFIER = "no_identifier"
    UNKNOWN_EVENT = "unknown_event"
    INVALID_PROPERTY = "invalid_property"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    EVENT_ID_TAKEN = "event_id_taken"
    BOT = "bot"
    """A robot's click or impression: it is led on all the same, and recorded as this only."""
    RATE_LIMITED = "rate_limited"
    UNREAD = "unread"
    """Answers that the client did not read: it is cut off, and told nothing."""
    UNAVAILABLE = "unavailable"
    SPOOLED_TOO_LONG = "spooled_too_long"
    UNDECODABLE = "undecodable"
    INTERNAL = "internal"


HTTP_STATUS: dict[Reason, int] = {
    Reason.MALFORMED_REQUEST: 400,
    Reason.UNKNOWN_ROUTE: 404,
    Reason.WRONG_METHOD: 405,
    Reason.EXPECTATION_FAILED: 417,
    Reason.MALFORMED_BODY: 400,
    Reason.INVALID_ENCODING: 400,
    Reason.TOO_DEEP: 400,
    Reason.TOO_LARGE: 413,
    Reason.TOO_MANY_EVENTS: 413,
    Reason.EMPTY_BATCH: 422,
    Reason.UNSUPPORTED_MEDIA_TYPE: 415,
    Reason.UNAUTHENTICATED: 401,
    Reason.BAD_SIGNATURE: 401,
    Reason.EXPIRED_SIGNATURE: 401,
    Reason.REPLAYED: 409,
    Reason.FORBIDDEN: 403,
    Reason.UNKNOWN_APP: 401,
    Reason.UNKNOWN_LINK: 404,
    Reason.AMBIGUOUS_LINK: 409,
    Reason.EXPIRED_LINK: 410,
    Reason.UNKNOWN_CONVERSION: 404,
    Reason.NOT_FOUND: 404,
    Reason.MISSING_FIELD: 422,
    Reason.WRONG_TYPE: 422,
    Reason.INVALID_VALUE: 422,
    Reason.NO_IDENTIFIER: 422,
    Reason.UNKNOWN_EVENT: 422,
    Reason.INVALID_PROPERTY: 422,
    Reason.TIMESTAMP_IN_FUTURE: 422,
    Reason.TIMESTAMP_OUT_OF_RANGE: 422,
    Reason.EVENT_ID_TAKEN: 409,
    Reason.BOT: 403,
    Reason.RATE_LIMITED: 429,
    Reason.UNREAD: 408,
    Reason.UNAVAILABLE: 503,
    Reason.SPOOLED_TOO_LONG: 503,
    Reason.UNDECODABLE: 422,
    Reason.INTERNAL: 500,
}
"""The HTTP status of each reason (RFC 9110); every reason has one, and a test keeps it so."""
