"""Sending what was refused again: to the collector, or to the topic that it came from."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trackstream.cli.base import Problem
from trackstream.cli.client import Collector
from trackstream.cli.running import needed
from trackstream.core.reasons import Reason
from trackstream.core.resending import resendable
from trackstream.ports import Undelivered
from trackstream.storage.log_sink import KafkaSink
from trackstream.storage.rejections import app_of_key, found, mark_replayed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from trackstream.cli.client import Answer
    from trackstream.settings import Settings
    from trackstream.storage.rejections import Kept

__all__ = ["Totals", "run", "why_not"]

_CUT_BYTES = 256 * 1024
"""What the collector keeps of an original at most."""
_SHOWN = 20


@dataclass(slots=True)
class Totals:
    """What became of it.

    Attributes:
        counts: by result: `accepted`, `partly`, `refused`, `sent` to a topic, or `left`.
        problems: why, for the first of those that were refused again or left.
        stopped: why the rest was not tried; empty if it was.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    stopped: str = ""

    def count(self, kept: Kept, result: str, why: str = "") -> None:
        """Count one, and keep why."""
        self.counts[result] += 1
        if why and len(self.problems) < _SHOWN:
            self.problems.append(f"{kept.rejected_id}: {result}: {why}")


async def run(kept: Sequence[Kept], engine: Engine, settings: Settings) -> Totals:
    """Send these again, one after the other, each marked before the next is sent.

    Raises:
        Problem: a setting is missing that it takes.
        StorageUnavailableError: PostgreSQL does not answer.
    """
    totals = Totals()
    async with AsyncExitStack() as stack:
        collector: Collector | None = None
        sink: KafkaSink | None = None
        key_app: str | None = None
        for one in kept:
            why = why_not(one)
            posted = one.origin is not None and one.origin.startswith("/")
            if not why and posted and collector is None:
                url, key_id, secret = needed(settings, "collector_url", "key_id", "secret")
                key_app = await asyncio.to_thread(app_of_key, engine, key_id)
                collector = await stack.enter_async_context(
                    Collector(url, key_id=key_id, secret=secret)
                )
            if not why and posted and one.app_id != key_app:
                why = f"it is {one.app_id}'s, and TRACKSTREAM_KEY_ID a key of {key_app}"
            if why:
                totals.count(one, "left", why)
                continue
            _, payload = await asyncio.to_thread(found, engine, one.rejected_id)
            try:
                if posted and collector is not None:
                    result, why = await _post(one, payload, collector)
                else:
                    if sink is None:
                        needed(settings, "kafka_url")
                        sink = KafkaSink(settings)
                        stack.push_async_callback(sink.stop)
                    await sink.send([(one.origin or "", (one.key or "").encode(), payload)])
                    result = "sent"
            except (Problem, Undelivered) as error:
                totals.stopped = str(error)
                break
            await asyncio.to_thread(mark_replayed, engine, one.rejected_id, result)
            totals.count(one, result, why)
    return totals


def why_not(kept: Kept) -> str:
    """Why it cannot be sent again; empty if it can."""
    if Reason.BOT in kept.reasons:
        return "it is a robot's: kept to be looked at, there is nothing to send again"
    if kept.origin is None:
        return "it is not known where it could be sent again"
    is_request = kept.stage == "collector" and not kept.rejected_id.startswith("spool:")
    if is_request and kept.payload_bytes >= _CUT_BYTES:
        return f"its original was cut off after {_CUT_BYTES} bytes"
    return ""


async def _post(kept: Kept, payload: bytes, collector: Collector) -> tuple[str, str]:
    body = resendable(
        payload,
        origin=kept.origin or "",
        received_at_ms=kept.received_at_ms,
        now_ms=time.time_ns() // 1_000_000,
        ip=kept.ip,
        user_agent=kept.user_agent,
    )
    answer = await collector.post_body(
        kept.origin or "", body, idempotency_key=f"rejected:{kept.rejected_id}"
    )
    return _judged(answer)


def _judged(answer: Answer) -> tuple[str, str]:
    """The result, and why if it is not only `accepted`."""
    document = answer.document
    if answer.status not in {200, 201, 207}:
        return "refused", answer.detail
    if not document.get("rejected"):
        return "accepted", ""
    reasons = {reason for one in document.get("events", []) for reason in one.get("reasons", ())}
    return ("partly" if document.get("accepted") else "refused"), ", ".join(sorted(reasons))
