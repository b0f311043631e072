from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.collector import run

if TYPE_CHECKING:
    import pytest


def test_the_benchmark_measures_each_kind_beside_the_hello(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = run(["--seconds", "0.1", "--rounds", "1"])
    assert [one.name for one in results] == [
        "hello",
        "one event",
        "batch of 20",
        "click",
        "first click on an ad",
    ]
    assert results[0].ratio == 1
    assert all(0 < one.ratio < 1 for one in results[1:])
    assert all(0 < one.cost < 100_000 for one in results)
    assert capsys.readouterr().out.splitlines() == [str(one) for one in results]
