"""Plays journeys against a running collector, as the people's own devices would."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from trackstream.cli.base import Problem
from trackstream.cli.simulation.steps import Post, Visit
from trackstream.core import touches
from trackstream.http.clicks import CLICK_ID_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackstream.cli.client import Collector
    from trackstream.cli.simulation.steps import Journey
    from trackstream.ports import Sink, TrackingLink, UserAgentLookup

__all__ = ["Player"]

_AT_ONCE = 16
_STEP_PAUSE_S = 0.003
"""Clicks of one person are not in the same millisecond."""
_TRIES = 6
_INSTALL = "/v1/install"


class Player:
    """Plays journeys; what it did is counted.

    Args:
        url: the collector's, without a path.
        collector: posts events, signed.
        links: one for each campaign, in the order of the journeys' numbers.
        sink: takes what happened too long ago to be sent over HTTP.
        user_agents: for those touches.
        addresses: whether clicks come from each person's own address.

    Attributes:
        visits: clicks and impressions.
        posts: events, each as often as it was posted.
    """

    def __init__(
        self,
        url: str,
        *,
        collector: Collector,
        links: Sequence[TrackingLink],
        sink: Sink,
        user_agents: UserAgentLookup,
        addresses: bool,
    ) -> None:
        self._url = url.rstrip("/")
        self._collector = collector
        self._links = links
        self._sink = sink
        self._user_agents = user_agents
        self._addresses = addresses
        self.visits = 0
        self.posts = 0

    async def play(
        self,
        journeys: Sequence[Journey],
        *,
        rate: float | None,
        done: Callable[[], None],
    ) -> None:
        """Play all of them, several at once.

        Args:
            journeys: what to play.
            rate: journeys begun in a second; None: as many as the collector takes.
            done: called after each.

        Raises:
            Problem: the collector does not answer, or refuses something.
        """
        slots = asyncio.Semaphore(_AT_ONCE)
        began_s = time.monotonic()

        async def one(number: int, journey: Journey) -> None:
            if rate is not None:
                await asyncio.sleep(began_s + number / rate - time.monotonic())
            async with slots:
                await self._play(journey)
            done()

        try:
            async with asyncio.TaskGroup() as group:
                for number, journey in enumerate(journeys):
                    group.create_task(one(number, journey))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _play(self, journey: Journey) -> None:
        brought: dict[str, str] = {}
        for step in journey.steps:
            if isinstance(step, Post):
                await self._post(step, brought)
            elif step.age_ms:
                await self._write(step)
            else:
                brought.update(await self._visit(step))
            await asyncio.sleep(_STEP_PAUSE_S)

    async def _visit(self, step: Visit) -> dict[str, str]:
        link = self._links[step.campaign]
        if step.kind == "click":
            url, query = f"{self._url}/c/{link.slug}", step.query
        else:
            url, query = f"{self._url}/v1/impression", {"cid": link.campaign_id, **step.query}
        connector = aiohttp.TCPConnector(
            local_addr=(step.address, 0) if self._addresses else None, force_close=True
        )
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            for attempt in range(_TRIES):
                async with session.get(
                    url,
                    params=query,
                    headers={"User-Agent": step.user_agent},
                    allow_redirects=False,
                ) as response:
                    # A click that the log did not take in time is redirected all the same.
                    kept = step.kind != "click" or step.bot or CLICK_ID_HEADER in response.headers
                    if response.status in {200, 302} and kept:
                        self.visits += 1
                        return _brought(response.headers.get("Location", ""))
                    if response.status not in {302, 429, 503}:
                        raise Problem(
                            f"the collector answers {url} with {response.status}: "
                            f"{(await response.text())[:200]}"
                        )
                await asyncio.sleep(0.1 * 2**attempt)
        raise Problem(f"the collector at {self._url} stays busy; try a lower --rate")

    async def _post(self, step: Post, brought: dict[str, str]) -> None:
        at_ms = int(time.time() * 1000) - step.age_ms
        event: dict[str, Any] = {**step.event, "timestamp": at_ms}
        if step.path == _INSTALL:
            # Nobody waits for a download here: without the store's word that it began after the
            # click, an install so soon is fraud.
            event["referral"] = {"install_begin_timestamp_seconds": at_ms // 1000}
        if step.brings == "referrer":
            event["referral"]["install_referrer"] = brought["referrer"]
        elif step.brings == "page":
            event["context"] = {**event["context"], "page": {"url": brought["page"]}}
        for _ in range(step.times):
            answer = await self._collector.post(step.path, event)
            if answer.status != 201:
                raise Problem(f"the collector refuses {event['event_id']}: {answer.detail}")
            self.posts += 1

    async def _write(self, step: Visit) -> None:
        """Write a touch of the past to the log, as the collector did when it was made."""
        from trackstream.codec import encode

        link = self._links[step.campaign]
        touch_id = hashlib.blake2b(repr(step).encode(), digest_size=16).hexdigest()
        touch = touches.touch_of(
            step.kind,
            link,
            touches.Visit(
                at_ms=int(time.time() * 1000) - step.age_ms,
                ip=step.address,
                user_agent=step.user_agent,
                agent=self._user_agents.parse(step.user_agent),
                language=None,
                cookie_id=None,
            ),
            step.query,
            touch_id=touch_id,
            click_id=touch_id,
            destination=link.web_url,
        )
        value = encode(touch)
        messages = [("identity", key.encode(), value) for key in touches.keys_of(touch)]
        subject = touches.subject_of_touch(touch)
        if subject is not None:
            messages.append(("raw", subject.encode(), value))
        await self._sink.send(messages)
        self.visits += 1


def _brought(location: str) -> dict[str, str]:
    """What a redirect hands on: the page, and Play's referrer if it leads there."""
    if not location:
        return {}
    referrer = parse_qs(urlsplit(location).query).get("referrer", [])
    return {"page": location} | ({"referrer": referrer[0]} if referrer else {})
