"""No more connections than there are file descriptors for."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.http.doors import door, told
from tests.waiting import PATIENCE_S
from trackstream.http.descriptors import connections_for

if TYPE_CHECKING:
    from trackstream.storage.user_agents import UaParser

LIVE = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CODE = """
import json, logging, resource, sys
logging.basicConfig()
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from trackstream.http.descriptors import connections_for
print(json.dumps([connections_for(wanted), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "found", "warns"),
    [
        (200, 2_000, 1_000, 1_000, False),
        (200, 2_000, 10_000, 2_000 - 256, True),
        (200, 200, 10_000, 100, True),
        (200, 2_000, 0, 2_000 - 256, False),
    ],
)
def test_the_limit_is_raised_and_what_is_missing_told(
    *, soft: int, hard: int, wanted: int, found: int, warns: bool
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CODE, str(soft), str(hard), str(wanted)],
        capture_output=True, check=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert json.loads(ended.stdout) == [found, hard]
    assert ("TRACKSTREAM_MAX_CONNECTIONS" in ended.stderr) is warns, ended.stderr


def test_a_limit_that_cannot_be_raised_is_lived_with(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refusing(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refusing)
    with caplog.at_level(logging.WARNING):
        assert connections_for(10_000) == 768
    assert "1024 file descriptors: 768 connections at most" in caplog.text


async def test_of_many_connections_at_once_few_are_told_and_none_is_too_many(
    user_agents: UaParser,
) -> None:
    refusals: list[int] = []

    def refused(_: str, status: int) -> None:
        refusals.append(status)

    async with door(user_agents, max_connections=5, idle_timeout_s=3, refused=refused) as port:
        async with asyncio.timeout(PATIENCE_S):
            silent = await asyncio.gather(
                *(asyncio.open_connection("127.0.0.1", port) for _ in range(150))
            )

            async def until_closed(reader: asyncio.StreamReader) -> None:
                with suppress(OSError):
                    await reader.read()

            closed = [asyncio.create_task(until_closed(reader)) for reader, _ in silent]
            while sum(one.done() for one in closed) < 150 - 5 - 64:  # noqa: ASYNC110 - of many
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert [one.done() for one in closed].count(False) == 5 + 64
            assert len(refusals) == 145
            await asyncio.gather(*closed)
        for _, writer in silent:
            writer.close()
        async with asyncio.timeout(PATIENCE_S):
            assert (await told(port, LIVE)).startswith(b"HTTP/1.1 200 ")
