"""Who sends a request that comes through proxies.

Headers are claims: they are believed as far as trusted proxies have written them. A proxy adds the
address of its own peer at the right, so the client is the right-most address that is not a trusted
proxy's; what is left of it anyone may have made up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from trackstream.core.reasons import Reason
from trackstream.http.hosts import is_host
from trackstream.http.networks import address_of
from trackstream.http.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

    from trackstream.http.networks import Networks

__all__ = ["Origin", "origin_of"]

_PAIR = re.compile(
    r"""[!#$%&'*+.^_`|~\w-]+=(?:"(?:[^"\\]|\\.)*"|[!#$%&'*+.^_`|~\w:\[\]-]*)""", re.ASCII
)
"""A parameter; values need no quotes here, which some proxies leave out around a port."""
_ELEMENT = re.compile(rf"(?:{_PAIR.pattern})?(?:\s*+;\s*+(?:{_PAIR.pattern})?)*", re.ASCII)
_ESCAPED = re.compile(r"\\(.)")
_HIDDEN = re.compile(r"(?:unknown|_[A-Za-z0-9._-]+)(?::[A-Za-z0-9._-]{1,16})?", re.IGNORECASE)
"""How a proxy says that it does not tell (RFC 7239, section 6)."""


class Origin(NamedTuple):
    """A client, and the scheme and host that it asked for; None: as of the connection."""

    address: str
    scheme: str | None = None
    host: str | None = None


def origin_of(request: web.Request, *, trusted: Networks, header: str) -> Origin | Refusal | None:
    """Whom the proxies in front say that they forward; None if the peer is not one of them.

    Where a proxy of ours says nothing, or that it does not tell, the client is that proxy. What is
    malformed where a proxy of ours should have written is refused: whoever can bring that about
    would else be taken for the proxy. Left of it anything may stand.

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
        if _HIDDEN.fullmatch(hop):
            break
        found = _node(hop)
        if found is None:
            return _malformed("X-Forwarded-For")
        address = found
        if address not in trusted:
            break
    return Origin(
        address,
        _scheme(next(_listed(request, "X-Forwarded-Proto"), None)),
        _host(next(_listed(request, "X-Forwarded-Host"), None)),
    )


def _forwarded(request: web.Request, peer: str, trusted: Networks) -> Origin | Refusal:
    origin = Origin(peer)
    for text in _elements(request.headers.getall("Forwarded", [])):
        hop = _parameters(text)
        if hop is None:
            return _malformed("Forwarded")
        node = hop.get("for")
        if node is None or _HIDDEN.fullmatch(node):
            break
        found = _node(node)
        if found is None:
            return _malformed("Forwarded")
        origin = Origin(found, _scheme(hop.get("proto")), _host(hop.get("host")))
        if found not in trusted:
            break
    return origin


def _malformed(name: str) -> Refusal:
    return Refusal(Reason.MALFORMED_REQUEST, f"what a proxy has put into {name} cannot be read")


def _elements(values: list[str]) -> Iterator[str]:
    """The elements of `Forwarded`, the last first; empty ones are none (RFC 9110, 5.6.1.2).

    They are parted from the right. A quotation mark that begins a string follows a `=` and so no
    backslash, so what proxies have written is parted rightly whatever stands left of it.
    """
    for value in reversed(values):
        end = position = len(value)
        while position > 0:
            position -= 1
            if value[position] == '"':
                position = _opening(value, position)
            elif value[position] == ",":
                if value[position + 1 : end].strip():
                    yield value[position + 1 : end]
                end = position
        if value[:end].strip():
            yield value[:end]


def _opening(value: str, closing: int) -> int:
    """Where the string begins that ends there; 0 if nowhere."""
    position = closing
    while (position := value.rfind('"', 0, position)) > 0:
        before = value[:position]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return position
    return 0


def _parameters(element: str) -> dict[str, str] | None:
    """What an element says, by names in lower case; None if it is malformed.

    Source: RFC 7239, section 4.
    """
    if not _ELEMENT.fullmatch(element.strip()):
        return None
    found: dict[str, str] = {}
    for match in _PAIR.finditer(element):
        name, _, value = match[0].partition("=")
        if name.lower() in found:
            return None
        quoted = value.startswith('"')
        found[name.lower()] = _ESCAPED.sub(r"\1", value[1:-1]) if quoted else value
    return found


def _listed(request: web.Request, name: str) -> Iterator[str]:
    """The items of a header, the last first; empty ones are none."""
    for value in reversed(request.headers.getall(name, [])):
        for item in reversed(value.split(",")):
            if item.strip():
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
    return text if text is not None and is_host(text) else None
