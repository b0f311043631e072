"""The collector as a program: its port, its processes, its signals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import signal
import socket
import sys
import tempfile
import time
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from trackstream.http.addresses import cannot_listen
from trackstream.http.process import run_process, stop_on_signals
from trackstream.http.shared_metrics import SharedMetrics
from trackstream.http.tls import Certificate
from trackstream.settings import SettingsError
from trackstream.storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.context import SpawnProcess
    from multiprocessing.synchronize import Semaphore

    from trackstream.settings import Settings

__all__ = ["listen", "serve"]

_log = logging.getLogger(__name__)

_SPAWN = multiprocessing.get_context("spawn")
_RESTART_PAUSE_S = 1.0
_STOP_S = 10.0
"""What a process may take to stop beside what the settings give its requests."""
_POLL_S = 0.2
_EX_CONFIG = 78
"""Exit code of a process that an operator has to help (sysexits.h)."""


def serve(
    settings: Settings,
    *,
    workers: int = 1,
    on_listening: Callable[[str], None] = lambda _: None,
) -> None:
    """Run the collector until SIGTERM or SIGINT; return when its last request is answered.

    Args:
        settings: where it listens, and what it stands on.
        workers: processes that share the port. The kernel shares connections out among them.
        on_listening: told the URL as soon as connections are taken.

    Raises:
        SettingsError: it cannot listen; the message names the setting.
        StorageError: something is set up so that only an operator can help.
    """
    scheme = "http" if Certificate.of(settings) is None else "https"
    with contextlib.closing(listen(settings, shared=workers > 1)) as listener:
        url = _url(scheme, listener)

        def listening() -> None:
            _log.info("the collector listens on %s", url)
            on_listening(url)

        if workers == 1:
            uvloop.run(_alone(settings, listener, listening))
        else:
            _serve_together(settings, listener, workers, listening)


def listen(settings: Settings, *, shared: bool) -> socket.socket:
    """A socket bound to the collector's port.

    Args:
        settings: the host and the port; port 0 is any free one.
        shared: whether other processes of ours will bind to it, too (SO_REUSEPORT).

    Raises:
        SettingsError: the port is taken, or the address is not one of this machine's.
    """
    host, port = settings.collector_host, settings.collector_port
    try:
        if shared and port:
            # With SO_REUSEPORT alone a port of another program of this user would be shared.
            _bound(host, port).close()
        return _bound(host, port, shared=shared)
    except OSError as error:
        raise SettingsError([cannot_listen("collector", host, port, error)]) from error


def _bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def _url(scheme: str, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _alone(
    settings: Settings, listener: socket.socket, listening: Callable[[], None]
) -> None:
    stop = stop_on_signals()
    await run_process(settings, listener, stop=stop, on_listening=listening)


def _serve_together(
    settings: Settings, listener: socket.socket, workers: int, listening: Callable[[], None]
) -> None:
    """Keep `workers` processes running. Our own socket only holds the port, it never listens."""
    address = listener.getsockname()
    with tempfile.TemporaryDirectory(prefix="trackstream-") as folder, _stopping() as stopping:
        ready = _SPAWN.Semaphore(0)

        def started() -> SpawnProcess:
            process = _SPAWN.Process(target=_worker, args=(settings, address, folder, ready))
            process.start()
            return process

        processes = [started() for _ in range(workers)]
        to_come = workers
        try:
            while not stopping.is_set():
                wait([one.sentinel for one in processes], timeout=_POLL_S)
                while to_come and ready.acquire(block=False):
                    to_come -= 1
                    if not to_come:
                        listening()
                for index, one in enumerate(processes):
                    if one.exitcode is not None and not stopping.is_set():
                        _check_end(one.exitcode)
                        stopping.wait(_RESTART_PAUSE_S)
                        processes[index] = started()
        finally:
            _end(processes, stop_s=_STOP_S + _graces_s(settings))


def _check_end(code: int) -> None:
    """Log that a process ended by itself; give up if the next would end the same way."""
    if code == _EX_CONFIG:
        raise StorageError("the collector cannot work as it is set up; its log says why")
    _log.error("a process of the collector ended with %s; another is started", code)


@contextlib.contextmanager
def _stopping() -> Iterator[_Flag]:
    flag = _Flag()
    before = {
        number: signal.signal(number, flag.set_by_signal)
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Flag:
    """Set by a signal, which interrupts a wait: a lock inside would deadlock in its handler."""

    def __init__(self) -> None:
        self._set = False

    def set_by_signal(self, *_: object) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set

    def wait(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while not self._set and time.monotonic() < deadline_s:
            time.sleep(0.02)


def _graces_s(settings: Settings) -> float:
    return settings.shutdown_delay_ms / 1000 + settings.shutdown_grace_s


def _end(processes: list[SpawnProcess], *, stop_s: float) -> None:
    for one in processes:
        one.terminate()
    deadline_s = time.monotonic() + stop_s
    for one in processes:
        one.join(max(0.0, deadline_s - time.monotonic()))
        if one.exitcode is None:
            _log.error("a process of the collector does not stop; it is killed")
            one.kill()
            one.join()


def _worker(settings: Settings, address: tuple[str, int], folder: str, ready: Semaphore) -> None:
    """A process of several: its own socket on the port, its own everything."""
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    with contextlib.closing(_bound(*address[:2], shared=True)) as listener:
        try:
            uvloop.run(_together(settings, listener, Path(folder), ready))
        except StorageError as error:
            _log.error("%s", error)
            sys.exit(_EX_CONFIG)


async def _together(
    settings: Settings, listener: socket.socket, folder: Path, ready: Semaphore
) -> None:
    stop = stop_on_signals()
    parent = multiprocessing.parent_process()
    if parent is not None:
        # Nobody else would end us if the parent is killed.
        asyncio.get_running_loop().add_reader(parent.sentinel, stop.set)
    await run_process(
        settings, listener, stop=stop, shared=SharedMetrics(folder), on_listening=ready.release
    )
