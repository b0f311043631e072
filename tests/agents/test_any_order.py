"""Random lives through a real worker on a real broker, in two orders, end as the reference says."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.agents.running import Log, Worker, now_ms
from tests.core.matching.world import Scenario, conversion, reference, touch
from trackstream.core.identifiers import scoped, subject_of
from trackstream.core.records import Attribution, Conversion, Envelope, RawEvent
from trackstream.core.rules import HOUR_MS, Rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.core.records import Record

pytestmark = pytest.mark.xdist_group("worker")

LIVES, ORDERS = 60, 2
APP = "demo"
Message = tuple[str, str, "Record"]
Outcome = tuple[str, str | None, str | None]


async def test_any_order_of_arrival_ends_in_the_decisions_of_one_who_sees_all(
    worker: Worker,
) -> None:
    began_ms = now_ms() - 40 * 24 * HOUR_MS
    want: dict[str, Outcome] = {}
    messages: list[Message] = []
    for number in range(LIVES):
        for order in range(ORDERS):
            life = _Life(f"life{number}-{order}-", Random(number), began_ms)
            want |= life.wanted()
            messages += life.messages()
    rng = Random(5)
    messages += rng.choices(messages, k=len(messages) // 5)  # and some twice
    rng.shuffle(messages)

    async with Log(worker.settings) as log:
        third = len(messages) // 3 + 1
        written: set[str] = set()
        for start in range(0, len(messages), third):
            for topic, key, record in messages[start : start + third]:
                await log.write(topic, key, record)
                if isinstance(record, Envelope):
                    written |= {f"{APP}:{one.event_id}" for one in record.events} & want.keys()
            # What comes from now on comes after decisions have been made without it.
            await log.until(_has_decided(written))
        with suppress(AssertionError, TimeoutError):
            await log.until(lambda log: _outcomes(log) == want)
        assert _outcomes(log) == want
        await asyncio.sleep(0.7)
        await log.all_so_far()

    assert _outcomes(log) == want
    assert {method for method, _, _ in want.values()} >= {
        "click_deterministic",
        "view_deterministic",
        "organic",
        "reinstall",
        "inherited",
    }
    revised = [one for one in log.of(Attribution) if one.revision > 1 and "life" in one.event_id]
    assert len(revised) > LIVES, "nearly all came in order"
    twins = _by_life(want)
    assert all(twins[f"life{number}-0-"] == twins[f"life{number}-1-"] for number in range(LIVES))


class _Life:
    """Touches, log-ins, installs and purchases of people who share some devices."""

    def __init__(self, name: str, rng: Random, began_ms: int) -> None:
        self.name = name

        def when() -> int:
            return began_ms + rng.randrange(20 * 24) * HOUR_MS

        devices = [f"{name}d{n}" for n in range(3)]
        users = [f"{name}u{n}" for n in range(2)]
        self._logins = [
            (when(), rng.choice(devices), rng.choice(users)) for _ in range(rng.randint(0, 3))
        ]
        touches = [
            touch(
                f"{name}t{n}",
                when(),
                rng.sample([*(f"device:{d}" for d in devices), *(f"user:{u}" for u in users)], 2),
                kind=rng.choice(["click", "click", "impression"]),
            )
            for n in range(rng.randint(1, 6))
        ]
        self.touches = [msgspec.structs.replace(one, app_id=APP) for one in touches]
        self._converted = [
            (
                rng.choice(["install", "install", "purchase"]),
                when(),
                rng.choice(devices),
                rng.choice([None, None, *users]),
            )
            for _ in range(rng.randint(1, 4))
        ]

    def wanted(self) -> dict[str, Outcome]:
        """By one who sees everything at once, in order of time."""
        links = [(f"device:{device}", f"user:{user}") for _, device, user in self._logins]
        links += [(f"device:{d}", f"user:{u}") for _, _, d, u in self._converted if u]
        asked = [self._conversion(number) for number in range(len(self._converted))]
        decided = reference(Scenario(self.touches, links, asked), Rules())
        return {
            key: (one.method, one.touch.touch_id if one.touch else None, one.inherited_from)
            for key, one in decided.items()
        }

    def messages(self) -> list[Message]:
        """(topic, key, record) of all that comes from outside."""
        sent: list[Message] = [
            ("identity", scoped(APP, identifier), one)
            for one in self.touches
            for identifier in one.identifiers
        ]
        for number, (event, at_ms, device, user) in enumerate(self._converted):
            sent.append(_posted(f"{self.name}c{number}", event, at_ms, device, user))
        for number, (at_ms, device, user) in enumerate(self._logins):
            sent.append(_posted(f"{self.name}l{number}", "login", at_ms, device, user))
        return sent

    def _conversion(self, number: int) -> Conversion:
        event, at_ms, device, user = self._converted[number]
        own = ([f"user:{user}"] if user else []) + [f"device:{device}"]
        kind = "install" if event == "install" else "event"
        one = conversion(f"{APP}:{self.name}c{number}", at_ms, own, kind=kind)
        return msgspec.structs.replace(one, app_id=APP, event=event)


def _posted(event_id: str, event: str, at_ms: int, device: str, user: str | None) -> Message:
    subject = subject_of(APP, device_id=device, cookie_id=None, user_id=user)
    assert subject is not None
    raw = RawEvent(
        event_id=event_id, event=event, timestamp_ms=at_ms, device_id=device, user_id=user
    )
    envelope = Envelope(app_id=APP, subject=subject, received_at_ms=at_ms, events=[raw])
    return "raw", subject, envelope


def _has_decided(keys: set[str]) -> Callable[[Log], bool]:
    return lambda log: _outcomes(log).keys() >= keys


def _outcomes(log: Log) -> dict[str, Outcome]:
    """The newest revision of each of these conversions."""
    newest: dict[str, Attribution] = {}
    for one in log.of(Attribution):
        old = newest.get(one.conversion_id)
        if one.event_id.startswith("life") and (old is None or old.revision <= one.revision):
            newest[one.conversion_id] = one
    return {
        key: (one.method, one.touch.touch_id if one.touch else None, one.inherited_from)
        for key, one in newest.items()
    }


def _by_life(outcomes: dict[str, Outcome]) -> dict[str, set[Outcome]]:
    """The outcomes of each life and order, without their names."""
    found: dict[str, set[Outcome]] = {}
    for key, one in outcomes.items():
        name = key.removeprefix(f"{APP}:").rpartition("c")[0]
        method, touch_id, inherited = (part and part.replace(name, "") for part in one)
        found.setdefault(name, set()).add((str(method), touch_id, inherited))
    return found
