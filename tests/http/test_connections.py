"""Connections: how many, how slow, and what becomes of them at the end."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.http.served import client_of, event, post, running, until_ready
from tests.waiting import PATIENCE_S
from trackstream.core.signing import signed_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trackstream.ports import Key
    from trackstream.settings import Settings

pytestmark = pytest.mark.xdist_group("collector")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(settings: Settings) -> Streams:
    return await asyncio.open_connection("127.0.0.1", settings.collector_port)


async def asked(streams: Streams, request: bytes) -> bytes:
    """What a connection answers until it ends."""
    reader, writer = streams
    writer.write(request)
    async with asyncio.timeout(PATIENCE_S):
        answer = await reader.read()
    await ended(writer)
    return answer


def problem(answer: bytes) -> dict[str, object]:
    """The problem document of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nContent-Type: application/problem+json\r\n" in head, answer
    document: dict[str, object] = json.loads(body)
    assert document["status"] == int(head.split()[1])
    return document


async def ended(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def test_too_many_and_too_slow_connections_are_ended(settings: Settings, key: Key) -> None:
    settings = replace(settings, max_connections=3, idle_timeout_s=6, body_timeout_s=1)
    ask = b"GET /health/live HTTP/1.1\r\nHost: a\r\n"
    with running(settings):
        async with client_of(settings) as session:
            await until_ready(session)
            assert await post(session, key, "/v1/event", event("u")) == 201

        await asyncio.sleep(1)  # until the session's own connection counts no more
        held = [await connect(settings) for _ in range(3)]
        busy = b""
        async with asyncio.timeout(PATIENCE_S):  # the server may not have looked at all three yet
            while not busy.startswith(b"HTTP/1.1 503 "):
                busy = await asked(await connect(settings), ask + b"Connection: close\r\n\r\n")
        assert b"\r\nRetry-After: 5\r\n" in busy
        assert b"too many connections" in busy

        began_s = time.monotonic()
        for _, writer in held[1:]:
            writer.write(ask)  # the head never ends
        assert [await asked(one, b"") for one in held] == [b"", b"", b""]
        assert 0.2 < time.monotonic() - began_s < PATIENCE_S / 2

        many = b"".join(b"X-%d: 1\r\n" % number for number in range(300))
        for status, headers in ((b"400", many), (b"431", b"X: " + b"x" * 20_000 + b"\r\n")):
            answer = await asked(await connect(settings), ask + headers + b"\r\n")
            assert answer.splitlines()[0].split()[1] == status
            assert problem(answer)["reason"] == "malformed_request"
        given_up = await connect(settings)
        given_up[1].write(b"POST /v1/event HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{")
        async with asyncio.timeout(PATIENCE_S):
            assert (await given_up[0].readline()).startswith(b"HTTP/1.1 400 ")
        await ended(given_up[1])


async def test_what_aiohttp_would_answer_is_a_problem_with_a_reason(
    settings: Settings, key: Key
) -> None:
    none, event = (b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", b"/v1/event")
    asks = [
        (none % b"", 404, "unknown_route"),
        (none.replace(b"/none", event) % b"", 405, "wrong_method"),
        (none % b"Expect: \xff\xfe\r\n", 417, "expectation_failed"),
        (none % b"Expect: luck\r\n", 417, "expectation_failed"),
        (none.replace(b"/none", event) % b"Expect: luck\r\n", 417, "expectation_failed"),
        (none % b"Expect: 100-continue\r\n", 100, None),
        (none % b"Content-Length: 1\r\nContent-Length: 2\r\n", 400, "malformed_request"),
        (none % b"A B: 1\r\n", 400, "malformed_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed_request"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 431, "malformed_request"),
        (b"NOT HTTP\r\n\r\n", 400, "malformed_request"),
    ]
    with running(settings):
        async with client_of(settings) as session:
            await until_ready(session)
            for ask, status, reason in asks:
                answer = await asked(await connect(settings), ask)
                if reason is None:
                    assert answer.startswith(b"HTTP/1.1 100 "), answer
                    continue
                found = problem(answer)
                assert (found["status"], found["reason"]) == (status, reason), (ask, answer)
            async with session.get("/metrics") as response:
                text = await response.text()
    for reason, count in Counter(reason for _, _, reason in asks if reason).items():
        extra = reason == "unknown_route"  # after 100, too
        assert f'refusals_total{{reason="{reason}"}} {count + extra}\n' in text
    assert 'requests_total{route="none",status="417"} 3\n' in text
    assert 'reason="internal"' not in text


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_end_is_announced_and_leaves_nobody_without_an_answer(
    settings: Settings, key: Key, workers: int
) -> None:
    settings = replace(settings, shutdown_delay_ms=3000, shutdown_grace_s=1)
    body = event("never")
    headers = signed_headers(
        key.key_id, key.secret or "", method="POST", path="/v1/event", body=body,
        now_s=int(time.time()),
    ) | {"Content-Type": "application/json"}  # fmt: skip

    async def without_end() -> AsyncIterator[bytes]:
        yield body[:10]
        await asyncio.sleep(PATIENCE_S)

    async def slow(session: aiohttp.ClientSession) -> tuple[int, str | None]:
        async with session.post("/v1/event", data=without_end(), headers=headers) as response:
            return response.status, response.headers.get("Retry-After")

    with running(settings, workers) as process:
        async with client_of(settings) as session:
            await until_ready(session)
            posting = asyncio.ensure_future(slow(session))
            await asyncio.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            async with client_of(settings) as other:
                assert await until_ready(other, status=503) == ["stopping"]
                assert await post(other, key, "/v1/event", event("last")) == 201
            assert await posting == (503, "5")
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get("/health/live")
        assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
