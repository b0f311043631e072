"""Clients of the collector of a test."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.http.service import SERVER_KEY
from tests.sdk_clients.vectors import ROOT
from tests.waiting import PATIENCE_S
from trackstream.core.records import Envelope
from trackstream_client import Client, Retries

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http.service import Service
    from trackstream.core.records import RawEvent
    from trackstream_client import Verdict

PACKAGE = ROOT / "sdk_clients" / "python"
QUICK = Retries(first_s=0.01, most_retry_after_s=0.05)
"""Tests do not wait the five seconds that the collector asks for."""


class Told:
    """The verdicts."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []

    def __call__(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)

    def ids(self, status: str = "accepted") -> list[str]:
        return [one.event_id for one in self.verdicts if one.status == status]


def address(service: Service) -> str:
    return f"http://127.0.0.1:{service.client.port}"


def client_of(service: Service, **options: Any) -> Client:
    options.setdefault("retries", QUICK)
    secret = options.pop("secret", SERVER_KEY.secret)
    return Client(address(service), SERVER_KEY.key_id, secret, **options)


async def flushed(client: Client) -> None:
    assert await asyncio.to_thread(client.flush, PATIENCE_S)


async def closed(client: Client) -> None:
    assert await asyncio.to_thread(client.close, PATIENCE_S) == 0


def arrived(service: Service) -> list[RawEvent]:
    records = [one for _, one in service.sink.records("raw")]
    return [event for one in records if isinstance(one, Envelope) for event in one.events]


def arrived_ids(service: Service) -> list[str]:
    return [one.event_id for one in arrived(service)]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - it may be said in another thread
            await asyncio.sleep(0.005)


def program(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A program that has the client and nothing else of ours."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stdout=subprocess.PIPE,
        text=True,
    )


async def output(process: subprocess.Popen[str]) -> list[str]:
    """What it prints until it ends by itself, well."""
    text, _ = await asyncio.to_thread(process.communicate, None, PATIENCE_S)
    assert process.returncode == 0
    return text.split()
