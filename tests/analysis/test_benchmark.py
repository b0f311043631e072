from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.models import run

if TYPE_CHECKING:
    import pytest


def test_the_benchmark_measures_what_it_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    results = run(["--rows", "300", "--channels", "5", "--model", "markov 2", "--model", "shapley"])
    assert [one.what for one in results] == ["read", "markov 2", "shapley"]
    assert all(0 < one.wall_s < 60 for one in results)
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["300 rows, 5 channels, 4 touches a row", *map(str, results)]
