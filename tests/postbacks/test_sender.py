"""The sender, from the outbox to a receiver: retries, patience, dead letters, the breaker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook

from tests.core.postbacks.samples import an_attribution
from tests.postbacks.conftest import Running, future_ms, now_ms
from tests.waiting import PATIENCE_S
from trackstream.core.postbacks.breaker import BreakerRules
from trackstream.postbacks.client import Client
from trackstream.postbacks.listing import list_dead, resend
from trackstream.postbacks.sender import SenderTimes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postbacks.conftest import Outbox
    from tests.postbacks.receiver import Received, Receiver
    from trackstream.core.records import Attribution


def decided(number: int = 1, **other: Any) -> Attribution:
    values = {"conversion_id": f"shop:i{number}", "decided_at_ms": future_ms(), **other}
    return an_attribution(**values)


def url_of(receiver: Receiver) -> str:
    return receiver.url + "/cb?id={conversion_id}&rev={revision}"


def all_in(outbox: Outbox, state: str) -> Callable[[], bool]:
    return lambda: set(outbox.states()) == {state}


async def test_each_revision_is_delivered_once_and_signed(
    outbox: Outbox, receiver: Receiver, start: Callable[..., Running]
) -> None:
    listed = outbox.destination(
        url=receiver.url + "/hook",
        method="POST",
        body='{"id": "{conversion_id}", "revision": {revision}}',
        revisions="all",
        signed=True,
    )
    outbox.queue(*(decided(n, revision=r) for n in range(5) for r in (1, 2)))
    running = start()
    await running.until(all_in(outbox, "sent"))
    assert listed.secret is not None
    told = [Webhook(listed.secret).verify(one.body, one.headers) for one in receiver.received]
    assert sorted((one["id"], one["revision"]) for one in told) == [
        (f"shop:i{n}", r) for n in range(5) for r in (1, 2)
    ]
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 10
    assert receiver.most_at_once <= listed.destination.max_concurrency


async def test_what_is_not_taken_is_tried_again_under_the_same_id(
    outbox: Outbox, receiver: Receiver, start: Callable[..., Running]
) -> None:
    outbox.destination(url=url_of(receiver))
    receiver.statuses = [(503, {}), (429, {"Retry-After": "3"})]
    outbox.queue(decided())
    await start().until(all_in(outbox, "sent"))
    first, second, third = receiver.received
    assert {one.headers["webhook-id"] for one in receiver.received} == {
        outbox.rows()[0].postback_id
    }
    assert second.at_s - first.at_s < 2.9
    assert third.at_s - second.at_s >= 2.95


async def test_what_is_refused_or_never_taken_is_dead_until_someone_resends_it(
    outbox: Outbox, receiver: Receiver, start: Callable[..., Running]
) -> None:
    its_id = outbox.destination(url=url_of(receiver), max_concurrency=1).destination.destination_id
    outbox.queue(decided(1), decided(2))
    receiver.statuses = [(status, {}) for status in (400, 500, 500, 500, 500)]
    running = start()
    await running.until(all_in(outbox, "dead"))
    reasons = sorted(str(one.reason) for one in list_dead(outbox.engine))
    assert reasons == ["HTTP 400: no thanks", "HTTP 500: no thanks; given up after 4 tries"]
    assert len(resend(outbox.engine, now_ms=now_ms(), destination_id=its_id)) == 2
    running.sender.wake()
    await running.until(all_in(outbox, "sent"))
    assert len(receiver.received) == 7


async def test_no_answer_is_not_sent_again(outbox: Outbox, receiver: Receiver) -> None:
    async def hang(_: Received) -> web.Response:
        await asyncio.sleep(PATIENCE_S)
        return web.Response()

    receiver.answer = hang
    outbox.destination(url=url_of(receiver))
    outbox.queue(decided())
    async with Client(allow_private=True, timeout_s=2.0) as client:
        running = Running(outbox, client)
        await running.until(all_in(outbox, "unknown"))
        await asyncio.sleep(0.2)
        await running.end()
    assert len(receiver.received) == 1


async def test_a_destination_that_fails_is_left_alone_and_hinders_no_other(
    outbox: Outbox, receiver: Receiver, start: Callable[..., Running]
) -> None:
    down = True

    async def answer(one: Received) -> web.Response:
        return web.Response(status=503 if down and one.path.startswith("/bad") else 200)

    receiver.answer = answer
    bad = outbox.destination(url=receiver.url + "/bad?{conversion_id}", max_concurrency=1)
    outbox.destination(url=receiver.url + "/good?{conversion_id}")
    outbox.queue(*(decided(number) for number in range(10)))
    running = start(breaker=BreakerRules(failures=3, open_ms=3_000))

    def rest_is_sent() -> bool:
        its_id = bad.destination.destination_id
        return all(row.state == "sent" for row in outbox.rows() if row.destination_id != its_id)

    await running.until(rest_is_sent)
    await asyncio.sleep(0.3)
    failed = [one for one in receiver.received if one.path.startswith("/bad")]
    assert len(failed) == 3
    down = False
    await running.until(all_in(outbox, "sent"))
    tried = [one for one in receiver.received if one.path.startswith("/bad")]
    assert len(tried) == 13
    assert tried[3].at_s - tried[2].at_s >= 2.95


async def test_loopback_is_dead_by_default(outbox: Outbox, receiver: Receiver) -> None:
    outbox.destination(url=url_of(receiver))
    outbox.queue(decided())
    async with Client(allow_private=False, timeout_s=PATIENCE_S) as client:
        running = Running(outbox, client)
        await running.until(all_in(outbox, "dead"))
        await running.end()
    (dead,) = list_dead(outbox.engine)
    assert "not a public address" in str(dead.reason)
    assert dead.tries == 1
    assert not receiver.received


async def test_a_disabled_destinations_queue_stays(
    outbox: Outbox, receiver: Receiver, start: Callable[..., Running]
) -> None:
    gone = outbox.destination(url=receiver.url + "/gone")
    outbox.destination(url=receiver.url + "/there")
    outbox.queue(decided())
    outbox.destinations.disable(gone.destination.destination_id)
    await start().until(lambda: sorted(outbox.states()) == ["due", "sent"])
    assert receiver.counted() == {"/there": 1}


async def test_stopping_waits_for_what_is_under_way(
    outbox: Outbox, receiver: Receiver, start: Callable[..., Running]
) -> None:
    answering = asyncio.Event()

    async def slowly(_: Received) -> web.Response:
        await answering.wait()
        return web.Response()

    receiver.answer = slowly
    outbox.destination(url=url_of(receiver), max_concurrency=2)
    outbox.queue(*(decided(number) for number in range(5)))
    running = start(times=SenderTimes(poll_s=0.02, lease_s=2 * PATIENCE_S))
    await running.until(lambda: receiver.at_once == 2)
    running.stop.set()
    await asyncio.sleep(0.3)
    assert not running.task.done()
    answering.set()
    await running.end()
    assert sorted(outbox.states()) == ["due", "due", "due", "sent", "sent"]
    assert len(receiver.received) == 2
