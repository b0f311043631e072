"""One process as worker and collector."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.agents.running import Worker, settled
from tests.waiting import PATIENCE_S
from trackstream.application import create_app
from trackstream.settings import SettingsError
from trackstream.storage.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackstream.settings import Settings

pytestmark = pytest.mark.xdist_group("worker")


async def test_the_collector_answers_on_the_workers_port(
    make_settings: Callable[[], Settings], database_url: str, folder: Path
) -> None:
    migrate(database_url)
    settings = replace(
        make_settings(),
        postgres_url=database_url,
        worker_collects=True,
        max_connections=4,
        shutdown_delay_ms=5000,
        shutdown_grace_s=1,
    )
    worker = Worker(settings, folder)
    try:
        await asyncio.to_thread(worker.start)

        assert worker.get("/schemas/ids/1")[0] == 200
        assert worker.get("/c/nothing")[0] in {404, 503}
        assert worker.get("/health/ready") == (200, {"status": "ready"})
        assert worker.get("/collector/ready")[1]["status"] in {"ready", "not ready"}
        assert "trackstream" in worker.get("/collector/metrics")[1]
        assert worker.get("/tables")[1][0]["name"] == "visitors"
        assert worker.get("/v1/nothing")[1]["reason"] == "unknown_route"
        assert worker.get("/tables/", Expect="luck")[1]["reason"] == "expectation_failed"

        held = [await asyncio.open_connection("127.0.0.1", worker.port) for _ in range(4)]
        for reader, writer in held[1:]:
            writer.write(b"NO HTTP\r\n\r\n")
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.0 400 ")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == "malformed_request"
            writer.close()
        reader, writer = held[0]
        writer.write(b"POST /v1/event HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
        await asyncio.sleep(0.2)
        stopped = asyncio.create_task(asyncio.to_thread(worker.stop))
        async with asyncio.timeout(PATIENCE_S):
            ready: dict[str, object] = {"missing": []}
            while ready["missing"] != ["stopping"]:
                ready = (await asyncio.to_thread(worker.get, "/collector/ready"))[1]
            assert ready["status"] == "not ready"
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 "), answer
        assert b"\r\nRetry-After: " in answer
        writer.close()
        code = await stopped
    finally:
        worker.stop()
    assert code == 0, worker.log()


async def test_more_connections_than_are_allowed_are_refused(
    make_settings: Callable[[], Settings], folder: Path
) -> None:
    worker = Worker(replace(make_settings(), max_connections=2, idle_timeout_s=5), folder)
    try:
        await asyncio.to_thread(worker.start)
        status = 200
        async with asyncio.timeout(PATIENCE_S):
            while status == 200:  # the last request's connection counts for a moment, too
                held = [await asyncio.open_connection("127.0.0.1", worker.port) for _ in range(2)]
                status, document = await asyncio.to_thread(worker.get, "/health/live")
                assert [await reader.read() for reader, _ in held] == [b"", b""]  # too slow
                for _, writer in held:
                    writer.close()
        assert (status, document["reason"]) == (503, "unavailable")
        assert settled(lambda: worker.get("/health/live")[0], lambda status: status == 200) == 200
    finally:
        worker.stop()


def test_a_worker_that_collects_does_not_leave_tls_out_unsaid(
    unstarted: Settings, folder: Path
) -> None:
    settings = replace(unstarted, worker_collects=True, tls_certificate=folder / "c.pem")
    with pytest.raises(SettingsError, match="TRACKSTREAM_WORKER_COLLECTS"):
        create_app(settings)
