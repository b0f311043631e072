"""A run from its plan to what differs."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import click

from trackstream.cli.base import Problem
from trackstream.cli.client import Collector
from trackstream.cli.running import needed
from trackstream.cli.simulation.campaigns import ensure_links
from trackstream.cli.simulation.journeys import NEEDS_ADDRESSES, journeys
from trackstream.cli.simulation.outcomes import wait
from trackstream.cli.simulation.people import Agents
from trackstream.cli.simulation.player import Player
from trackstream.storage.database import make_engine
from trackstream.storage.log_sink import KafkaSink
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey
from trackstream.storage.user_agents import UaParser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from trackstream.cli.simulation.outcomes import Difference
    from trackstream.cli.simulation.steps import Journey
    from trackstream.ports import TrackingLink
    from trackstream.settings import Settings

__all__ = ["Plan", "simulated"]

_NEWS_S = 30.0
"""Within which collectors know a new link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to simulate."""

    users: int
    seed: int
    rate: float | None
    run: str | None
    user_agents: Path | None
    patience_s: float


async def simulated(settings: Settings, plan: Plan) -> tuple[list[Journey], list[Difference]]:
    """Play, wait, compare; progress goes to standard error.

    Returns:
        What was played, and what did not come out as is true.

    Raises:
        Problem: something that is needed is not set, or the collector does not answer.
    """
    url, postgres_url, _, key_id, secret = needed(
        settings, "collector_url", "postgres_url", "kafka_url", "key_id", "secret"
    )
    run = plan.run or f"sim{secrets.token_hex(4)}"
    addresses = _is_here(url)
    if not addresses:
        click.echo(
            f"left out: {', '.join(sorted(NEEDS_ADDRESSES))} "
            "(they need a collector at 127.0.0.1, which sees where each click comes from)",
            err=True,
        )
    engine = make_engine(postgres_url)
    sink = KafkaSink(settings)
    try:
        links = await _links(engine, settings, url)
        played = journeys(
            users=plan.users,
            seed=plan.seed,
            run=run,
            agents=Agents(plan.user_agents),
            campaigns=len(links),
            addresses=addresses,
        )
        began_s = time.monotonic()
        async with Collector(url, key_id=key_id, secret=secret, connections=16) as collector:
            player = Player(
                url,
                collector=collector,
                links=links,
                sink=sink,
                user_agents=UaParser(),
                addresses=addresses,
            )
            with _progress(len(played)) as done:
                await player.play(played, rate=plan.rate, done=done)
        click.echo(
            f"run {run}: {len(played)} people, {player.visits} clicks and impressions, "
            f"{player.posts} events in {time.monotonic() - began_s:.1f} s; "
            "waiting for the attributions",
            err=True,
        )
        different = await wait(
            engine,
            app_id=settings.app_id,
            journeys=played,
            campaign_ids=[link.campaign_id for link in links],
            patience_s=plan.patience_s,
        )
    finally:
        await sink.stop()
        engine.dispose()
    return played, different


async def _links(engine: Engine, settings: Settings, url: str) -> Sequence[TrackingLink]:
    registry = Registry(engine, MasterKey.load(settings))
    links, new = await asyncio.to_thread(ensure_links, registry, settings.app_id)
    if new:
        await _known(url, links[-1])
    return links


async def _known(url: str, link: TrackingLink) -> None:
    """Wait until the collector knows the link, which it reads some seconds later."""
    deadline = time.monotonic() + _NEWS_S
    address = f"{url.rstrip('/')}/c/{link.slug}"
    # A crawler's visit, so that it counts for nothing.
    headers = {"User-Agent": "Mozilla/5.0 (compatible; ExampleBot/1.0)"}
    async with aiohttp.ClientSession(headers=headers) as session:
        while time.monotonic() < deadline:
            async with session.get(address, allow_redirects=False) as response:
                if response.status == 302:
                    return
            await asyncio.sleep(0.25)
    raise Problem(f"the collector at {url} does not know {address}: does it use the same database?")


def _is_here(url: str) -> bool:
    try:
        address = ipaddress.ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return False
    return address.version == 4 and address.is_loopback and sys.platform == "linux"


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Playing", total=total)
        yield lambda: progress.advance(task)
