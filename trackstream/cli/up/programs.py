"""The programs of ours that the service is made of, as parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.cli.archive import ARCHIVE_READY
from trackstream.cli.postbacks import POSTBACKS_READY
from trackstream.cli.serve import WAREHOUSE_READY
from trackstream.cli.up.parts import answers, collector_url, our_child, reached

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.cli.up.parts import Part
    from trackstream.embedded.process import Child
    from trackstream.settings import Settings

__all__ = ["programs"]


def programs(settings: Settings) -> list[Part]:
    """All of them, none started yet.

    Args:
        settings: With the URLs of what they need.
    """
    worker_url = reached(settings.worker_host, settings.worker_port)
    commands: list[tuple[str, list[str], Callable[[Child], bool]]] = [
        ("the worker", ["worker"], _serving(worker_url)),
        ("the collector", ["collect"], _serving(collector_url(settings))),
        ("the warehouse writer", ["warehouse"], _says(WAREHOUSE_READY)),
        ("the postback sender", ["postbacks", "run"], _says(POSTBACKS_READY)),
    ]
    if settings.archive_url:
        commands.append(("the archive writer", ["archive", "run"], _says(ARCHIVE_READY)))
    return [
        our_child(name, *command, settings=settings, ready=ready)
        for name, command, ready in commands
    ]


def _serving(url: str) -> Callable[[Child], bool]:
    return lambda _: answers(f"{url}/health/ready")


def _says(text: str) -> Callable[[Child], bool]:
    return lambda child: text in child.output()
