"""What the benchmark of the pipeline says of a stage that cannot be measured."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from benchmarks import pipeline
from benchmarks.measured import StageResult, watched

if TYPE_CHECKING:
    import pytest


def run(argv: list[str]) -> list[StageResult]:
    """A stage that has done everything when it is looked at for the first time, if it is few."""
    events = int(argv[argv.index("--events") + 1])
    if events < 10_000:
        watched(os.getpid(), lambda: events, events)
    return [
        StageResult(stage="one", events=events, batch=1, events_per_s=1.0, cpu_us_per_event=1.0)
    ]


def test_a_stage_that_is_done_at_once_is_told_and_left_out(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pipeline, "STAGES", {"one": __name__})
    assert pipeline.main(["--events", "4000", "--json"]) == 1
    said = capfd.readouterr()
    assert json.loads(said.out) == []
    assert said.err == "one: 4,000 events are done too soon to be measured: take more\n"
    assert pipeline.main(["one", "--events", "4000"]) == 1
    capfd.readouterr()
    assert pipeline.main(["--events", "40000", "--json"]) == 0
    assert [one["events"] for one in json.loads(capfd.readouterr().out)] == [40_000]
