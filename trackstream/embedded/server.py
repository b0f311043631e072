"""What the embedded servers have in common: a folder, a port, one child, start and stop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from trackstream.embedded.directory import DirectoryLock, own_folder
from trackstream.embedded.errors import ChildFailedError, EmbeddedError, PortTakenError
from trackstream.embedded.process import Child, free_port, port_is_free

if TYPE_CHECKING:
    from pathlib import Path

_PORT_TRIES = 5


class Server(ABC):
    """One server on the loopback address, with its data in a folder of its own.

    Calls block (start: up to some seconds; in asyncio use `asyncio.to_thread`); `wait` does not.
    Also a context manager: the block runs with the server started.

    Args:
        data_dir: The data directory that the servers share; made if missing.
        port: Where to listen; None takes a free port at the first start. The port, and with it the
            URL, stays the same through later starts of this object.
    """

    name: ClassVar[str]
    folder_name: ClassVar[str]
    lock_timeout_s: ClassVar[float] = 20.0  # what is ending on the folder is waited for

    def __init__(self, data_dir: Path, *, port: int | None = None) -> None:
        self._folder = data_dir.absolute() / self.folder_name
        self._port = port
        self._child: Child | None = None

    @property
    def port(self) -> int:
        """The port; before the first start only if it was given."""
        if self._port is None:
            raise EmbeddedError(f"{self.name} has no port before its first start")
        return self._port

    @property
    @abstractmethod
    def url(self) -> str:
        """How clients reach the server, with its password."""

    @abstractmethod
    def _prepare(self, lock: DirectoryLock, /) -> None:
        """Make the folder ready for `_make_child`; runs under the folder's lock."""

    @abstractmethod
    def _make_child(self, port: int, lock: DirectoryLock) -> Child:
        """Return the child, not started; it inherits the lock's file."""

    def _after_start(self) -> None:  # noqa: B027  # most servers need nothing
        """Do what needs the running server, before `start` returns."""

    def start(self) -> str:
        """Start the server on what its folder holds and return its URL when it answers.

        Raises:
            MissingServerError: Its program is not installed.
            DirectoryUnusableError: The folder is another user's or another version's.
            DirectoryInUseError: Another server runs on the folder.
            PortTakenError: The port is in use.
            ChildFailedError: The server ended, or did not answer in time.
        """
        if self.running:
            raise EmbeddedError(f"{self.name} has been started already")
        own_folder(self.name, self._folder)
        lock = DirectoryLock(self.name, self._folder, timeout_s=self.lock_timeout_s)
        try:
            self._prepare(lock)
            self._start_child(lock)
        finally:
            lock.close()
        try:
            self._after_start()
        except BaseException:
            self.stop()
            raise
        return self.url

    def _start_child(self, lock: DirectoryLock) -> None:
        given = self._port
        for attempt in range(_PORT_TRIES):
            port = given or free_port()
            if not port_is_free(port):
                if given or attempt == _PORT_TRIES - 1:
                    raise PortTakenError(self.name, port)
                continue
            self._port = port
            self._child = self._make_child(port, lock)
            try:
                self._child.start()
            except ChildFailedError as error:
                self._port = given
                if error.returncode is None or port_is_free(port):
                    raise
                # Somebody took the port between our look and the server's.
                if given or attempt == _PORT_TRIES - 1:
                    raise PortTakenError(self.name, port) from error
            else:
                return

    def stop(self) -> None:
        """Stop the server; does nothing if it does not run."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self._child is not None:
            self._child.kill()

    @property
    def running(self) -> bool:
        """Whether the server's process exists now."""
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int | None:
        """The process id of the server, None before the first start."""
        return None if self._child is None else self._child.pid

    async def wait(self) -> ChildFailedError:
        """Return, when the server has ended, the error that says how, for a supervisor."""
        if self._child is None:
            raise EmbeddedError(f"{self.name} has not been started")
        await self._child.wait()
        return self._child.failure("ended")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
