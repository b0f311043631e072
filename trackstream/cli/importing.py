"""An access log on its way to the collector: read, parsed, batched, posted, counted."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import ipaddress
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import click

from trackstream.cli.access_log import MalformedLineError, Request, parse
from trackstream.cli.base import Problem
from trackstream.cli.client import Collector
from trackstream.storage.user_agents import UaParser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Plan", "Totals", "event_of", "run"]

_SHOWN = 20
"""Malformed lines and refusals that are shown one by one."""
_USER_AGENT_CHARS = 1_024
_URL_CHARS = 8_192
"""What the collector takes; servers allow clients to send more."""
_FRAME_BYTES = 64
_Batch = list[tuple[int, bytes]]
"""Line numbers and events, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to import, where to, and how."""

    file: str
    """A path, or `-`."""
    url: str
    key_id: str
    secret: str
    site: str
    batch: int
    concurrency: int
    max_body_bytes: int


@dataclass(slots=True, kw_only=True)
class Totals:
    """What came of it. Events are what the collector took, duplicates among them."""

    lines: int = 0
    events: int = 0
    malformed: int = 0
    refused: int = 0
    bots: int = 0
    visitors: set[str] = field(default_factory=set)
    seconds: float = 0.0

    def row(self) -> dict[str, int | float]:
        """The totals as a row of a table."""
        return {
            "lines": self.lines,
            "events": self.events,
            "malformed": self.malformed,
            "refused": self.refused,
            "bots": self.bots,
            "visitors": len(self.visitors),
            "seconds": round(self.seconds, 1),
        }


def event_of(request: Request, *, line: bytes, number: int, site: str) -> dict[str, Any]:
    """The request as an event in the collector's JSON.

    Args:
        request: the parsed line.
        line: the line as it stands in the file, without its end.
        number: its number in the file, from 1.
        site: put before a target that is a path.
    """
    sent_by = request.user_agent or ""
    agent = sent_by[:_USER_AGENT_CHARS]
    target = request.target or ""
    context: dict[str, Any] = {
        "page": {
            "url": (site.rstrip("/") + target if target.startswith("/") else target)[:_URL_CHARS],
            "referrer": (request.referrer or "")[:_URL_CHARS],
        }
    }
    if agent:
        context["user_agent"] = agent
    # The log may hold names in place of addresses.
    with contextlib.suppress(ValueError):
        context["ip"] = str(ipaddress.ip_address(request.host))
    return {
        "event": "page_view",
        "event_id": f"log-{_digest(str(number).encode() + b' ' + line)}",
        "timestamp": request.at_ms,
        "cookie_id": f"log-{_digest(f'{request.host} {sent_by}'.encode())}",
        "properties": {
            "method": request.method,
            "status": request.status,
            "bytes": request.size_bytes,
        },
        "context": context,
    }


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


async def run(plan: Plan) -> Totals:
    """Import; progress, malformed lines and refusals go to standard error.

    Raises:
        Problem: the file cannot be read, or the collector cannot be reached or refuses the key.
    """
    totals = Totals()
    began_s = time.monotonic()
    batches: asyncio.Queue[_Batch | None] = asyncio.Queue(2 * plan.concurrency)
    async with Collector(
        plan.url, key_id=plan.key_id, secret=plan.secret, connections=plan.concurrency
    ) as collector:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(plan.concurrency):
                    group.create_task(_post_all(collector, batches, totals))
                await _read_all(plan, batches, totals)
                for _ in range(plan.concurrency):
                    await batches.put(None)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors
    totals.seconds = time.monotonic() - began_s
    return totals


async def _read_all(plan: Plan, batches: asyncio.Queue[_Batch | None], totals: Totals) -> None:
    agents = UaParser()
    batch: _Batch = []
    size_bytes = _FRAME_BYTES
    with _opened(plan.file) as (file, position, length), _progress(length) as advance:
        for number, ended in enumerate(_lines(file, plan.file), 1):
            line = ended.rstrip(b"\r\n")
            totals.lines += 1
            try:
                request = parse(line.decode(errors="replace"))
            except MalformedLineError as error:
                totals.malformed += 1
                _tell(totals.malformed, f"line {number}: {error}")
                continue
            event = event_of(request, line=line, number=number, site=plan.site)
            totals.visitors.add(event["cookie_id"])
            totals.bots += agents.parse(request.user_agent).bot
            body = json.dumps(event).encode()
            if batch and (
                len(batch) == plan.batch or size_bytes + len(body) + 1 > plan.max_body_bytes
            ):
                await batches.put(batch)
                advance(position())
                batch, size_bytes = [], _FRAME_BYTES
            batch.append((number, body))
            size_bytes += len(body) + 1
        if batch:
            await batches.put(batch)
        advance(position())


async def _post_all(
    collector: Collector, batches: asyncio.Queue[_Batch | None], totals: Totals
) -> None:
    while (batch := await batches.get()) is not None:
        answer = await collector.post_body(
            "/v1/batch", b'{"events":[' + b",".join(body for _, body in batch) + b"]}"
        )
        if answer.status == 201:
            totals.events += len(batch)
        elif answer.status == 207:
            _count_verdicts(answer.document, batch, totals)
        else:
            raise Problem(f"the collector refuses a batch: {answer.detail}")


def _count_verdicts(document: dict[str, Any], batch: _Batch, totals: Totals) -> None:
    verdicts = document.get("events", [])
    if len(verdicts) != len(batch):
        raise Problem(
            f"the collector gave {len(verdicts)} verdicts for {len(batch)} events: is it one?"
        )
    for (number, _), verdict in zip(batch, verdicts, strict=True):
        if verdict["status"] == "accepted":
            totals.events += 1
        else:
            totals.refused += 1
            said = "; ".join(
                f"{one['field']} {one['detail']}".strip() for one in verdict.get("errors", [])
            )
            _tell(totals.refused, f"line {number}: refused: {said or verdict.get('reasons')}")


def _tell(count: int, line: str) -> None:
    if count <= _SHOWN:
        click.echo(line, err=True)
    elif count == _SHOWN + 1:
        click.echo("… and more, which are counted only", err=True)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[BinaryIO, Callable[[], int], int | None]]:
    """The file's bytes, how far it has been read, and how long it is, if that is known."""
    if path == "-":
        yield sys.stdin.buffer, lambda: 0, None
        return
    try:
        raw = Path(path).open("rb")  # noqa: SIM115 # closed below
    except OSError as error:
        raise Problem(f"cannot read {path}: {error.strerror}") from error
    with raw:
        # Of a compressed file, progress is what has been read of it, not what has come out; of a
        # pipe, such as a shell's <(…), nobody knows how much there is.
        is_file = raw.seekable()
        position = raw.tell if is_file else lambda: 0
        length = os.fstat(raw.fileno()).st_size if is_file else None
        if path.endswith(".gz"):
            with gzip.open(raw) as inflated:
                yield cast("BinaryIO", inflated), position, length
        else:
            yield raw, position, length


def _lines(file: BinaryIO, path: str) -> Iterator[bytes]:
    try:
        yield from file
    except (OSError, EOFError) as error:
        raise Problem(f"cannot read {path}: {error}") from error


@contextlib.contextmanager
def _progress(length: int | None) -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Importing", total=length)
        yield lambda position: progress.update(task, completed=position)
