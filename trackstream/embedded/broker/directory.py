"""The data directory: one broker at a time, one format, one cluster id."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import uuid
from typing import TYPE_CHECKING

from trackstream.embedded.broker.errors import BrokerStartError

if TYPE_CHECKING:
    from pathlib import Path

_FORMAT = 1


class DataDirectory:
    """A locked data directory; the lock goes with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1
        self.cluster_id = ""

    def open(self) -> None:
        """Lock the directory and read, or write, what it says about itself.

        Raises:
            BrokerStartError: another broker uses it, or its format is not ours.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise BrokerStartError(f"cannot use data directory {self.path}: {error}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise BrokerStartError(
                f"another broker is using {self.path}: stop it, or choose another directory"
            ) from None
        about = self.path / "broker.json"
        if about.exists():
            content = json.loads(about.read_text())
            if content.get("format") != _FORMAT:
                raise BrokerStartError(
                    f"{self.path} has format {content.get('format')}, this broker reads {_FORMAT}"
                )
        else:
            content = {
                "format": _FORMAT,
                "cluster_id": base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="),
            }
            temporary = about.with_suffix(".new")
            temporary.write_text(json.dumps(content))
            temporary.replace(about)
        self.cluster_id = content["cluster_id"]

    def close(self) -> None:
        """Let others use the directory."""
        os.close(self._lock)
