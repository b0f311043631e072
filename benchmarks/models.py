"""Attribution models: how long they take on generated journeys, and in how much memory."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trackstream.analysis.fitting import Wanted, fit
from trackstream.analysis.path_file import read
from trackstream.analysis.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Measured", "run"]

_MODELS = {
    "linear": Wanted(model="linear"),
    "markov 1": Wanted(model="markov", order=1),
    "markov 2": Wanted(model="markov", order=2),
    "markov 3": Wanted(model="markov", order=3),
    "shapley": Wanted(model="shapley"),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One model, or the reading of the file."""

    what: str
    cpu_s: float
    wall_s: float
    peak_mib: float
    """Of the process so far."""

    def __str__(self) -> str:
        return (
            f"{self.what:<10} {self.wall_s:>7.2f} s, {self.cpu_s:>7.2f} s CPU, "
            f"{self.peak_mib:>6,.0f} MiB at most"
        )


def run(argv: list[str]) -> list[Measured]:
    """Measure reading a path file and each model over it, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks models", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="lines of the path file")
    parser.add_argument("--channels", type=int, default=16, help="2 to 62")
    parser.add_argument("--touches", type=float, default=4.0, help="mean length of a journey")
    parser.add_argument("--model", action="append", choices=_MODELS, help="again for another")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    lines = list(_lines(options.rows, options.channels, options.touches, options.seed))
    print(f"{options.rows:,} rows, {options.channels} channels, {options.touches:g} touches a row")
    results = []

    clock = _Clock()
    paths = Paths(read(lines))
    results.append(clock.measured("read"))
    print(results[-1], flush=True)
    for name in options.model or _MODELS:
        clock = _Clock()
        fit(_MODELS[name], paths, own={})
        results.append(clock.measured(name))
        print(results[-1], flush=True)
    return results


class _Clock:
    def __init__(self) -> None:
        self._wall_s = time.perf_counter()
        self._cpu_s = time.process_time()

    def measured(self, what: str) -> Measured:
        return Measured(
            what=what,
            cpu_s=time.process_time() - self._cpu_s,
            wall_s=time.perf_counter() - self._wall_s,
            peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )


def _lines(rows: int, channels: int, touches: float, seed: int) -> Iterator[str]:
    """A path file: channels of very different frequency, a tenth of the journeys converted."""
    rng = np.random.default_rng(seed)
    names = [f"channel-{i:02}" for i in range(channels)]
    frequency = 1.0 / np.arange(1, channels + 1)
    lengths = rng.geometric(1.0 / touches, rows)
    codes = iter(rng.choice(channels, int(lengths.sum()), p=frequency / frequency.sum()).tolist())
    yield "path,total_conversions,total_conversion_value,total_null\n"
    converted = (rng.random(rows) < 0.1).astype(int).tolist()
    values = rng.gamma(2.0, 20.0, rows).tolist()
    for length, conversions, value in zip(lengths.tolist(), converted, values, strict=True):
        path = " > ".join(names[next(codes)] for _ in range(length))
        yield f"{path},{conversions},{value * conversions:.2f},{1 - conversions}\n"


if __name__ == "__main__":
    run(sys.argv[1:])
