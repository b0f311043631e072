"""From the first to the last line of `trackstream up`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console

from trackstream.cli import running
from trackstream.cli.archive import check_extra
from trackstream.cli.base import Problem
from trackstream.cli.up.follow import attributions
from trackstream.cli.up.report import Progress, attribution_line, echo, ready_json, ready_text
from trackstream.cli.up.service import Service
from trackstream.embedded.directory import DirectoryLock
from trackstream.embedded.errors import DirectoryInUseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from typing import Any

    from trackstream.cli.up.parts import Part
    from trackstream.core.records import Attribution
    from trackstream.embedded.errors import ChildFailedError
    from trackstream.settings import Settings

__all__ = ["run"]

_LOCK_WAIT_S = 0.5
_T = TypeVar("_T")


def run(settings: Settings, *, as_json: bool) -> None:
    """Run the service until SIGINT or SIGTERM; return when nothing of it is left.

    Raises:
        Problem: it could not start, or a part ended by itself; the rest has been stopped. Nothing
            was started if there is an archive to write and what writes it is not installed.
        EmbeddedError: a server could not start; the rest has been stopped.
    """
    settings = replace(settings, data_dir=settings.data_dir.absolute())
    if settings.archive_url:
        check_extra()
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(
            f"cannot make the data directory {settings.data_dir}: {error.strerror}",
            "set TRACKSTREAM_DATA_DIR to another directory",
        ) from error
    try:
        lock = DirectoryLock("TrackStream", settings.data_dir, timeout_s=_LOCK_WAIT_S)
    except DirectoryInUseError as error:
        raise Problem(
            f"`trackstream up` is already running on {settings.data_dir}",
            "stop it, or set TRACKSTREAM_DATA_DIR to another directory",
        ) from error
    try:
        asyncio.run(_run(settings, as_json=as_json))
    finally:
        lock.close()


async def _run(settings: Settings, *, as_json: bool) -> None:
    progress = Progress()
    service = Service(settings, progress)
    stopping = _on_signals(service, progress)
    try:
        with progress.shown():
            started = await _unless(stopping, service.start())
        if started is not None:
            await _serve(service, *started, stopping=stopping, as_json=as_json)
    finally:
        running.forget(settings.data_dir)
        await service.stop()
    progress.say("Stopped.")


async def _serve(
    service: Service,
    found: running.Running,
    slug: str,
    *,
    stopping: asyncio.Event,
    as_json: bool,
) -> None:
    data_dir = service.settings.data_dir
    async with attributions(service.settings) as records:
        running.keep(data_dir, found)
        if as_json:
            echo(ready_json(found), err=False)
        else:
            ready_text(found, slug=slug, data_dir=data_dir, console=Console())
        following = asyncio.ensure_future(_follow(records, err=as_json))
        try:
            ended = await _unless(stopping, service.first_end())
        finally:
            following.cancel()
            # What it could not read any more ends nothing: a broker that is gone is told above.
            await asyncio.wait({following})
    if ended is not None:
        raise Problem(*_how_it_ended(*ended))


async def _follow(records: AsyncIterator[Attribution], *, err: bool) -> None:
    async for record in records:
        echo(attribution_line(record), err=err)


def _how_it_ended(part: Part, error: ChildFailedError) -> list[str]:
    return [*str(error).splitlines(), f"its log is {part.log_path}"]


async def _unless(stopping: asyncio.Event, work: Coroutine[Any, Any, _T]) -> _T | None:
    """The result of the work; None if the event came first, with the work cancelled."""
    task = asyncio.ensure_future(work)
    wait = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({task, wait}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
    finally:
        wait.cancel()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
    return None


def _on_signals(service: Service, progress: Progress) -> asyncio.Event:
    stopping = asyncio.Event()

    def asked() -> None:
        if stopping.is_set():
            progress.say("Ending everything at once …")
            service.kill()
        else:
            progress.say("Stopping …")
            stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    return stopping
