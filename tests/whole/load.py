"""A load of which it is known what has to come of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp

from trackstream.core.activity import WINDOW_MS, windows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.whole.running import Pipeline

__all__ = ["Load"]

_GAP_MS = 30 * 60_000
_HOURS = 20
_DEVICES = 150
_POSTERS = 3


@dataclass
class Load:
    """Events of devices over the last 20 hours, in any order; clicks and installs beside.

    Attributes:
        accepted: Ids of events that the collector has answered with 2xx.
        clicked: Ids of clicks that it has redirected.
    """

    pipeline: Pipeline
    random: Random
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    accepted: dict[str, dict[str, Any]] = field(default_factory=dict)
    clicked: set[str] = field(default_factory=set)
    installed: int = 0
    _count: int = 0

    async def run(self, seconds: float, *, least: int) -> None:
        """Post for as long and so many events, then until all that was begun is accepted."""
        ends = time.monotonic() + seconds

        def going_on() -> bool:
            return time.monotonic() < ends or len(self.accepted) < least

        async with asyncio.TaskGroup() as group:
            for _ in range(_POSTERS):
                group.create_task(self._post(going_on))
            group.create_task(self._click(going_on))

    async def _post(self, going_on: Callable[[], bool]) -> None:
        async with self.pipeline.client() as client:
            while going_on():
                events = [self._event() for _ in range(self.random.randint(1, 20))]
                for _ in range(2 if self.random.random() < 0.2 else 1):
                    answer = await client.post("/v1/batch", {"events": events})
                    assert answer.status == 201, answer.detail
                self.accepted |= {one["event_id"]: one for one in events}

    async def _click(self, going_on: Callable[[], bool]) -> None:
        """Clicks, each with its install. What the answer to a lost request was is not known."""
        host = f"http://127.0.0.1:{self.pipeline.settings.collector_port}"
        slug = self.pipeline.credentials.slug
        async with aiohttp.ClientSession() as session, self.pipeline.client() as client:
            while going_on():
                self._count += 1
                device = f"new-{self._count}"
                url = f"{host}/c/{slug}?device_id={device}"
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(
                        url, allow_redirects=False, headers={"User-Agent": "Mozilla/5.0 Chrome/129"}
                    ) as response:
                        if response.status == 302:
                            place = response.headers["Location"]
                            self.clicked.add(place.partition("trackstream_click_id=")[2])
                await asyncio.sleep(0.05)
                install = {
                    "event": "install",
                    "event_id": f"install-{device}",
                    "device_id": device,
                    "timestamp": time.time_ns() // 1_000_000,
                    "referral": {"install_begin_timestamp_seconds": int(time.time()) + 1},
                }
                answer = await client.post("/v1/install", install)
                assert answer.status == 201, answer.detail
                self.accepted[f"install-{device}"] = install
                self.installed += 1

    def _event(self) -> dict[str, Any]:
        self._count += 1
        device = self.random.randrange(_DEVICES)
        # Bursts, so that there are sessions, of which late events join some.
        burst_ms = Random(device * 1000 + self.random.randrange(12)).randrange(_HOURS * 3_600_000)
        ago_ms = burst_ms + self.random.randrange(40 * 60_000) + 600_000
        return {
            "event": "page_view",
            "event_id": f"e{self._count}",
            "device_id": f"d{device}",
            "timestamp": self.now_ms - ago_ms,
        }

    def sessions(self) -> Counter[str]:
        """By device, how many sessions its accepted events are, sorted first."""
        found: Counter[str] = Counter()
        for device, times in self._by_device().items():
            gaps = (b - a > _GAP_MS for a, b in pairwise(times))
            found[device] = 1 + sum(gaps)
        return found

    def windows(self) -> dict[int, tuple[int, int]]:
        """By their beginnings, (active devices, events) of the windows that are over."""
        events: Counter[int] = Counter()
        devices: defaultdict[int, set[str]] = defaultdict(set)
        for device, times in self._by_device().items():
            for at_ms in times:
                for window in windows_of(at_ms):
                    events[window] += 1
                    devices[window].add(device)
        return {
            window: (len(devices[window]), count)
            for window, count in events.items()
            if self.now_ms - _HOURS * 3_600_000 < window < self.now_ms - WINDOW_MS
        }

    def _by_device(self) -> dict[str, list[int]]:
        found: defaultdict[str, list[int]] = defaultdict(list)
        for one in self.accepted.values():
            found[one["device_id"]].append(one["timestamp"])
        return {device: sorted(times) for device, times in found.items()}
