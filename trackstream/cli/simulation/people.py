"""Who the made-up people are: nobody shares a device, an address or a network with another."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from trackstream.cli.base import Problem

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

__all__ = ["MOST_PEOPLE", "Agents", "Person"]

MOST_PEOPLE = 50_000
"""As many networks as there are for one run."""

_NETWORKS = 254 * 256
_VERSION = re.compile(r"Android (\d+)|(?:iPhone OS|CPU OS) ([0-9_]+)")


class Agents:
    """User agents by system: `android`, `ios` and `desktop`.

    Args:
        path: one a line, lines with # left out; None takes those that are shipped.

    Raises:
        Problem: the file cannot be read, or one of the systems is missing.
    """

    def __init__(self, path: Path | None = None) -> None:
        source = path or files(__package__) / "user_agents.txt"
        try:
            lines = [line.strip() for line in source.read_text("utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise Problem(f"cannot read {path}: {error}") from error
        self._by_system: dict[str, list[str]] = {"android": [], "ios": [], "desktop": []}
        for line in lines:
            if line and not line.startswith("#"):
                self._by_system[_system(line)].append(line)
        missing = [name for name, found in self._by_system.items() if not found]
        if missing:
            raise Problem(f"{path} has no user agent of the kind {', '.join(missing)}")

    def pick(self, rng: Random, *systems: str) -> str:
        """One of these systems' user agents."""
        return rng.choice(self._by_system[rng.choice(systems)])

    def other_version(self, rng: Random, user_agent: str) -> str | None:
        """A user agent of the same system in another version, None if there is none."""
        others = [
            one
            for one in self._by_system[_system(user_agent)]
            if _version(one) != _version(user_agent)
        ]
        return rng.choice(others) if others else None


def _system(user_agent: str) -> str:
    if "Android" in user_agent:
        return "android"
    return "ios" if "iPhone" in user_agent or "iPad" in user_agent else "desktop"


def _version(user_agent: str) -> str | None:
    found = _VERSION.search(user_agent)
    return (found[1] or found[2]) if found else None


@dataclass(frozen=True, slots=True)
class Person:
    """One of them.

    Args:
        run: what all ids of the run begin with, so that runs do not meet.
        number: from 0, below `MOST_PEOPLE`.
    """

    run: str
    number: int

    @property
    def device_id(self) -> str:
        """Of the device on which the app is installed."""
        return f"{self.run}-device-{self.number}"

    @property
    def user_id(self) -> str:
        """As whom the person logs in."""
        return f"{self.run}-user-{self.number}"

    @property
    def cookie_id(self) -> str:
        """Of the person's browser."""
        return f"{self.run}-cookie-{self.number}"

    def event_id(self, name: str) -> str:
        """The id of one of the person's events."""
        return f"{self.run}-{self.number}-{name}"

    @property
    def home(self) -> str:
        """An address in a loopback network (/24) that no other has in this run."""
        return self._loopback(1 + self._digest()[8] % 120)

    @property
    def next_door(self) -> str:
        """Another address in the same network, nobody's home."""
        return self._loopback(200)

    @property
    def on_the_road(self) -> str:
        """An address (RFC 4193) in a network (/64) that no other has in any run."""
        raw = b"\xfd" + self._digest()[:5] + self.number.to_bytes(2, "big") + bytes(7) + b"\x01"
        return str(ipaddress.IPv6Address(raw))

    def event(self, name: str, event_id: str, **fields: Any) -> dict[str, Any]:
        """An event of the person's device."""
        return {
            "event": name,
            "event_id": self.event_id(event_id),
            "device_id": self.device_id,
            **fields,
        }

    def _loopback(self, host: int) -> str:
        # 127.0.0.0/16 is left to everything else on the machine.
        network = (int.from_bytes(self._digest()[:4], "big") + self.number) % _NETWORKS
        return f"127.{1 + network // 256}.{network % 256}.{host}"

    def _digest(self) -> bytes:
        return hashlib.blake2b(self.run.encode(), digest_size=16).digest()
