"""An answer that is written at once is the same, byte for byte, as aiohttp's own response.

But for its `Server`, which is the same in all of ours.
"""

from __future__ import annotations

import asyncio
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tests.http.doors import door, told
from trackstream.http.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.storage.user_agents import UaParser

LAST = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"",
]
KINDS: list[tuple[int, dict[str, str], bytes]] = [
    (302, {"Cache-Control": "no-store", "Location": "https://a.example/?b=c"}, b""),
    (201, {"Content-Type": "application/json"}, b'{"a":1}'),
    (200, {"Content-Type": "image/gif", "X-Name": "Zo\u00eb"}, b"GIF" * 3_000),
    (302, {"Location": "https://a.example/\r\nSet-Cookie: a=b"}, b""),
    (200, {}, b""),
]


def _as_it_is(_: web.Response) -> None:
    pass


def _changed(response: web.Response) -> None:
    response.headers["Vary"] = "Origin"


def _last(response: web.Response) -> None:
    response.force_close()


async def answered(request: bytes, make: Callable[[], web.Response]) -> bytes:
    """What is answered to it and to the request after it, without dates."""

    async def handle(seen: web.BaseRequest) -> web.Response:
        response = make()
        if isinstance(response, Answer) and seen.method != "HEAD":
            response.hurry()
        return response

    server = web.Server(handle, access_log=None)
    listener = socket.create_server(("127.0.0.1", 0))
    serving = await asyncio.get_running_loop().create_server(server, sock=listener)
    try:
        text = await told(listener.getsockname()[1], request + LAST)
    finally:
        serving.close()
        await server.shutdown(1)
    text = re.sub(rb"Date: [^\r]{29}\r\n", b"Date\r\n", text)
    return re.sub(rb"Server: [^\r]+\r\n", b"", text)  # only ours says so little


@pytest.mark.parametrize("change", [_as_it_is, _changed, _last])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("request_", REQUESTS)
async def test_both_are_the_same(
    request_: bytes, kind: tuple[int, dict[str, str], bytes], change: Callable[[Any], None]
) -> None:
    status, headers, body = kind

    def at_once() -> web.Response:
        response = Answer(status, headers, body)
        change(response)
        return response

    def usual() -> web.Response:
        response = web.Response(status=status, headers=headers, body=body)
        change(response)
        return response

    assert await answered(request_, at_once) == await answered(request_, usual)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /c/sale HTTP/1.1\r\nHost: h\r\n\r\n", 302),
        (b"GET /c/sale HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", 302),
        (b"HEAD /health/live HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        (b"GET /none HTTP/1.1\r\nHost: h\r\n\r\n", 404),
        (b"GET /health/live HTTP/1.1\r\nHost: h\r\nExpect: luck\r\n\r\n", 417),
        (b"NO HTTP\r\n\r\n", 400),
    ],
)
async def test_no_answer_names_what_it_is_made_with(
    user_agents: UaParser, request_: bytes, status: int
) -> None:
    async with door(user_agents) as port:
        answer = await told(port, request_ + LAST)
    assert int(answer.split()[1]) == status
    heads = re.findall(rb"(?:^|\n|\})HTTP/1\.[01] ", answer)
    assert answer.count(b"\r\nServer: trackstream\r\n") == len(heads) > 0
    assert b"aiohttp" not in answer


async def test_it_is_an_ordinary_response_to_whoever_looks() -> None:
    answer = Answer(302, {"Location": "https://a.example/"})
    answer.hurry()
    answer.headers["Location"] = "https://b.example/"
    assert (answer.status, dict(answer.headers)) == (302, {"Location": "https://b.example/"})
    assert answer.keep_alive is None


async def test_it_is_written_at_once_where_nothing_is_unusual() -> None:
    made: list[Answer] = []

    def make() -> web.Response:
        made.append(Answer(302, {"Location": "https://a.example/"}))
        return made[-1]

    await answered(REQUESTS[0], make)
    at_once, last = made
    assert not at_once.prepared, "aiohttp prepared it"
    assert last.prepared, "the connection ended after it"
