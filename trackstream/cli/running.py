"""`running.json`: how commands find the service that `trackstream up` runs on a data directory."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from trackstream.cli.base import Problem
from trackstream.settings import PREFIX, Settings

__all__ = [
    "LOCK",
    "Running",
    "forget",
    "found",
    "from_anywhere",
    "keep",
    "needed",
    "settings_beside",
]

LOCK = "lock"
"""Held by `trackstream up` for as long as it lives, so that a file left behind shows as such."""

_FILE = "running.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """What a running `trackstream up` serves, and the keys of its app."""

    collector_url: str
    worker_url: str
    kafka: str
    postgres: str
    redis: str
    app_id: str
    key_id: str
    secret: str
    write_key: str
    archive: str | None
    """Where its archive is, if it writes one."""

    def settings(self) -> dict[str, str | None]:
        """The settings with which a command reaches all of it."""
        return {
            "collector_url": self.collector_url,
            "kafka_url": self.kafka,
            "postgres_url": self.postgres,
            "redis_url": self.redis,
            "key_id": self.key_id,
            "secret": self.secret,
            "archive_url": self.archive,
        }


def from_anywhere(place: str | None) -> str | None:
    """A place, in words that hold in any directory: URLs do, and paths are made to."""
    return place if place is None or "://" in place else str(Path(place).absolute())


def keep(data_dir: Path, running: Running) -> None:
    """Write the file for others of the same user to find; whole or not at all."""
    private_file(data_dir / _FILE, {**asdict(running), "pid": os.getpid()})


def private_file(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that only its owner can read, renamed into place."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.rename(path)


def forget(data_dir: Path) -> None:
    """Remove the file, if it is there."""
    (data_dir / _FILE).unlink(missing_ok=True)


def found(data_dir: Path) -> Running | str:
    """What runs on the data directory now, or in words why nothing is known to."""
    path = data_dir / _FILE
    try:
        content = json.loads(path.read_text("utf-8"))
        running = Running(**{one.name: content[one.name] for one in fields(Running)})
    except FileNotFoundError:
        return f"no `trackstream up` runs on {data_dir}"
    except PermissionError:
        return f"{path} belongs to another user"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{path} cannot be read: {error}"
    if not _held(data_dir / LOCK):
        return f"{path} is left over from a `trackstream up` that has ended"
    return running


def _held(path: Path) -> bool:
    with suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def settings_beside() -> Settings:
    """The settings, with what is not set taken from a `trackstream up` on the data directory."""
    settings = Settings.load()
    running = found(settings.data_dir)
    if isinstance(running, str):
        return settings
    own_key = settings.key_id is not None
    taken: dict[str, Any] = {
        name: value
        for name, value in running.settings().items()
        if getattr(settings, name) is None and not (own_key and name == "secret")
    }
    if PREFIX + "APP_ID" not in os.environ:
        taken["app_id"] = running.app_id
    return replace(settings, **taken)


def needed(settings: Settings, *names: str) -> tuple[str, ...]:
    """The values of settings that a command cannot do without.

    Raises:
        Problem: one is neither set nor known from a running `trackstream up`.
    """
    values = [getattr(settings, name) for name in names]
    missing = [
        PREFIX + name.upper() for name, value in zip(names, values, strict=True) if value is None
    ]
    if missing:
        why = found(settings.data_dir)
        raise Problem(
            f"set {', '.join(missing)}, or start `trackstream up` on this data directory"
            + (f" ({why})" if isinstance(why, str) else "")
        )
    return tuple(str(value) for value in values)
