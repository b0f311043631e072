"""One part of the service: something that is started, watched and stopped."""

from __future__ import annotations

import os
import random
import signal
import socket
import ssl
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trackstream.cli.base import Problem
from trackstream.embedded.process import Child, free_port
from trackstream.http.addresses import is_about_the_port
from trackstream.settings import PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trackstream.embedded.errors import ChildFailedError
    from trackstream.embedded.server import Server
    from trackstream.settings import Settings

__all__ = [
    "ANY_HOST",
    "Part",
    "answers",
    "any_port",
    "collector_url",
    "listening_port",
    "our_child",
    "reached",
    "server_part",
]

ANY_HOST = frozenset({"0.0.0.0", "::", ""})
"""What a server listens on to be reached by all of this machine's addresses."""

_READY_TIMEOUT_S = 90.0
_STOP_S = 8.0
_LOWEST_PORT = 10_240
_PORT_TRIES = 50


@dataclass(frozen=True, kw_only=True)
class Part:
    """One running thing. `start` and `stop` block; `ended` returns how it ended."""

    name: str
    log_path: Path
    start: Callable[[], object]
    stop: Callable[[], object]
    kill: Callable[[], object]
    ended: Callable[[], Awaitable[ChildFailedError]]


def server_part(server: Server, log_path: Path) -> Part:
    """An embedded server as a part."""
    return Part(
        name=server.name,
        log_path=log_path,
        start=server.start,
        stop=server.stop,
        kill=server.kill,
        ended=server.wait,
    )


def our_child(
    name: str, command: str, *more: str, settings: Settings, ready: Callable[[Child], bool]
) -> Part:
    """A command of ours, as a child process that loads the same settings."""
    folder = settings.data_dir / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    log_path = folder / f"{command}.log"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    child = Child(
        name,
        # -P: a folder `agents` or `tables` where the user happens to be is not ours.
        [sys.executable, "-P", "-m", "trackstream", command, *more],
        log_path=log_path,
        ready=lambda: ready(child),
        env={**kept, "PYTHONUNBUFFERED": "1", **settings.environ()},
        ready_timeout_s=_READY_TIMEOUT_S,
        stop_steps=((signal.SIGTERM, _STOP_S),),
    )

    async def ended() -> ChildFailedError:
        await child.wait()
        return child.failure("ended")

    return Part(
        name=name,
        log_path=log_path,
        start=child.start,
        stop=child.stop,
        kill=child.kill,
        ended=ended,
    )


def answers(url: str) -> bool:
    """Whether a GET of the URL is answered with success now.

    A certificate is not verified: it is for the names under which others reach our own child.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=1.0, context=context) as response:  # noqa: S310 # our own child
            return bool(response.status < 300)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def collector_url(settings: Settings) -> str:
    """The URL under which this machine reaches the collector."""
    return reached(
        settings.collector_host, settings.collector_port, tls=settings.tls_certificate is not None
    )


def reached(host: str, port: int, *, tls: bool = False) -> str:
    """The URL under which this machine reaches what listens there."""
    scheme = "https" if tls else "http"
    if host in ANY_HOST:
        host = "127.0.0.1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def listening_port(part: str, host: str, port: int) -> int:
    """The port for a part (`collector`, `worker`) to listen on: as set, or a free one for 0.

    Raises:
        Problem: it is taken, or the host is none of this machine's; the message names the setting.
    """
    try:
        if port == 0:
            _try(host, 0)
            return any_port(host)
        _try(host, port)
    except OSError as error:
        name = f"{PREFIX}{part.upper()}"
        advice = (
            f"set {name}_PORT to another port (0: any free one), or stop what listens there"
            if is_about_the_port(error)
            else f"set {name}_HOST to an address of this machine"
        )
        raise Problem(f"cannot listen on {host}:{port}: {error.strerror}", advice) from error
    return port


def any_port(host: str = "127.0.0.1") -> int:
    """A port that is free, and is likely to be so some seconds later.

    The kernel gives the ports of its own range to whoever connects somewhere, which the parts that
    start first do all the time; so this one is below that range.
    """
    for _ in range(_PORT_TRIES):
        port = random.randrange(_LOWEST_PORT, _kernels_lowest_port())  # noqa: S311 # spreads, guards nothing
        try:
            _try(host, port)
        except OSError:
            continue
        return port
    return free_port()


def _kernels_lowest_port() -> int:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii")
        return max(_LOWEST_PORT + 1, int(text.split()[0]))
    except (OSError, ValueError, IndexError):
        return 32_768


def _try(host: str, port: int) -> None:
    """Listen there for a moment. Raises OSError if that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
