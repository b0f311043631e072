"""What malformed requests do to the collector: how it answers, and what they leave in memory.

The collector is its own process, with a broker and PostgreSQL behind it. Every hundred requests a
good one is sent, which has to be taken. Exit code 1 if one was not, or if an answer was a 500.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import psutil

from benchmarks.collect import collecting, prepare
from benchmarks.embedded import embedded
from benchmarks.malformed import request

__all__ = ["Fuzzed", "fuzz", "run"]

_CONNECTIONS = 32
_ANSWER_S = 0.5
"""How long an answer is waited for: what has no end gets none."""
_GOOD_ANSWER_S = 20.0
_GOOD_EVERY = 100
_MAX_ANSWER_BYTES = 4_096
_SETTLE_S = 1.0
_MIB = 2**20


@dataclass(slots=True)
class Fuzzed:
    """What was sent, and what came of it."""

    requests: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """By status; `none`: the connection was closed, or nothing came."""
    kinds: Counter[str] = field(default_factory=Counter)
    good: Counter[str] = field(default_factory=Counter)
    """What was answered to the good requests in between."""
    wrong: list[str] = field(default_factory=list)
    """Each of these that was not taken: which, after how long, and what came."""
    took_s: float = 0
    rss_before_bytes: int = 0
    """After the first tenth: by then what is loaded on demand is there."""
    rss_after_bytes: int = 0
    rss_highest_bytes: int = 0
    connections_left: int = 0

    @property
    def failed(self) -> int:
        """Answers that say that the collector itself erred."""
        return sum(
            count
            for status, count in self.answers.items()
            if status.startswith("5") and status != "503"
        )

    @property
    def serving(self) -> bool:
        """Whether all of the good requests were taken, and no answer was an error of ours."""
        return self.good.keys() <= {"201"} and not self.failed

    def __str__(self) -> str:
        answers = ", ".join(f"{one}: {count:,}" for one, count in sorted(self.answers.items()))
        kinds = ", ".join(f"{one}: {count:,}" for one, count in sorted(self.kinds.items()))
        good = ", ".join(f"{one}: {count:,}" for one, count in sorted(self.good.items()))
        wrong = "".join(f"fuzz: not taken: {one}\n" for one in self.wrong)
        growth = self.rss_after_bytes - self.rss_before_bytes
        return (
            f"fuzz: {self.requests:,} malformed requests in {self.took_s:.0f} s ({kinds})\n"
            f"fuzz: answers {answers}; errors of ours: {self.failed}\n"
            f"fuzz: good requests in between: {good}\n{wrong}"
            f"fuzz: RSS {self.rss_before_bytes / _MIB:.1f} MiB after a tenth, "
            f"{self.rss_after_bytes / _MIB:.1f} MiB at the end ({growth / _MIB:+.1f} MiB), "
            f"{self.rss_highest_bytes / _MIB:.1f} MiB at most; "
            f"{self.connections_left} connections left"
        )


def run(argv: list[str]) -> Fuzzed:
    """Send as many as are asked for, and print."""
    parser = argparse.ArgumentParser(prog="benchmarks fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=300, help="stop then, whatever is left")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    with embedded(log_level="error") as settings:
        write_key = prepare(settings)
        with collecting(settings) as (port, pid):
            fuzzed = asyncio.run(
                fuzz(
                    port,
                    pid,
                    write_key,
                    requests=options.requests,
                    limit_s=options.seconds,
                    seed=options.seed,
                )
            )
    print(fuzzed, flush=True)
    return fuzzed


async def fuzz(
    port: int, pid: int, write_key: str, *, requests: int, limit_s: float, seed: int
) -> Fuzzed:
    """Send malformed requests to a collector on this machine.

    Args:
        port: where it listens.
        pid: its process, whose memory is looked at.
        write_key: one that it knows.
        requests: how many.
        limit_s: when to stop, at the latest.
        seed: the same one makes the same requests.
    """
    fuzzed = Fuzzed()
    process = psutil.Process(pid)
    random = Random(seed)
    began_s = time.monotonic()

    def begun() -> bool:
        return fuzzed.requests < requests and time.monotonic() - began_s < limit_s

    async def send_some() -> None:
        while begun():
            fuzzed.requests += 1
            number = fuzzed.requests
            kind, data = request(random, write_key)
            fuzzed.kinds[kind] += 1
            fuzzed.answers[(await _exchange(port, data)).status] += 1
            if number % _GOOD_EVERY == 0:
                sent_s = time.monotonic()
                answer = await _exchange(port, _good(write_key), _GOOD_ANSWER_S)
                fuzzed.good[answer.status] += 1
                if answer.status != "201":
                    took_s = time.monotonic() - sent_s
                    fuzzed.wrong.append(f"number {number}, after {took_s:.2f} s: {answer.text}")
                rss = process.memory_info().rss
                fuzzed.rss_highest_bytes = max(fuzzed.rss_highest_bytes, rss)
                if not fuzzed.rss_before_bytes and number * 10 >= requests:
                    fuzzed.rss_before_bytes = rss

    await asyncio.gather(*(send_some() for _ in range(_CONNECTIONS)))
    fuzzed.took_s = time.monotonic() - began_s
    await asyncio.sleep(_SETTLE_S)
    fuzzed.rss_after_bytes = process.memory_info().rss
    fuzzed.connections_left = sum(
        one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED
        for one in process.net_connections("tcp")
    )
    return fuzzed


def _good(write_key: str) -> bytes:
    body = b'{"event":"view","user_id":"u","timestamp":%d}' % time.time()
    return (
        b"POST /v1/event?write_key=%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
        b"Connection: close\r\n\r\n%s" % (write_key.encode(), len(body), body)
    )


class _Answer(NamedTuple):
    """The first answer to some bytes: its status, `none` without one; and what came, or why not."""

    status: str
    text: str


async def _exchange(port: int, data: bytes, answer_s: float = _ANSWER_S) -> _Answer:
    """Send the bytes on a connection of their own, which is then thrown away."""
    came, why = b"", "the connection was closed"
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        return _Answer("none", f"no connection: {error}")
    try:
        writer.write(data)
        async with asyncio.timeout(answer_s):
            came = await reader.read(_MAX_ANSWER_BYTES)
    except TimeoutError:
        why = f"nothing within {answer_s:g} s"
    except ConnectionError as error:
        why = repr(error)
    finally:
        writer.transport.abort()
    words = came.split(b" ", 2)
    if not came.startswith(b"HTTP/") or len(words) < 3:
        return _Answer("none", f"{why} {came!r}")
    return _Answer(words[1].decode("latin-1"), came.decode("latin-1"))
