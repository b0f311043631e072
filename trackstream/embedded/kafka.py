"""Our own broker for the Kafka protocol, as a child process."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

from trackstream.embedded.process import Child
from trackstream.embedded.server import Server

if TYPE_CHECKING:
    from pathlib import Path

    from trackstream.embedded.directory import DirectoryLock


class EmbeddedKafka(Server):
    """A durable single-node broker; its URL is `kafka://127.0.0.1:port`.

    Args:
        data_dir: The data directory that the servers share; made if missing.
        port: Where to listen; None takes a free port.
        default_partitions: How many partitions a topic has that is created by being used.
    """

    name = "the Kafka broker"
    folder_name = "kafka"

    def __init__(
        self, data_dir: Path, *, port: int | None = None, default_partitions: int = 8
    ) -> None:
        super().__init__(data_dir, port=port)
        self._default_partitions = default_partitions

    @property
    def url(self) -> str:
        """How clients reach the broker, as Faust writes it."""
        return f"kafka://{self.bootstrap}"

    @property
    def bootstrap(self) -> str:
        """How Kafka clients are told of the broker: `host:port`."""
        return f"127.0.0.1:{self.port}"

    def _prepare(self, _lock: DirectoryLock, /) -> None:
        (self._folder / "data").mkdir(mode=0o700, exist_ok=True)

    def _make_child(self, port: int, lock: DirectoryLock) -> Child:
        # -P: a folder `trackstream` where the user happens to be is not ours.
        command: list[str | Path] = [sys.executable, "-P", "-m", "trackstream.embedded.broker"]
        command += ["--data-dir", self._folder / "data", "--port", str(port)]
        command += ["--default-partitions", str(self._default_partitions)]
        child = Child(
            self.name,
            command,
            log_path=self._folder / "server.log",
            ready=lambda: _says_ready(child.output()),
            pass_fds=(lock.fd,),
            stop_steps=((signal.SIGTERM, 15.0),),
        )
        return child


def _says_ready(output: str) -> bool:
    for line in output.splitlines():
        if line.startswith("{") and '"ready"' in line:
            try:
                return json.loads(line).get("ready") is True
            except ValueError:
                return False  # half a line so far
    return False
