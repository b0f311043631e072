"""What `trackstream up` says: progress while it starts, then where everything is."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.console import Console

from trackstream.cli.output import harmless, moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trackstream.cli.running import Running
    from trackstream.core.records import Attribution

__all__ = ["Progress", "attribution_line", "ready_json", "ready_text"]


_PHONE = "Mozilla/5.0 (Linux; Android 14; Pixel 8)"
"""Programs such as curl are crawlers to the collector, whose clicks are redirected, not kept."""

_INSTALL = (
    """{"event": "install", "device_id": "device-1", """
    # The shell puts the time in, to the millisecond: in whole seconds it would be before the click.
    """"timestamp": "'$(date -u +%FT%T.%3NZ)'", """
    # As Android's install referrer tells it; without, an install soon after its click is fraud.
    """"referral": {"install_begin_timestamp_seconds": '$(date +%s)'}}"""
)


class Progress:
    """Lines on standard error, with a moving one in a terminal that names what is awaited."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("Starting") if self._console.is_terminal else None
        self._awaited: list[str] = []
        self._began_s = time.monotonic()

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the moving line while the block runs."""
        if self._status is None:
            yield
            return
        with self._status:
            yield

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Name what the block waits for; say that it is ready, unless the block raises."""
        self._awaited.append(name)
        self._update()
        try:
            yield
        finally:
            self._awaited.remove(name)
            self._update()
        self.say(f"{time.monotonic() - self._began_s:5.1f} s  {name}")

    def say(self, line: str) -> None:
        """One line."""
        self._console.print(line, markup=False, soft_wrap=True)

    def _update(self) -> None:
        if self._status is not None:
            self._status.update(f"Starting {', '.join(self._awaited)} …")


def ready_json(running: Running) -> str:
    """The one line of `--json`."""
    return json.dumps({"ready": True, **asdict(running)})


def ready_text(running: Running, *, slug: str, data_dir: Path, console: Console) -> None:
    """Where everything is, and two commands to paste."""
    tls = running.collector_url.startswith("https:")
    curl = "curl -k" if tls else "curl"

    def say(line: str = "") -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    say()
    say("TrackStream is ready.")
    say(f"  collector   {running.collector_url}")
    say(f"  worker      {running.worker_url}")
    say(f"  live page   {running.worker_url}/live")
    say(f"  Kafka       {running.kafka}")
    say(f"  PostgreSQL  {running.postgres}")
    say(f"  Redis       {running.redis}")
    say(f"  app         {running.app_id}, write key {running.write_key}")
    say(f"  data, logs  {data_dir}")
    say()
    say("A click on a tracking link, from a phone:")
    say()
    say(f"  {curl} -si -A '{_PHONE}' \\")
    say(f"    '{running.collector_url}/c/{slug}?device_id=device-1'")
    say()
    say("The first open of the app on that phone:")
    say()
    say(f"  {curl} -s -A '{_PHONE}' \\")
    say(f"    {running.collector_url}/v1/install \\")
    say(f"    -H 'X-Trackstream-Write-Key: {running.write_key}' \\")
    say("    -H 'Content-Type: application/json' \\")
    say(f"    -d '{_INSTALL}'")
    say()
    if tls:
        say("(-k, because the certificate is for another name than this machine's address.)")
        say()
    say("Each attribution shows here as it is made. Ctrl-C stops everything.")


def attribution_line(record: Attribution) -> str:
    """One decision: when, for which app, what, how, whose, and its id."""
    campaign = record.touch.campaign_id if record.touch else None
    again = f"  revision {record.revision}" if record.revision > 1 else ""
    line = (
        f"{moment(record.decided_at_ms)}  {record.app_id}  {record.event}  {record.method}  "
        f"{campaign or '-'}  {record.conversion_id}{again}"
    )
    return harmless(line).replace("\n", "\ufffd")


def echo(line: str, *, err: bool) -> None:
    """Print a line at once, whoever reads."""
    with contextlib.suppress(BrokenPipeError):
        click.echo(line, err=err)
