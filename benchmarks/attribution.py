"""An install's way through everything: how many a second, how soon, and what its touches weigh.

`trackstream up` runs the whole service on this machine, with the embedded servers; clicks and
installs go over HTTP, and the attributions are read from their topic. Measured are

- from an install's 201 to its attribution on the topic, one install at a time on an idle system;
- attributions a second when installs are posted as fast as the collector takes them, with the CPU
  time that each process spends on one, as the client and everything else share the cores;
- the bytes of `touchpoints` for a thousand clicks that nobody has followed up, as they are
  serialised, and as RocksDB holds them when compacted.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

import aiohttp
import psutil

from benchmarks.attribution_parts import Arrivals, state_bytes, unfollowed
from trackstream.cli.client import Collector
from trackstream.settings import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Result", "run"]

_PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/129.0.6668.70 Mobile Safari/537.36"
)
_CONNECTIONS = 16
_START_S = 60.0
_PATIENCE_S = 60.0
_WARM = 20
_PROGRAMS = {
    "collect": "collector",
    "worker": "worker",
    "warehouse": "warehouse",
    "trackstream.embedded.broker": "broker",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run has shown."""

    installs: int
    posted_per_s: float
    """How fast the client posted them."""
    attributed_per_s: float
    """Between a tenth of the attributions and all."""
    cpu_us_per_install: dict[str, float]
    """By program."""
    latencies: int
    p50_ms: float
    p99_ms: float
    most_ms: float
    touches: int
    state_bytes_per_thousand_touches: int
    """Serialised, keys included."""
    stored_bytes_per_thousand_touches: int
    """In RocksDB's files."""

    def __str__(self) -> str:
        cpu = ", ".join(f"{name} {us:,.0f}" for name, us in self.cpu_us_per_install.items())
        return (
            f"throughput  {self.attributed_per_s:8,.0f} installs/s attributed, "
            f"{self.posted_per_s:,.0f}/s posted ({self.installs:,} installs)\n"
            f"CPU         {sum(self.cpu_us_per_install.values()):8,.0f} us per install: {cpu}\n"
            f"latency     {self.p50_ms:8.1f} ms p50, {self.p99_ms:.1f} ms p99, "
            f"{self.most_ms:.1f} ms at most, from 201 to attribution ({self.latencies})\n"
            f"state       {self.state_bytes_per_thousand_touches:8,} bytes per thousand touches, "
            f"{self.stored_bytes_per_thousand_touches:,} in RocksDB ({self.touches:,})"
        )


def run(argv: list[str]) -> Result:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks attribution",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--installs", type=int, default=2_000, help="for the throughput")
    parser.add_argument("--latencies", type=int, default=300, help="installs one at a time")
    parser.add_argument("--touches", type=int, default=1_000, help="for the bytes of state")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        with _up(data_dir) as (process, ready):
            bench = _Bench(ready, process)
            keys = asyncio.run(unfollowed(ready, options.touches))
            latencies_ms = asyncio.run(bench.latencies(options.latencies))
            posted, attributed, cpu = asyncio.run(bench.throughput(options.installs))
        serialised, stored = state_bytes(data_dir, keys)
    percentiles = statistics.quantiles(latencies_ms, n=100, method="inclusive")
    result = Result(
        installs=options.installs,
        posted_per_s=round(posted, 1),
        attributed_per_s=round(attributed, 1),
        cpu_us_per_install={name: round(us, 1) for name, us in cpu.items()},
        latencies=options.latencies,
        p50_ms=round(percentiles[49], 2),
        p99_ms=round(percentiles[98], 2),
        most_ms=round(max(latencies_ms), 2),
        touches=options.touches,
        state_bytes_per_thousand_touches=round(serialised * 1000 / options.touches),
        stored_bytes_per_thousand_touches=round(stored * 1000 / options.touches),
    )
    print(json.dumps(dataclasses.asdict(result)) if options.json else result, flush=True)
    return result


@contextmanager
def _up(data_dir: Path) -> Iterator[tuple[psutil.Process, dict[str, Any]]]:
    """`trackstream up` while the block runs: its process, and where everything is."""
    environ = {key: one for key, one in os.environ.items() if not key.startswith(PREFIX)}
    ports = dict.fromkeys(("COLLECTOR_PORT", "WORKER_PORT"), "0")
    own = {PREFIX + key: one for key, one in ({"DATA_DIR": str(data_dir)} | ports).items()}
    with subprocess.Popen(
        [sys.executable, "-m", "trackstream", "up", "--json"],
        env=environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("`trackstream up` does not start")
            yield psutil.Process(process.pid), json.loads(line)
        finally:
            process.terminate()
            process.wait(_START_S)


class _Bench:
    """Clicks and installs of devices that are each on a network of their own."""

    def __init__(self, ready: dict[str, Any], up: psutil.Process) -> None:
        self._ready = ready
        self._up = up
        self._url = ready["collector_url"]

    async def latencies(self, count: int) -> list[float]:
        """Milliseconds from 201 to the attribution, one install at a time."""
        names = [f"one-{number}" for number in range(count + _WARM)]
        await self._click(names)
        rng = Random(1)
        measured = []
        async with self._collector() as collector, Arrivals(self._ready) as arrivals:
            for name in names:
                await self._install(collector, name)
                answered_s = time.perf_counter()
                arrived_s = await arrivals.of(name, _PATIENCE_S)
                measured.append(max(0.0, arrived_s - answered_s) * 1000)
                await asyncio.sleep(rng.uniform(0.005, 0.05))
        # The first ones pay for connections and caches.
        return measured[_WARM:]

    async def throughput(self, count: int) -> tuple[float, float, dict[str, float]]:
        """Posted and attributed installs a second, and CPU microseconds each, by program."""
        names = [f"many-{number}" for number in range(count)]
        await self._click(names)
        async with self._collector() as collector, Arrivals(self._ready) as arrivals:
            before, began_s = self._cpu_s(), time.perf_counter()
            await _at_once([self._install(collector, name) for name in names])
            posted_s = time.perf_counter() - began_s
            times = sorted([await arrivals.of(name, _PATIENCE_S) for name in names])
            after = self._cpu_s()
        first = times[count // 10]
        cpu = {name: (after[name] - before[name]) / count * 1e6 for name in before}
        return count / posted_s, (count - count // 10 - 1) / (times[-1] - first), cpu

    def _collector(self) -> Collector:
        ready = self._ready
        return Collector(
            self._url, key_id=ready["key_id"], secret=ready["secret"], connections=_CONNECTIONS
        )

    async def _install(self, collector: Collector, name: str) -> None:
        now_ms = time.time_ns() // 1_000_000
        number = crc32(name.encode())
        answer = await collector.post(
            "/v1/install",
            {
                "event": "install",
                "event_id": name,
                "device_id": name,
                "timestamp": now_ms,
                "referral": {"install_begin_timestamp_seconds": now_ms // 1000},
                "context": {
                    "user_agent": _PHONE,
                    "ip": f"fd00::{number >> 16:x}:{number & 0xFFFF:x}:0:1",
                },
            },
        )
        if answer.status != 201:
            raise RuntimeError(f"{answer.status}: {answer.detail}")

    async def _click(self, names: list[str]) -> None:
        """A click for each, on a link that names the device, each from its own address."""
        slug = f"{self._ready['app_id']}-hello"

        async def click(number: int, name: str) -> None:
            address = f"127.{1 + number // 250 % 250}.{number % 250}.9"
            connector = aiohttp.TCPConnector(local_addr=(address, 0), force_close=True)
            async with (
                aiohttp.ClientSession(
                    connector=connector, cookie_jar=aiohttp.DummyCookieJar()
                ) as session,
                session.get(
                    f"{self._url}/c/{slug}",
                    params={"device_id": name},
                    headers={"User-Agent": _PHONE},
                    allow_redirects=False,
                ) as response,
            ):
                if response.status != 302:
                    raise RuntimeError(f"a click is answered with {response.status}")

        await _at_once([click(number, name) for number, name in enumerate(names)])

    def _cpu_s(self) -> dict[str, float]:
        """CPU seconds of each of our programs so far."""
        spent: dict[str, float] = {}
        for child in self._up.children():
            words = child.cmdline()
            name = next((_PROGRAMS[one] for one in _PROGRAMS if one in words), None)
            if name is not None:
                times = child.cpu_times()
                spent[name] = times.user + times.system
        return spent


async def _at_once(work: list[Any]) -> None:
    """Run coroutines, some at once."""
    left = iter(work)

    async def some() -> None:
        for one in left:
            await one

    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(some())
