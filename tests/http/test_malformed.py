"""Malformed requests of every kind leave the collector as it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from benchmarks.fuzz import fuzz
from benchmarks.malformed import KINDS
from tests.http.served import client_of, registered_key, running, until_ready

if TYPE_CHECKING:
    from tests.http.service import Service
    from trackstream.settings import Settings


@pytest.mark.xdist_group("collector")
async def test_thousands_of_malformed_requests_change_nothing(settings: Settings) -> None:
    write_key = registered_key(settings, "write").key_id
    with running(settings) as process:
        async with client_of(settings) as session:
            await until_ready(session)
            fuzzed = await fuzz(
                settings.collector_port,
                process.pid,
                write_key,
                requests=2_000,
                limit_s=60,
                seed=7,
            )
            async with session.get("/metrics") as response:
                text = await response.text()
    assert fuzzed.serving, fuzzed
    assert fuzzed.requests == 2_000
    assert fuzzed.good == {"201": 20}
    assert fuzzed.kinds.keys() == KINDS.keys()
    assert {"201", "400", "401", "404", "413", "422"} <= fuzzed.answers.keys(), fuzzed
    assert 'reason="internal"' not in text  # such as for a sender that goes away amid its body
    assert 'reason="malformed_body"' in text
    assert fuzzed.rss_after_bytes - fuzzed.rss_before_bytes < 64 * 2**20, fuzzed
    assert fuzzed.connections_left <= 1, fuzzed


@pytest.mark.parametrize(("expected", "status"), [(b"\xff", b"417"), (b"100-Continue", b"100")])
async def test_what_a_request_expects(service: Service, expected: bytes, status: bytes) -> None:
    port = service.client.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /v1/event HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: %s\r\n\r\n" % expected
    )
    assert (await reader.readline()).split()[1] == status
    if status == b"100":
        writer.write(b"{}")
        assert await reader.readline() == b"\r\n"
        assert (await reader.readline()).split()[1] == b"401"
    writer.close()
    await writer.wait_closed()
