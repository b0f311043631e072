"""One request, over real sockets: what it is, what became of it, and where it never goes."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver
from standardwebhooks.webhooks import Webhook

from tests.waiting import PATIENCE_S
from trackstream.core.postbacks.destinations import Request
from trackstream.core.postbacks.webhooks import secret_text
from trackstream.postbacks.client import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp.abc import ResolveResult

    from tests.postbacks.receiver import Receiver
    from trackstream.core.postbacks.outcomes import Outcome

SECRET = secret_text(bytes(range(32)))


class Rebinding(AbstractResolver):
    """Every name is at 127.0.0.1, whatever it was before."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return await ThreadedResolver().resolve("127.0.0.1", port, family)

    async def close(self) -> None:
        pass


async def send(url: str, *, method: str = "GET", body: str | None = None, **other: Any) -> Outcome:
    options: dict[str, Any] = {"allow_private": True, "timeout_s": PATIENCE_S, **other}
    async with Client(**options) as client:
        request = Request(method=method, url=url, body=body)
        return await client.send(
            request, postback_id="pb_1", secret=SECRET if body is not None else None
        )


@asynccontextmanager
async def served(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A raw server's URL; at the end, its connections are over."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await handle(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(one(reader, writer)))

    async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
        await asyncio.gather(*tasks)


async def test_a_get_goes_out_as_it_is(receiver: Receiver) -> None:
    outcome = await send(f"{receiver.url}/a%2Fb/%7E?x=%26%3D&y=%C3%A4&z=")
    assert outcome.kind == "delivered"
    (one,) = receiver.received
    assert (one.method, one.path, one.body) == ("GET", "/a%2Fb/%7E?x=%26%3D&y=%C3%A4&z=", "")
    assert one.headers["webhook-id"] == "pb_1"
    assert one.headers["user-agent"].startswith("trackstream/")
    assert "webhook-signature" not in one.headers


async def test_a_signed_body_is_verified_by_the_specifications_library(receiver: Receiver) -> None:
    body = '{"who": "Jürgen \\" 👋"}'
    assert (await send(receiver.url, method="POST", body=body)).kind == "delivered"
    (one,) = receiver.received
    assert one.headers["content-type"] == "application/json"
    assert Webhook(SECRET).verify(one.body, one.headers) == {"who": 'Jürgen " 👋'}


@pytest.mark.parametrize(
    ("status", "headers", "kind", "says"),
    [
        (404, {}, "refused", "HTTP 404: no thanks"),
        (302, {"Location": "/elsewhere"}, "refused", "redirects are not followed"),
        (503, {"Retry-After": "7"}, "retry", "HTTP 503"),
    ],
)
async def test_an_answer_is_told_in_its_words(
    receiver: Receiver, status: int, headers: dict[str, str], kind: str, says: str
) -> None:
    receiver.statuses = [(status, headers)]
    outcome = await send(receiver.url)
    assert outcome.kind == kind
    assert says in outcome.reason
    assert outcome.retry_after_ms == (7000 if headers.get("Retry-After") else None)
    assert len(receiver.received) == 1


async def test_no_connection_is_worth_another_try() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        outcome = await send(f"http://127.0.0.1:{free.getsockname()[1]}/")
    assert outcome.kind == "retry"
    assert "not sent" in outcome.reason


async def test_a_receiver_that_says_nothing_leaves_it_uncertain() -> None:
    heard = asyncio.Queue[bytes]()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.readline())
        await reader.read()

    async with served(listen) as url:
        outcome = await send(url, timeout_s=2.0)
    assert (outcome.kind, outcome.reason) == ("uncertain", "no answer to the request: timeout")
    assert heard.qsize() == 1


@pytest.mark.parametrize("body", [None, "{}"])
async def test_a_connection_that_breaks_is_not_tried_again_by_the_library(body: str | None) -> None:
    heard: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))

    async with served(hang_up) as url:
        outcome = await send(url, method="POST" if body else "GET", body=body)
        await asyncio.sleep(0.1)
    assert outcome.kind == "uncertain"
    assert len(heard) == 1


async def test_a_large_answer_is_not_read() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
            await writer.drain()

    async with served(endless) as url, asyncio.timeout(PATIENCE_S):
        outcome = await send(url)
    assert outcome.kind == "refused"
    assert len(outcome.reason) < 300


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_loopback_is_refused_by_default(receiver: Receiver, host: str) -> None:
    port = receiver.url.rpartition(":")[2]
    outcome = await send(f"http://{host}:{port}/", allow_private=False)
    assert outcome.kind == "refused"
    assert "TRACKSTREAM_POSTBACKS_ALLOW_PRIVATE" in outcome.reason
    assert not receiver.received


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001", "0177.0.0.1"])
async def test_odd_spellings_of_loopback_do_not_get_there(receiver: Receiver, host: str) -> None:
    port = receiver.url.rpartition(":")[2]
    outcome = await send(f"http://{host}:{port}/", allow_private=False)
    assert outcome.kind in {"refused", "retry"}
    assert not receiver.received


async def test_a_name_that_was_bound_anew_is_refused(receiver: Receiver) -> None:
    port = receiver.url.rpartition(":")[2]
    url = f"http://acme.example:{port}/"
    refused = await send(url, allow_private=False, resolver=Rebinding())
    assert refused.kind == "refused"
    assert "127.0.0.1 is not a public address" in refused.reason
    assert not receiver.received
    assert (await send(url, resolver=Rebinding())).kind == "delivered"
