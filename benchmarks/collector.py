"""Stage "collector": what a request costs one core, beside aiohttp's bare hello.

Each server is a process of its own, and what counts is the CPU time that it spends on a request: so
neither the client nor others who use the machine are in it. In each round all are measured one
after another, because machines are not equally fast all the time; ratios are those of a round, and
the median of the rounds is shown. `--instructions` counts those of user space, by valgrind: without
the kernel's share, but the same each time.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import msgspec
import uvloop

from benchmarks.collector_server import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Measured", "run"]

_CONNECTIONS = 16
_WARM_S = 0.1
_WARM_REQUESTS = 150
_COUNTED_REQUESTS = 500
_NUMBER = "@number@"
"""In a request: a number that is another each time it is sent."""
_AGENT = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind of request."""

    name: str
    cost: float
    """Microseconds of CPU, or thousands of instructions."""
    unit: str
    ratio: float
    """What the bare hello costs, divided by it: requests per second and core compare so."""
    events: int
    """In a request."""

    def __str__(self) -> str:
        text = f"collector: {self.name}: {self.cost:,.1f} {self.unit} ({self.ratio:.2f} of hello)"
        if self.unit != _MICROSECONDS:
            return text
        per_s = 1e6 / self.cost
        events = f", {per_s * self.events:,.0f} events/s" if self.events else ""
        return f"{text}: {per_s:,.0f} requests/s{events} for each core"


_MICROSECONDS = "us of CPU"


def run(argv: Sequence[str] = ()) -> list[Measured]:
    """Measure each kind and print."""
    parser = argparse.ArgumentParser(prog="benchmarks collector", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="for a kind in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--instructions", action="store_true", help="count them instead; needs valgrind, a minute"
    )
    options = parser.parse_args(argv)
    kinds = _kinds()
    if options.instructions:
        costs = [[_instructions(request) / 1000 for _, request, _ in kinds]]
    else:
        costs = _microseconds([request for _, request, _ in kinds], options)
    unit = "thousand instructions" if options.instructions else _MICROSECONDS
    found = []
    for index, (name, _, events) in enumerate(kinds):
        cost = statistics.median(one[index] for one in costs)
        ratio = statistics.median(one[0] / one[index] for one in costs)
        found.append(Measured(name, cost, unit, ratio, events))
        print(found[-1], flush=True)
    return found


def _kinds() -> list[tuple[str, _Request, int]]:
    """Name, request, events in it; the first is the bare server's."""
    event = {
        "event": "add_to_cart",
        "user_id": "user-5678",
        "timestamp": time.time_ns() // 1_000_000,
        "properties": {"product_id": "p123", "price": 49.99},
    }
    return [
        ("hello", _request("GET", "/hello"), 0),
        ("one event", _request("POST", "/v1/event", event), 1),
        ("batch of 20", _request("POST", "/v1/batch", {"events": [event] * 20}), 20),
        ("click", _request("GET", "/c/s?utm_source=ad&gclid=abc123"), 0),
        ("first click on an ad", _request("GET", f"/c/s?adgroup={_NUMBER}&gclid=abc123"), 0),
    ]


class _Request:
    """What is sent again and again.

    Args:
        text: as it goes over the wire, but for numbers.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._numbers = count() if _NUMBER.encode() in text else None
        self.is_bare = text.startswith(b"GET /hello ")

    def next(self) -> bytes:
        """As it goes over the wire now."""
        if self._numbers is None:
            return self._text
        return self._text.replace(_NUMBER.encode(), b"%d" % next(self._numbers))


def _request(method: str, path: str, document: object = None) -> _Request:
    body = b"" if document is None else msgspec.json.encode(document)
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"User-Agent: {_AGENT}",
        "Accept: */*",
    ]
    if document is not None:
        lines += [
            "Content-Type: application/json",
            f"X-Trackstream-Write-Key: {KEY.key_id}",
            f"Content-Length: {len(body)}",
        ]
    return _Request("\r\n".join([*lines, "", ""]).encode() + body)


class _Server:
    """A process of `collector_server`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._in, self._out = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
        self.port = int(self._out.readline())

    def cpu_s(self) -> float:
        """What it has used since its start."""
        self._in.write("\n")
        self._in.flush()
        return float(self._out.readline())


@contextmanager
def _serving(which: str, *before: str) -> Iterator[tuple[_Server, int]]:
    """A server and its process id.

    Args:
        which: `bare` or `ours`.
        before: what it is run by.
    """
    command = [*before, sys.executable, "-m", "benchmarks.collector_server", which]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _Server(process), process.pid
        finally:
            cast("IO[str]", process.stdin).close()
            process.wait(60)


def _microseconds(requests: list[_Request], options: argparse.Namespace) -> list[list[float]]:
    """CPU of the server for each request, in each round."""
    with ExitStack() as stack:
        bare, _ = stack.enter_context(_serving("bare"))
        ours, _ = stack.enter_context(_serving("ours"))

        def cost(request: _Request) -> float:
            server = bare if request.is_bare else ours
            _answers(server.port, request, _until(_WARM_S))
            began_s = server.cpu_s()
            answers = _answers(server.port, request, _until(options.seconds))
            return (server.cpu_s() - began_s) / answers * 1e6

        return [[cost(one) for one in requests] for _ in range(options.rounds)]


def _instructions(request: _Request) -> float:
    """Instructions of user space for each request."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind"
        valgrind = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no"]
        which = "bare" if request.is_bare else "ours"
        with _serving(which, *valgrind, f"--callgrind-out-file={out}") as (server, pid):

            def control(*words: str) -> None:
                command = ["callgrind_control", *words, str(pid)]
                subprocess.run(command, check=True, capture_output=True)

            _answers(server.port, request, _count(_WARM_REQUESTS))
            control("-i", "on")
            answers = _answers(server.port, request, _count(_COUNTED_REQUESTS))
            control("-i", "off")
            control("-d")
            lines = out.with_name(f"{out.name}.1").read_text().splitlines()
        totals = next(line for line in lines if line.startswith("totals:"))
        return int(totals.split()[1]) / answers


def _until(seconds: float) -> Callable[[int], bool]:
    deadline_s = time.perf_counter() + seconds
    return lambda _: time.perf_counter() < deadline_s


def _count(wanted: int) -> Callable[[int], bool]:
    return lambda answers: answers < wanted


def _answers(port: int, request: _Request, more: Callable[[int], bool]) -> int:
    """Send the request again for each answer, on some connections; how often it was answered.

    Args:
        port: of the server.
        request: what is sent.
        more: by the number of answers so far, whether to go on.
    """
    return uvloop.run(_load(port, request, more))


async def _load(port: int, request: _Request, more: Callable[[int], bool]) -> int:
    loop = asyncio.get_running_loop()
    load = _Load(request, more)
    clients = []
    for _ in range(_CONNECTIONS):
        _, client = await loop.create_connection(lambda: _Client(load), "127.0.0.1", port)
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    return load.answers


@dataclass(slots=True)
class _Load:
    request: _Request
    more: Callable[[int], bool]
    answers: int = 0


class _Client(asyncio.Protocol):
    """One connection, which closes itself when there is enough."""

    def __init__(self, load: _Load) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._load = load
        self._transport: Any = None  # uvloop's is none of asyncio's classes
        self._kept = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self._load.request.next())

    def data_received(self, data: bytes) -> None:
        self._kept += data
        head, blank, rest = self._kept.partition(b"\r\n\r\n")
        if not blank or len(rest) < _length(head):
            return
        if head[9:10] not in {b"2", b"3"}:
            self.done.set_exception(RuntimeError(self._kept.decode()))
            self._transport.close()
            return
        self._kept = b""
        self._load.answers += 1
        if self._load.more(self._load.answers):
            self._transport.write(self._load.request.next())
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.done.done():
            self.done.set_result(None)


def _length(head: bytes) -> int:
    return int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or b"0")
