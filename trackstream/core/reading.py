"""One event to a `RawEvent`, as `core.validation` does, at a fraction of its cost for most events.

Nearly every event is as it should be. Here it is declared what that is, so that msgspec checks all
of it at once; an event that is otherwise in any way is given to validation, which reads it field by
field and says all that is wrong with it. What comes out is the same (a test compares them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec

from trackstream.core.contexts import MAX_PIXELS, MAX_URL_CHARS, sender_of
from trackstream.core.fields import Fields
from trackstream.core.identifiers import KNOWN_BAD, MAX_ID_CHARS
from trackstream.core.persons import ALIAS
from trackstream.core.reasons import Reason
from trackstream.core.records import Context, RawEvent
from trackstream.core.timestamps import check_range, parse_timestamp
from trackstream.core.validation import (
    MAX_NAME_CHARS,
    ParsedEvent,
    origin_of,
    parse_event,
    unknown_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.core.fields import Problem

__all__ = ["read_event"]

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)] | None
_Text64 = Annotated[str, msgspec.Meta(max_length=64)] | None
_Text128 = Annotated[str, msgspec.Meta(max_length=128)] | None
_Url = Annotated[str, msgspec.Meta(max_length=MAX_URL_CHARS)] | None
_Pixels = Annotated[int, msgspec.Meta(ge=0, le=MAX_PIXELS)] | None


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What nothing knows is kept elsewhere, so there must be nothing of it here."""


class _App(_Part, frozen=True):
    version: _Text128 = None


class _Os(_Part, frozen=True):
    name: _Text64 = None
    version: _Text64 = None


class _Device(_Part, frozen=True):
    model: _Text128 = None
    manufacturer: _Text128 = None
    type: _Text64 = None


class _Screen(_Part, frozen=True):
    width: _Pixels = None
    height: _Pixels = None


class _Page(_Part, frozen=True):
    url: _Url = None
    referrer: _Url = None
    title: Annotated[str, msgspec.Meta(max_length=2_048)] | None = None


class _Sdk(_Part, frozen=True):
    name: _Text128 = None
    version: _Text64 = None


class _Context(_Part, frozen=True):
    app: _App = _App()
    os: _Os = _Os()
    device: _Device = _Device()
    screen: _Screen = _Screen()
    page: _Page = _Page()
    sdk: _Sdk | Annotated[str, msgspec.Meta(max_length=200)] = _Sdk()
    locale: _Text64 = None
    timezone: _Text64 = None
    consent: Annotated[
        dict[Annotated[str, msgspec.Meta(max_length=64)], bool], msgspec.Meta(max_length=64)
    ] = {}
    ip: Any = None
    user_agent: Any = None


class _Event(_Part, frozen=True):
    event: Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)] | None = None
    timestamp: Any = None
    sent_at: Any = None
    event_id: _Id = None
    session_id: _Id = None
    user_id: _Id = None
    device_id: _Id = None
    cookie_id: _Id = None
    gaid: _Id = None
    idfa: _Id = None
    idfv: _Id = None
    properties: dict[str, Any] | None = None
    context: _Context | None = None
    app_id: Any = None
    campaign: Any = None
    referral: Any = None


def read_event(
    value: object,
    *,
    received_at_ms: int,
    sent_at_ms: int | None,
    new_id: Callable[[], str],
    default_name: str | None = None,
    default_cookie_id: str | None = None,
) -> ParsedEvent | tuple[Problem, ...]:
    """The event, or every problem of it, as `validation.parse_event` has them."""
    plain = _plain_event(
        value,
        received_at_ms=received_at_ms,
        sent_at_ms=sent_at_ms,
        new_id=new_id,
        default_name=default_name,
        default_cookie_id=default_cookie_id,
    )
    if plain is not None:
        return plain
    return parse_event(
        value,
        received_at_ms=received_at_ms,
        sent_at_ms=sent_at_ms,
        new_id=new_id,
        default_name=default_name,
        default_cookie_id=default_cookie_id,
    )


def _plain_event(
    value: object,
    *,
    received_at_ms: int,
    sent_at_ms: int | None,
    new_id: Callable[[], str],
    default_name: str | None,
    default_cookie_id: str | None,
) -> ParsedEvent | None:
    """The event; None if there is anything unusual in it."""
    try:
        given = msgspec.convert(value, _Event)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the latter by a lone surrogate
        return None
    written = given.event or default_name or ""
    name = written.strip()
    if not written.isprintable() or name in {"", ALIAS} or not _says_who(given, default_cookie_id):
        return None
    times = _plain_times(given, received_at_ms=received_at_ms, sent_at_ms=sent_at_ms)
    problems: list[Problem] = []
    fields = Fields(cast("dict[str, Any]", value), problems)
    properties = fields.json("properties", given.properties) if given.properties else "{}"
    context = campaign = referral = ip = user_agent = None
    stated = given.context
    if stated is not None:
        context = _plain_context(stated)
        if context is None:
            return None
        if stated.ip is not None or stated.user_agent is not None:
            ip, user_agent = sender_of(fields.object("context"))
    is_queried = context is not None and context.page_url and "?" in context.page_url
    if is_queried or given.campaign is not None or given.referral is not None:
        if unknown_of(fields):
            return None
        campaign, referral = origin_of(fields, context)
    if problems or times is None:
        return None
    timestamp_ms, sent_at_ms = times
    return ParsedEvent(
        event=RawEvent(
            event_id=given.event_id or new_id(),
            event=name,
            timestamp_ms=timestamp_ms,
            user_id=given.user_id,
            device_id=given.device_id,
            cookie_id=given.cookie_id or default_cookie_id,
            gaid=given.gaid,
            idfa=given.idfa,
            idfv=given.idfv,
            session_id=given.session_id,
            properties=properties,
            campaign=campaign,
            context=context,
            referral=referral,
        ),
        sent_at_ms=sent_at_ms,
        ip=ip,
        user_agent=user_agent,
    )


def _says_who(given: _Event, default_cookie_id: str | None) -> bool:
    """Whether its ids identify someone, and hold nothing to be taken out or refused."""
    cookie_id = given.cookie_id or default_cookie_id
    who = (given.user_id, given.device_id, cookie_id, given.gaid, given.idfa, given.idfv)
    ids = [*filter(None, who)]
    written = "".join([*ids, given.event_id or "", given.session_id or ""])
    return (
        len(ids) > 0
        and written.isprintable()
        and " " not in written
        and KNOWN_BAD.isdisjoint(map(str.lower, ids))
    )


def _plain_times(
    given: _Event, *, received_at_ms: int, sent_at_ms: int | None
) -> tuple[int, int | None] | None:
    """When it happened and when it was sent; None if the one or the other cannot be."""
    sent = sent_at_ms if given.sent_at is None else parse_timestamp(given.sent_at)
    at = parse_timestamp(given.timestamp)
    if isinstance(sent, Reason) or isinstance(at, Reason):
        return None
    corrected_ms = at if sent is None else at + received_at_ms - sent
    if check_range(corrected_ms, received_at_ms=received_at_ms) is not None:
        return None
    return at, sent


def _plain_context(stated: _Context) -> Context | None:
    app, os, device, screen, page = (
        stated.app, stated.os, stated.device, stated.screen, stated.page,
    )  # fmt: skip
    sdk = stated.sdk
    if not isinstance(sdk, str):
        sdk = "/".join(filter(None, (sdk.name, sdk.version)))
    context = Context(
        app_version=app.version or None,
        os_name=os.name or None,
        os_version=os.version or None,
        device_model=device.model or None,
        device_manufacturer=device.manufacturer or None,
        device_type=device.type or None,
        locale=stated.locale or None,
        timezone=stated.timezone or None,
        screen_width=screen.width,
        screen_height=screen.height,
        page_url=page.url or None,
        page_referrer=page.referrer or None,
        page_title=page.title or None,
        sdk=sdk or None,
        consent=stated.consent,
    )
    texts = [one for one in msgspec.structs.astuple(context) if type(one) is str]
    return context if "".join([*texts, *stated.consent]).isprintable() else None
