r"""Lines of a web server's access log in combined format, parsed without guessing.

Source: Apache HTTP Server, mod_log_config, `%h %l %u %t "%r" %>s %b "%{Referer}i"
"%{User-agent}i"`; nginx writes the same as its format `combined`. Both escape `"`, `\` and what
is not printable inside the quotes (`\"`, `\x22`, `\n`). Further fields at the end are let be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

__all__ = ["MalformedLineError", "Request", "parse"]

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_HEAD = re.compile(r"(\S+) (\S+) (.*?) \[([^\]]*)\] ")
_REST = re.compile(rf"{_QUOTED} (\d{{3}}) (\d+|-) {_QUOTED} {_QUOTED}(?: .*)?\Z")
_TIME = re.compile(r"(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)", re.ASCII)
_REQUEST = re.compile(r"([A-Z][A-Z_-]*) (\S.*?)(?: (HTTP/\d(?:\.\d)?))?\Z", re.ASCII)
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_NAMED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"v": b"\v"}


class MalformedLineError(ValueError):
    """The line is not in combined format; the message says which part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that a web server has logged; None where the log has `-` or nothing."""

    host: str
    """The client's address, or its name if the server looks names up."""
    user: str | None
    at_ms: int
    method: str | None
    """None when what the client sent was not an HTTP request line."""
    target: str | None
    """What was asked for: a path with its query, or all of a line that was not HTTP."""
    status: int
    size_bytes: int | None
    referrer: str | None
    user_agent: str | None


def parse(line: str) -> Request:
    """The request in this line, which has no line end.

    Raises:
        MalformedLineError: it is not in combined format.
    """
    head = _HEAD.match(line)
    if head is None:
        raise MalformedLineError("does not begin with address, user and [time]")
    rest = _REST.match(line, head.end())
    if rest is None:
        raise MalformedLineError('no "request" status bytes "referrer" "user agent" after the time')
    request, status, size, referrer, user_agent = rest.groups()
    method, target = _request_line(_unescaped(request))
    return Request(
        host=head[1],
        user=_given(head[3]),
        at_ms=_epoch_ms(head[4]),
        method=method,
        target=target,
        status=int(status),
        size_bytes=None if size == "-" else int(size),
        referrer=_given(_unescaped(referrer)),
        user_agent=_given(_unescaped(user_agent)),
    )


def _given(text: str) -> str | None:
    return None if text in {"", "-"} else text


def _request_line(text: str) -> tuple[str | None, str | None]:
    found = _REQUEST.match(text)
    return (found[1], found[2]) if found else (None, _given(text))


def _epoch_ms(text: str) -> int:
    found = _TIME.fullmatch(text)
    month = _MONTHS.get(found[2]) if found else None
    if found is None or month is None:
        raise MalformedLineError(f"no time of the form 17/May/2015:10:05:03 +0000: {text!r}")
    day, _, year, hour, minute, second, sign, zone_h, zone_m = found.groups()
    offset = timedelta(hours=int(zone_h), minutes=int(zone_m))
    try:
        # A leap second is the last one of its minute.
        at = datetime(
            int(year),
            month,
            int(day),
            int(hour),
            int(minute),
            min(int(second), 59),
            tzinfo=timezone(-offset if sign == "-" else offset),
        ).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise MalformedLineError(f"no such time: {text!r}") from error
    return int(at.timestamp()) * 1000


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(_meant, text.encode()).decode(errors="replace")


def _meant(escape: re.Match[bytes]) -> bytes:
    what = escape[1]
    if len(what) == 3:
        # PostgreSQL's text cannot hold a NUL: it stays as it was written.
        return escape[0] if what == b"x00" else bytes([int(what[1:], 16)])
    return _NAMED.get(what, what)
