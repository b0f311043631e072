"""Who sends a request that comes through proxies.

Headers are claims: they are believed as far as trusted proxies have written them. A proxy adds the
address of its own peer at the right, so the client is the right-most address that is not a trusted
proxy's; what is left of it anyone may have made up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from trackstream.http.networks import address_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

    from trackstream.http.networks import Networks

__all__ = ["Origin", "origin_of"]

_PAIR = re.compile(r'\s*([!#$%&\'*+.^_`|~\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*(;|,|$)')
_ESCAPED = re.compile(r"\\(.)")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")


class Origin(NamedTuple):
    """A client, and the scheme and host that it asked for; None: as of the connection."""

    address: str
    scheme: str | None = None
    host: str | None = None


def origin_of(request: web.Request, *, trusted: Networks, header: str) -> Origin | None:
    """Whom the proxies in front say that they forward; None if the peer is not one of them.

    Args:
        request: the request.
        trusted: the proxies.
        header: `forwarded` (RFC 7239) or `x-forwarded-for`, with X-Forwarded-Proto and -Host.
    """
    peer = address_of(request.remote or "")
    if peer is None or peer not in trusted:
        return None
    if header == "forwarded":
        return _forwarded(request, peer, trusted)
    address = peer
    for hop in _listed(request, "X-Forwarded-For"):
        found = _node(hop)
        if found is None:
            break
        address = found
        if address not in trusted:
            break
    return Origin(
        address,
        _scheme(next(_listed(request, "X-Forwarded-Proto"), None)),
        _host(next(_listed(request, "X-Forwarded-Host"), None)),
    )


def _forwarded(request: web.Request, peer: str, trusted: Networks) -> Origin:
    origin = Origin(peer)
    for hop in reversed(_elements(", ".join(request.headers.getall("Forwarded", [])))):
        found = _node(hop.get("for", ""))
        if found is None:
            break
        origin = Origin(found, _scheme(hop.get("proto")), _host(hop.get("host")))
        if found not in trusted:
            break
    return origin


def _elements(value: str) -> list[dict[str, str]]:
    """The elements of `Forwarded`, from left to right; from what is malformed on, nothing.

    Source: RFC 7239, section 4. Malformed text is as good as none: only its right end is trusted,
    and that a proxy wrote.
    """
    elements: list[dict[str, str]] = [{}]
    position = 0
    while position < len(value):
        match = _PAIR.match(value, position)
        if match is None:
            return []
        quoted, plain = match[2], match[3]
        elements[-1][match[1].lower()] = _ESCAPED.sub(r"\1", quoted) if plain is None else plain
        if match[4] == ",":
            elements.append({})
        position = match.end()
    return elements


def _listed(request: web.Request, name: str) -> Iterator[str]:
    """The items of a header, the last first."""
    for value in reversed(request.headers.getall(name, [])):
        for item in reversed(value.split(",")):
            yield item.strip()


def _node(text: str) -> str | None:
    """The address of `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`."""
    if text.startswith("["):
        return address_of(text[1:].partition("]")[0])
    return address_of(text.partition(":")[0] if text.count(":") == 1 else text)


def _scheme(text: str | None) -> str | None:
    scheme = (text or "").lower()
    return scheme if scheme in {"http", "https"} else None


def _host(text: str | None) -> str | None:
    return text if text is not None and _HOST.fullmatch(text) else None
