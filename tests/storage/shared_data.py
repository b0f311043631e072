"""Public data sets beside the repository, for tests that skip where they are absent."""

from __future__ import annotations

from pathlib import Path

import pytest

_FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data"


def shared_data(name: str) -> Path:
    """The file, or a skipped test."""
    path = _FOLDER / name
    if not path.exists():
        pytest.skip(f"the public data set {name} is not beside the repository")
    return path
