"""Requests that no client should send, as bytes: the same ones for the same seed."""

from __future__ import annotations

import copy
import gzip
import json
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

__all__ = ["KINDS", "request"]

_PATHS = (
    "/v1/event", "/v1/batch", "/v1/install", "/v1/track", "/v1/identify", "/v1/b", "/v1/m",
    "/v1/click?cid=cmp001", "/c/sale", "/v1/impression?cid=cmp001", "/v1/attributions/x/explain",
    "/v1/projects/x/settings", "/schemas/ids/1", "/subjects/x/versions/1", "/health/live",
)  # fmt: skip
_POSTS = _PATHS[:7]
_METHODS = (
    "GET",
    "POST",
    "PUT",
    "HEAD",
    "OPTIONS",
    "DELETE",
    "TRACE",
    "CONNECT",
    "post",
    "G\0T",
    "",
)
_EVENT = {
    "event": "view",
    "user_id": "u",
    "timestamp": "2025-07-10T12:00:00Z",
    "properties": {"price": 9.99, "tags": ["a", {"b": None}]},
    "context": {"app": {"version": "1"}, "screen": {"width": 1}, "consent": {"ads": True}},
    "referral": {"install_referrer": "utm_source=a&gclid=b"},
    "campaign": {"utm_source": "x"},
}
_ODD: tuple[object, ...] = (
    None, True, 0, -1, 1e308, 10**400, "", "\0", "\ud800", "x" * 5_000, [], {}, [[[]]], {"": None},
    {"a" * 300: 1}, "٣", "2025-13-99T99:99:99Z", -(10**18), "\u202e",
)  # fmt: skip
_HEADERS = (
    "Content-Type", "Content-Encoding", "Authorization", "X-Trackstream-Key", "Idempotency-Key",
    "X-Trackstream-Timestamp", "X-Trackstream-Nonce", "Cookie", "Origin", "User-Agent",
    "X-Forwarded-For", "Forwarded", "Accept-Language", "Expect", "Upgrade", "Connection", "Host",
    "Range", "Transfer-Encoding", "Content-Length", "Sec-Purpose", "If-None-Match",
)  # fmt: skip
_VALUES = (
    b"", b" ", b"HMAC", b"HMAC " + b"0" * 64, b"Basic !!!", b"Basic eDp5", b"Bearer x", b"\xff\xfe",
    b"application/json; charset=utf-16", b"application/json;;;=", b"gzip, gzip", b"br", b"deflate",
    b"chunked", b"chunked, identity", b"-1", b"0x10", b"99999999999999999999", b"100-continue",
    b"websocket", b"upgrade", b'for="[::1";;by', b"1.2.3.4, , x", b"null", b"trackstream_id=\x01",
    b"a" * 9_000, b"a" * 40_000, b"\x00", b"x\ry", b"bytes=0-", b"1752148800", b"prefetch",
)  # fmt: skip


def request(random: Random, write_key: str) -> tuple[str, bytes]:
    """A kind of malformation and a request that has it.

    Args:
        random: decides everything.
        write_key: of an app, so that some get beyond the door.
    """
    kind = random.choice(sorted(KINDS))
    return kind, KINDS[kind](random, write_key.encode())


def _post(random: Random, key: bytes, body: bytes, *headers: bytes) -> bytes:
    head = [
        b"POST %s HTTP/1.1" % random.choice(_POSTS).encode(),
        b"Host: localhost",
        b"Content-Length: %d" % len(body),
        *([b"X-Trackstream-Write-Key: " + key] if random.random() < 0.8 else []),
        *headers,
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def _json(random: Random) -> bytes:
    """An event or a batch with something odd somewhere."""
    event = json.loads(json.dumps(_EVENT))
    for _ in range(random.randint(0, 3)):
        place = event
        while True:
            name = random.choice([*place, "extra"])
            if isinstance(place.get(name), dict) and place[name] and random.random() < 0.7:
                place = place[name]
                continue
            place[name] = copy.deepcopy(random.choice(_ODD))
            break
    value = random.choice(
        [event, {"events": [event] * random.randint(0, 5)}, {"batch": [event, 1, None]}, [event], 7]
    )
    return json.dumps(value).encode()


def _broken(random: Random, body: bytes) -> bytes:
    """The bytes cut, with some changed, or put into what nobody finds the end of."""
    how = random.randrange(6)
    if how == 0:
        return body[: random.randrange(len(body))]
    if how == 1:
        changed = bytearray(body)
        for _ in range(random.randint(1, 8)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        return bytes(changed)
    if how == 2:
        return b"[" * random.choice([50, 5_000, 200_000])
    if how == 3:
        return b'{"a":' * random.choice([50, 5_000, 50_000]) + body
    if how == 4:
        return random.choice([b"", b"\0", b"\xef\xbb\xbf", b"NaN", b"1e999", b'"\\ud83d"', b"\xff"])
    return body + body


def _bodies(random: Random, key: bytes) -> bytes:
    body = _json(random)
    if random.random() < 0.5:
        body = _broken(random, body)
    return _post(random, key, body, b"Content-Type: application/json")


def _encodings(random: Random, key: bytes) -> bytes:
    body = _json(random)
    how = random.randrange(6)
    if how == 0:
        body = gzip.compress(body)[: random.randint(0, 60)]
    elif how == 1:  # some megabytes of zeros in some kilobytes
        body = gzip.compress(b" " * random.choice([10**5, 10**7]), 1)
    elif how == 2:
        body = zlib.compress(body)[2:]
    elif how == 3:
        body = gzip.compress(gzip.compress(body))
    elif how == 4:
        body = _broken(random, gzip.compress(body))
    name = random.choice(
        [b"gzip", b"deflate", b"GZIP", b"x-gzip", b"br", b"zstd", b"gzip, deflate"]
    )
    return _post(random, key, body, b"Content-Encoding: " + name)


def _headers(random: Random, key: bytes) -> bytes:
    lines = [
        random.choice(_HEADERS).encode() + b": " + random.choice(_VALUES)
        for _ in range(random.choice([1, 2, 3, 8, 200]))
    ]
    return _post(random, key, _json(random), *lines)


def _urls(random: Random, key: bytes) -> bytes:
    path = random.choice(_PATHS)
    how = random.randrange(6)
    if how == 0:
        path += "%" + random.choice(["", "0", "zz", "00", "ff", "C0%AF", "2e%2e%2f", "d8%00"])
    elif how == 1:
        path = random.choice(["", "*", "//", "/../../etc/passwd", "http://x/v1/event", "?", "/#"])
    elif how == 2:
        path += "&".join(["?", *(f"a{one}=%{one:02x}" for one in range(random.choice([9, 900])))])
    elif how == 3:
        path = "/c/" + "x" * random.choice([1_000, 9_000, 70_000])
    elif how == 4:
        path = "".join(chr(random.randrange(1, 256)) for _ in range(random.randint(1, 40)))
    else:
        path += "?write_key=" + key.decode() + random.choice(["", "&write_key=", "%00", ";", "=="])
    method = random.choice(_METHODS)
    text = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    return text.encode("latin-1", "replace")


def _sockets(random: Random, key: bytes) -> bytes:
    whole = _post(random, key, _json(random))
    head = b"POST /v1/event HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    sizes = [b"-1", b"1e3", b"", b"+5", b"99999999999999999999", b"5, 6", b"0x1"]
    chunks = [b"zz\r\n", b"-5\r\n", b"5\r\nab", b"ffffffffffffffff\r\nx", b"5;" * 999]
    return random.choice(
        [
            random.randbytes(random.randint(1, 2_000)),
            whole[: random.randrange(len(whole))],
            whole.replace(b"HTTP/1.1", random.choice([b"HTTP/9.9", b"HTTP/1.", b"", b"ICY"])),
            whole.replace(b"\r\n", random.choice([b"\n", b"\r", b"\r\n ", b"\r\n\r\n"])),
            whole.replace(b": ", random.choice([b"", b" : ", b":\0", b"=\t"])),
            whole.replace(b"-Length: ", b"-Length: " + random.choice(sizes), 1),
            head + b"\r\n" + random.choice(chunks),
            # Two ways to say how long it is: what smuggles requests through proxies.
            head + b"Content-Length: 3\r\n\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\n\r\n",
            whole * random.randint(2, 5),
        ]
    )


KINDS: dict[str, Callable[[Random, bytes], bytes]] = {
    "bodies": _bodies,
    "encodings": _encodings,
    "headers": _headers,
    "URLs": _urls,
    "sockets": _sockets,
}
"""What is wrong, and what makes it."""
