"""A request's body: read, inflated and parsed, never beyond its bounds."""

from __future__ import annotations

import asyncio
import re
import zlib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from aiohttp import ClientPayloadError, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from trackstream.core.reasons import Reason
from trackstream.http.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import StreamReader

__all__ = ["inflate", "media_refusal", "parse_json", "read_body", "written_key"]

T = TypeVar("T")

_TIMEOUT_S = 30

_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
_WINDOWS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW_DEFLATE)}
_MOST_MEMBERS = 32
"""Of a gzip body; after each of them zlib copies the rest."""
_MOST_CONTAINERS = 200_000
"""Arrays and objects of a document: 200 for each of a thousand events."""
_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_HALF = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""A surrogate's escape on its own, where every backslash begins an escape."""


class _Keyed(msgspec.Struct):
    """As much of a body as says whose it is: the rest is not made into objects."""

    write_key: msgspec.Raw = msgspec.field(name="writeKey", default=msgspec.Raw(b"null"))


async def read_body(
    request: web.Request, max_bytes: int, *, timeout_s: float = _TIMEOUT_S
) -> bytes | Refusal:
    """The body as sent. Reads nothing of one that says itself that it is too large."""
    if (request.content_length or 0) > max_bytes:
        return _too_large(max_bytes)
    content = request.content
    try:
        if content.is_eof():  # all of a small body has usually come with its head
            body = content.read_nowait(-1)
        else:
            async with asyncio.timeout(timeout_s):
                body = await _read_slowly(content, max_bytes)
    except TimeoutError:
        return Refusal(Reason.MALFORMED_BODY, f"the body did not come within {timeout_s:g} s")
    except (ClientPayloadError, web.RequestPayloadError, HttpProcessingError) as error:
        return Refusal(Reason.MALFORMED_BODY, f"the body is broken: {error}")
    except ConnectionError:  # nobody will read the answer
        return Refusal(Reason.MALFORMED_BODY, "the connection ended before the body")
    return body if len(body) <= max_bytes else _too_large(max_bytes)


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(Reason.TOO_LARGE, f"the body is larger than {max_bytes} bytes")


async def _read_slowly(content: StreamReader, max_bytes: int) -> bytes:
    """The body, or more of it than it may have."""
    parts: list[bytes] = []
    size = 0
    while part := await content.readany():
        size += len(part)
        parts.append(part)
        if size > max_bytes:
            break
    return b"".join(parts)


def media_refusal(request: web.Request) -> Refusal | None:
    """Whether the body claims to be something else than JSON in UTF-8.

    `text/plain` is taken for JSON: it is what `navigator.sendBeacon` sends without a preflight.
    """
    value = request.headers.get(hdrs.CONTENT_TYPE)
    if value is None or value == "application/json":
        return None
    media_type = request.content_type
    known = media_type in {"application/json", "text/plain"} or media_type.endswith("+json")
    if not known or (request.charset or "utf-8").lower() not in {"utf-8", "utf8", "us-ascii"}:
        return Refusal(
            Reason.UNSUPPORTED_MEDIA_TYPE, "the body has to be application/json in UTF-8"
        )
    return None


def inflate(body: bytes, encoding: str, max_bytes: int) -> bytes | Refusal:
    """The body without its Content-Encoding (RFC 9110, section 8.4.1); stops at the bound.

    A body that a server before us has inflated already, and left its header on, is taken as it is.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return body
    if name not in _WINDOWS:
        return Refusal(
            Reason.UNSUPPORTED_MEDIA_TYPE, "the Content-Encoding has to be gzip or deflate"
        )
    for window in _WINDOWS[name]:
        found = _inflate(body, window, max_bytes)
        if found is not None and len(found) > max_bytes:
            return Refusal(Reason.TOO_LARGE, f"the body inflates to more than {max_bytes} bytes")
        if found is not None:
            return found
    if body.lstrip()[:1] in {b"{", b"["}:
        return body
    return Refusal(Reason.MALFORMED_BODY, f"the body is not {name}, or not all of it")


def _inflate(body: bytes, window: int, max_bytes: int) -> bytes | None:
    """At most `max_bytes` + 1 bytes; None when this is not it. Gzip may come in several members."""
    parts: list[bytes] = []
    room = max_bytes + 1
    try:
        while body and room > 0:
            if len(parts) == _MOST_MEMBERS:
                return None
            inflater = zlib.decompressobj(window)
            part = inflater.decompress(body, room)
            parts.append(part)
            room -= len(part)
            if not inflater.eof and room > 0:
                return None
            body = inflater.unused_data if window == _GZIP else b""
    except zlib.error:
        return None
    return b"".join(parts)


def parse_json(body: bytes) -> Any:
    """The JSON value, or a `Refusal`.

    Arrays and objects are counted before any is made, those in texts included: each costs a hundred
    bytes and the garbage collector's time, and is sent as three.
    """
    is_long = len(body) > _MOST_CONTAINERS
    if is_long and body.count(b"[") + body.count(b"{") > _MOST_CONTAINERS:
        return Refusal(
            Reason.TOO_LARGE, f"the JSON has more than {_MOST_CONTAINERS} arrays and objects"
        )
    body = body.removeprefix(_BOM)
    try:
        return _decoded(_JSON.decode, body)
    except RecursionError:
        return Refusal(Reason.TOO_DEEP, "the JSON is nested too deep")
    except UnicodeDecodeError as error:
        return Refusal(Reason.INVALID_ENCODING, f"the body is not UTF-8: {error.reason}")
    except msgspec.MsgspecError as error:
        return Refusal(Reason.MALFORMED_BODY, f"the body is not JSON: {error}")


def written_key(body: bytes) -> str | None:
    """The text that a JSON object has as `writeKey`, wherever; makes no objects of the rest."""
    try:
        found = _decoded(_KEYED.decode, body.removeprefix(_BOM)).write_key
        key = msgspec.json.decode(found)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return key if isinstance(key, str) else None


_JSON, _KEYED = msgspec.json.Decoder(), msgspec.json.Decoder(_Keyed)


def _decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    """What `decode` makes of it, U+FFFD in the place of a surrogate's escape on its own.

    JavaScript writes half an emoji so, where a text was cut, and msgspec refuses it.
    """
    try:
        return decode(body)
    except msgspec.MsgspecError:
        if not _SURROGATE.search(body) or b"\0" in body:
            raise
    # NUL is in no JSON: it keeps the place of escaped backslashes
    whole = _HALF.sub(rb"\\ufffd", body.replace(rb"\\", b"\0\0"))
    return decode(whole.replace(b"\0\0", rb"\\"))
