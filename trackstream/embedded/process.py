"""A supervised child process: started until ready, watched, stopped, never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trackstream.embedded.errors import ChildFailedError, EmbeddedError
from trackstream.embedded.excerpt import telling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LAUNCHER = Path(__file__).with_name("launch.py")
_POLL_S = 0.02
_WATCH_S = 0.1
_TAIL_BYTES = 64 * 1024
_LOG_LIMIT_BYTES = 16 * 1024 * 1024

# The kernel sends a child its parent-death signal when the *thread* that forked it ends, so
# children are forked by one thread that lives as long as the process.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded-spawn")


@dataclass(frozen=True)
class Account:
    """The user and group that a child runs as."""

    uid: int
    gid: int


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int) -> bool:
    """Say whether a server could listen on the loopback port now."""
    with socket.socket() as probe:
        # As servers do; connections in TIME_WAIT do not count, listeners still do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def launcher(
    command: Sequence[str | Path],
    *,
    account: Account | None = None,
    orphan_signal: signal.Signals = signal.SIGKILL,
) -> list[str]:
    """Return the argument list that runs `command` under the rules of `launch.py`.

    Args:
        command: The program by its absolute path, and its arguments.
        account: Who to become; None stays who we are.
        orphan_signal: What the child receives if this process dies without stopping it.
    """
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    steps = [str(os.getpid()), str(int(orphan_signal)), str(uid), str(gid)]
    return [sys.executable, "-I", "-S", str(_LAUNCHER), *steps, *map(str, command)]


class Child:
    """One server process, in its own session, with its output in a log file.

    A child does not outlive its parent: on Linux the kernel signals it when the parent dies in
    whatever way. An object may be started again after it has stopped.

    Args:
        name: What errors call it.
        command: The program by its absolute path, and its arguments.
        log_path: Takes standard output and standard error, appended; beyond 16 MiB the old log is
            renamed to `*.1` at a start.
        ready: Asked again and again until it says True; must answer within about a second.
        env: The whole environment; None inherits ours.
        cwd: The working directory; None inherits ours.
        account: Who the child runs as; None: who we are.
        pass_fds: File descriptors that the child inherits.
        ready_timeout_s: How long `start` waits for `ready`.
        stop_steps: Signals in order, each with the seconds given to it; SIGKILL follows by itself.
        orphan_signal: What the child receives if this process dies without stopping it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log_path: Path,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        account: Account | None = None,
        pass_fds: Sequence[int] = (),
        ready_timeout_s: float = 30.0,
        stop_steps: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),),
        orphan_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self._argv = launcher(command, account=account, orphan_signal=orphan_signal)
        self._log_path = log_path
        self._log_start = 0
        self._ready = ready
        self._env = env
        self._cwd = cwd
        self._pass_fds = tuple(pass_fds)
        self._ready_timeout_s = ready_timeout_s
        self._stop_steps = tuple(stop_steps)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None before the first start; stays after the end."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process and return when it is ready.

        Raises:
            ChildFailedError: It ended first, or was not ready in time (and has been killed).
        """
        if self._process is not None and self._process.poll() is None:
            raise EmbeddedError(f"{self.name} has been started already")
        self._process = process = self._spawn()
        deadline = time.monotonic() + self._ready_timeout_s
        failure: ChildFailedError | None = None
        try:
            while failure is None:
                if process.poll() is not None:
                    failure = self.failure("ended before it was ready")
                elif self._ready():
                    return
                elif time.monotonic() > deadline:
                    failure = self.failure(f"was not ready after {self._ready_timeout_s:g} s")
                else:
                    time.sleep(_POLL_S)
        except BaseException:
            self.kill()
            raise
        self.kill()
        raise failure

    def stop(self) -> int | None:
        """Stop the process, gently first; return its exit status, None if it never started."""
        process = self._process
        if process is None:
            return None
        for signal_number, patience_s in self._stop_steps:
            if process.poll() is not None:
                break
            process.send_signal(signal_number)
            try:
                process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
        self.kill()
        return process.returncode

    def kill(self) -> None:
        """End the process and what it has started in its group, at once."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        # The child leads a session of its own, so its pid names its group, too. It may be gone.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def poll(self) -> int | None:
        """Return the exit status, None while it runs or if it never started."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        """Whether the process exists now."""
        return self._process is not None and self._process.poll() is None

    async def wait(self) -> int:
        """Return the exit status when the process has ended; safe to cancel."""
        while True:
            returncode = self.poll()
            if returncode is not None:
                return returncode
            await asyncio.sleep(_WATCH_S)

    def output(self) -> str:
        """Return what the process has written since its last start."""
        return self._read_log(self._log_start)

    def log_tail(self) -> str:
        """Return what tells best of what the process has written since its last start.

        That is the last error, where one is near the end, and the last lines.
        """
        try:
            size = self._log_path.stat().st_size
        except FileNotFoundError:
            return ""
        text = self._read_log(max(self._log_start, size - _TAIL_BYTES))
        return "\n".join(telling(text.splitlines()))

    def failure(self, what: str) -> ChildFailedError:
        """Return the error that says `what` happened, with the exit status and the log's end."""
        returncode = self.poll()
        if returncode is not None:
            what = f"{what} ({_describe(returncode)})"
        return ChildFailedError(self.name, what, returncode=returncode, log_tail=self.log_tail())

    def _spawn(self) -> subprocess.Popen[bytes]:
        if self._log_path.exists() and self._log_path.stat().st_size > _LOG_LIMIT_BYTES:
            self._log_path.rename(self._log_path.with_name(self._log_path.name + ".1"))
        with open(self._log_path, "ab", opener=_private) as log:
            self._log_start = log.seek(0, os.SEEK_END)
            return _SPAWNER.submit(
                lambda: subprocess.Popen(  # noqa: S603  # the command is the caller's purpose
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._env,
                    cwd=self._cwd,
                    pass_fds=self._pass_fds,
                    # Ctrl-C in the terminal is for the parent, which stops its children in order.
                    start_new_session=True,
                )
            ).result()

    def _read_log(self, offset: int) -> str:
        try:
            with self._log_path.open("rb") as log:
                log.seek(offset)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _describe(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"by signal {-returncode}"
