"""TrackStream: self-hosted attribution and event tracking."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`app`: the Faust app, made when `faust -A trackstream` asks for it and kept."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from trackstream.startup import load_app

    app = globals()["app"] = load_app()
    return app
