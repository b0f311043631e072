"""The broker as a child process of a test."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Self

from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path


class BrokerProcess:
    """A running broker; its log is `<data_dir>.log`."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self.data_dir = data_dir
        self.log_path = data_dir.with_suffix(".log")
        command = [sys.executable, "-m", "trackstream.embedded.broker"]
        command += ["--data-dir", str(data_dir), *arguments]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._reap()
            raise RuntimeError(f"the broker did not start: {self.log_path.read_text()}")
        ready = json.loads(line)
        assert ready["ready"] is True
        self.host: str = ready["host"]
        self.port: int = ready["port"]

    @property
    def bootstrap(self) -> str:
        """Where clients connect to."""
        return f"{self.host}:{self.port}"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_path.read_text()

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._reap()

    def stop(self) -> int:
        """End it as an operator does; return its exit code."""
        self._process.terminate()
        return self._reap()

    def _reap(self) -> int:
        code = self._process.wait(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.stop()
        elif self._process.stdout is not None:
            self._process.stdout.close()
