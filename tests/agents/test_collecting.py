"""One process as worker and collector."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.agents.running import Worker
from trackstream.storage.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackstream.settings import Settings

pytestmark = pytest.mark.xdist_group("worker")


def test_the_collector_answers_on_the_workers_port(
    make_settings: Callable[[], Settings], database_url: str, folder: Path
) -> None:
    migrate(database_url)
    settings = replace(make_settings(), postgres_url=database_url, worker_collects=True)
    worker = Worker(settings, folder)
    try:
        worker.start()

        assert worker.get("/schemas/ids/1")[0] == 200
        assert worker.get("/c/nothing")[0] in {404, 503}
        assert worker.get("/health/ready") == (200, {"status": "ready"})
        assert worker.get("/collector/ready")[1]["status"] in {"ready", "not ready"}
        assert "trackstream" in worker.get("/collector/metrics")[1]
        assert [one["name"] for one in worker.get("/tables")[1]] == [
            "visitors",
            "touchpoints",
            "conversions",
        ]
        assert worker.get("/apps/demo/live")[1]["app_id"] == "demo"
        assert worker.get("/funnels/live?app_id=demo")[1]["funnels"] == []
    finally:
        code = worker.stop()
    assert code == 0, worker.log()
