"""By which touch a subject came last, as a worker learns it from its own log."""

from __future__ import annotations

from uuid import uuid4

import msgspec
import pytest

from tests.agents.running import Log, Worker, click, envelope
from trackstream.core.records import Event, Rejected

pytestmark = pytest.mark.xdist_group("worker")


async def event(log: Log, event_id: str) -> Event:
    return await log.until(
        lambda log: next((one for one in log.of(Event) if one.event_id == event_id), None)
    )


async def test_events_after_a_click_of_the_device_say_its_campaign(
    log: Log, worker: Worker, name: str
) -> None:
    await log.post(envelope(name, "page_view"))
    clicked = click(name, campaign_id="spring")
    await log.touch(
        msgspec.structs.replace(clicked, identifiers=[f"click:{name}", f"device:{name}"])
    )
    await log.post(envelope(name, "add_to_cart"))
    before, after = [await event(log, f"{name}-{one}") for one in ("page_view", "add_to_cart")]
    assert before.touch is None
    assert after.touch is not None
    assert (after.touch.touch_id, after.touch.campaign_id) == (clicked.touch_id, "spring")
    assert (after.touch.kind, after.touch.at_ms) == ("click", clicked.at_ms)
    assert after.touch.method is None

    cookie = uuid4().hex
    await log.touch(msgspec.structs.replace(clicked, identifiers=[f"cookie:{cookie}"]))
    status, shown = worker.get("/tables/visitors/unknown")
    while status != 200:
        status, shown = worker.get(f"/tables/visitors/demo%7Ccookie:{cookie}")
    assert shown["value"]["sessions"] == []
    assert shown["value"]["touches"][0]["touch"]["campaign_id"] == "spring"


async def test_a_device_is_told_to_which_click_its_install_was_attributed(
    log: Log, name: str
) -> None:
    await log.touch(msgspec.structs.replace(click(name), identifiers=[f"click:{name}"]))
    await log.post(envelope(name, "install", click_id=name))
    found: list[Event] = [await event(log, f"{name}-install")]
    assert found[0].touch is None
    while found[-1].touch is None:
        await log.post(envelope(name, f"open{len(found)}"))
        found.append(await event(log, f"{name}-open{len(found)}"))
    touch = found[-1].touch
    assert (touch.touch_id, touch.method) == (f"touch-{name}", "click_deterministic")
    assert touch.campaign_id == "cmp001"
    assert [one for one in log.of(Rejected) if one.key and name in one.key] == []
