"""Settings: environment variables `TRACKSTREAM_*` over a TOML file over defaults, parsed once.

`Settings.load()` reports every error at once. The TOML file's keys are the names below in lower
case (`kafka_url = "…"`); it is named by `TRACKSTREAM_CONFIG`, else `trackstream.toml` in the data
directory if it is there.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackstream.setting_values import choice, flag, setting, text, whole
from trackstream.settings_collector import CollectorSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "Settings", "SettingsError", "documented"]

PREFIX = "TRACKSTREAM_"


class SettingsError(ValueError):
    """Settings that cannot be used.

    Attributes:
        problems: one line for each, naming the setting and what it takes.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(CollectorSettings):
    """Everything that can be set, frozen. Names carry units; `documented()` lists them."""

    session_gap_s: int = setting(
        whole(1, 86_400), "Inactivity, in seconds, beyond which a new session starts", 1800
    )
    tick_interval_s: int = setting(
        whole(1, 600), "How often time passes for idle sessions and missing answers", 10
    )
    answer_deadline_s: int = setting(
        whole(1, 600),
        "How long a decision waits for answers that are missing, while no worker is behind",
        30,
    )
    state_memory_days: int = setting(
        whole(90, 3660),
        "For how long after their last event workers remember subjects and identifiers: who is "
        "whom, which campaign brought them; with clicks alone it is a month",
        400,
    )
    postbacks_allow_private: bool = setting(
        flag, "Let postbacks go to private, loopback and other special addresses", False
    )
    postbacks_timeout_s: int = setting(
        whole(1, 60), "How long a postback may take, from the name's lookup to the answer", 10
    )
    views_refresh_s: int = setting(
        whole(0, 86_400),
        "How often the warehouse writer refreshes PostgreSQL's materialised views; 0: never",
        300,
    )
    retention_events_days: int = setting(
        whole(0, 36_600),
        "For how many days after its arrival `trackstream retention run` keeps an event; 0: always",
        0,
    )
    retention_sessions_days: int = setting(
        whole(0, 36_600), "Likewise a session, after its last change; 0: always", 0
    )
    retention_attributions_days: int = setting(
        whole(0, 36_600), "Likewise a decision that counts, with its credits; 0: always", 0
    )
    retention_revisions_days: int = setting(
        whole(0, 36_600),
        "Likewise what decisions were made of, which `explain` and `replay` need; 0: always",
        0,
    )
    retention_rejected_days: int = setting(
        whole(0, 36_600), "Likewise what was rejected; 0: always", 0
    )
    archive_url: str | None = setting(
        text,
        "Where `trackstream archive` keeps events as Parquet files: a directory, or a URL that "
        "fsspec knows, such as `s3://bucket/events`; `archive` in the data directory when not set. "
        "`trackstream up` archives if it is set",
    )
    archive_roll_mib: int = setting(
        whole(1, 2**12), "Size of a partition's messages, in Avro, at which they become files", 32
    )
    archive_roll_s: int = setting(
        whole(1, 86_400), "For how long messages wait for others at most, before they do", 300
    )
    log_level: str = setting(choice("debug", "info", "warning", "error"), "What is logged", "info")

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Read the file and the environment; `overrides` (already parsed) win over both.

        Raises:
            SettingsError: with every problem, each naming its setting.
        """
        env = dict(os.environ if environ is None else environ)
        known = {one.name: one for one in fields(cls)}
        problems: list[str] = []
        values = _from_file(env, known, problems)
        for name, value in env.items():
            if name.startswith(PREFIX) and name not in _OTHER_VARIABLES:
                key = name.removeprefix(PREFIX).lower()
                if key in known:
                    values[key] = value
                elif not key.startswith("test_"):
                    problems.append(f"{name} is not a setting")
        parsed: dict[str, Any] = {}
        for key, given in values.items():
            try:
                parsed[key] = known[key].metadata["parse"](given)
            except ValueError as error:
                problems.append(f"{PREFIX}{key.upper()} {error}")
        if problems:
            raise SettingsError(problems)
        return cls(**{**parsed, **overrides})

    def environ(self) -> dict[str, str]:
        """The environment variables that make another process load these same settings."""
        return {
            PREFIX + one.name.upper(): str(getattr(self, one.name))
            for one in fields(self)
            if getattr(self, one.name) is not None
        }


_OTHER_VARIABLES = {PREFIX + "CONFIG"}


def _from_file(
    env: Mapping[str, str], known: Mapping[str, Any], problems: list[str]
) -> dict[str, str]:
    named = env.get(PREFIX + "CONFIG")
    path = Path(named or Path(env.get(PREFIX + "DATA_DIR", "data")) / "trackstream.toml")
    if not named and not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{PREFIX}CONFIG: cannot read {path}: {error}")
        return {}
    problems.extend(f"{path}: {key} is not a setting" for key in table if key not in known)
    return {key: str(value) for key, value in table.items() if key in known}


def documented() -> list[tuple[str, str, str]]:
    """Every setting as (variable, default as text, what it is), in order of declaration."""
    return [
        (
            PREFIX + one.name.upper(),
            "" if one.default in {None, MISSING} else str(one.default),
            one.metadata["doc"],
        )
        for one in fields(Settings)
    ]
