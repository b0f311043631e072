from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest

from trackstream.analysis.own_models import GROUP, load

if TYPE_CHECKING:
    from pathlib import Path

MODULE = "own_models_of_a_test"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A distribution's module, with its metadata, on the path."""
    (tmp_path / f"{MODULE}.py").write_text(
        "def halves(path, *, at_ms, parameters):\n    return [1] * len(path)\n\nnumber = 7\n"
    )
    (tmp_path / f"{MODULE}_exits.py").write_text("raise SystemExit('bye')\n")
    info = tmp_path / f"{MODULE}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {MODULE}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{GROUP}]\nhalves = {MODULE}:halves\nbroken = {MODULE}:missing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return MODULE


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


@pytest.mark.usefixtures("module")
def test_installed_distributions_are_found() -> None:
    own = load()
    assert own.models["halves"]([], at_ms=0, parameters={}) == []
    assert own.sources == {"halves": f"{MODULE}:halves"}
    (problem,) = own.problems
    assert problem.startswith(f"own model broken ({MODULE}:missing) cannot be imported: Attribute")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("linear", f"{MODULE}:halves", "has the name of a built-in model"),
        ("shapley", f"{MODULE}:halves", "has the name of a built-in model"),
        ("number", f"{MODULE}:number", "is no function but int"),
        ("gone", "no_such_module_at_all:f", "cannot be imported: ModuleNotFoundError"),
        ("exits", f"{MODULE}_exits:f", "cannot be imported: SystemExit: bye"),
    ],
)
@pytest.mark.usefixtures("module")
def test_a_bad_one_is_said_and_the_others_work(name: str, value: str, says: str) -> None:
    own = load([point(name, value), point("good", f"{MODULE}:halves")])
    assert list(own.models) == ["good"]
    (problem,) = own.problems
    assert problem.startswith(f"own model {name} ({value}) {says}")


@pytest.mark.usefixtures("module")
def test_of_two_with_one_name_the_first_stays() -> None:
    own = load([point("same", f"{MODULE}:halves"), point("same", f"{MODULE}:other")])
    assert own.sources == {"same": f"{MODULE}:halves"}
    assert own.problems == [f"own model same ({MODULE}:other) has a name that another one has"]
