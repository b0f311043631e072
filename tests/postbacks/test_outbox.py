"""The outbox on PostgreSQL: one row for each decision and destination, whoever looks at it when."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.core.postbacks.samples import a_candidate, a_touch, an_attribution
from tests.postbacks.conftest import MASTER_KEY, future_ms, now_ms
from trackstream.core.postbacks.outcomes import DEFAULT, Settled
from trackstream.postbacks.listing import list_dead, resend
from trackstream.postbacks.outbox import Taken, resolve_orphans, settle, take
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from tests.postbacks.conftest import Outbox
    from trackstream.core.records import Attribution

SENT = Settled(state="sent", reason="HTTP 200")


def decided(number: int = 1, **other: Any) -> Attribution:
    values = {"conversion_id": f"shop:i{number}", "decided_at_ms": future_ms(), **other}
    return an_attribution(**values)


def taken_by(outbox: Outbox, *, count: int = 100, lease_ms: int = 60_000) -> list[Taken]:
    ids = [one.destination.destination_id for one in outbox.destinations.active()]
    room = dict.fromkeys(ids, count)
    return take(outbox.engine, room, now_ms=now_ms(), lease_ms=lease_ms)


def orphans(outbox: Outbox, *, later_ms: int = 0) -> int:
    return resolve_orphans(
        outbox.engine, now_ms=now_ms() + later_ms, policy=DEFAULT, unit=lambda: 0.0
    )


def test_a_decision_is_queued_once_however_often_it_is_read(outbox: Outbox) -> None:
    outbox.destination()
    outbox.destination(revisions="all")
    assert outbox.queue(decided(), decided(), decided(2)) == 4
    assert outbox.queue(decided(), decided(2)) == 0
    assert len(outbox.rows()) == 4


def test_the_first_decision_that_concerns_it_or_all(outbox: Outbox) -> None:
    first = outbox.destination().destination.destination_id
    every = outbox.destination(revisions="all").destination.destination_id
    organic = decided(touch=None, method="organic")
    later = [decided(revision=number) for number in (2, 3)]
    assert outbox.queue(organic) == 0
    assert outbox.queue(later[0]) == 2
    assert outbox.queue(*later) == 1
    told = {(row.destination_id, row.revision) for row in outbox.rows()}
    assert told == {(first, 2), (every, 2), (every, 3)}


def test_a_rejection_is_told_once_for_a_decision_whoever_got_the_credit(outbox: Outbox) -> None:
    url = "https://acme.example/no?c={click_id}&why={rejection_reason}&r={revision}"
    first = outbox.destination(rejected=True, url=url).destination.destination_id
    every = outbox.destination(rejected=True, revisions="all", url=url).destination.destination_id
    fraud = [
        a_candidate("fraud:bot", touch_id="t2", click_id="c2"),
        a_candidate("fraud:blocked_ip", touch_id="t3", click_id="c3", at_ms=1),
    ]
    organic = decided(touch=None, method="organic", candidates=[a_candidate("older"), *fraud[1:]])
    credited = decided(revision=2, candidates=[a_candidate("chosen"), *fraud])
    assert outbox.queue(decided(2), decided(3, touch=None, method="organic")) == 0
    assert outbox.queue(organic, organic) == 2
    assert outbox.queue(organic, credited, credited) == 1
    assert outbox.queue(organic, credited) == 0
    found = {(row.destination_id, row.revision): row.url.partition("?")[2] for row in outbox.rows()}
    assert found == {
        (first, 1): "c=c3&why=blocked_ip&r=1",
        (every, 1): "c=c3&why=blocked_ip&r=1",
        (every, 2): "c=c2&why=bot&r=2",
    }


def test_what_was_decided_before_a_destination_was_there_is_not_told(outbox: Outbox) -> None:
    outbox.destination()
    assert outbox.queue(decided(decided_at_ms=now_ms() - 60_000)) == 0


def test_a_disabled_destination_is_not_told(outbox: Outbox) -> None:
    outbox.destinations.disable(outbox.destination().destination.destination_id)
    assert outbox.queue(decided()) == 0


def test_a_links_campaign_is_called_by_its_name(outbox: Outbox) -> None:
    link = Registry(outbox.engine, MasterKey(MASTER_KEY)).create_link(
        app_id="shop", campaign_id="cmp001", web_url="https://shop.example/", campaign="Spring 25"
    )
    outbox.destination(url="https://acme.example/?c={campaign}")
    outbox.destination(url="https://acme.example/?c={campaign}", rejected=True)
    fraud = a_candidate("fraud:bot", link_id=link.link_id)
    outbox.queue(decided(touch=a_touch(link_id=link.link_id)), decided(2, candidates=[fraud]))
    found = [row.url for row in outbox.rows()]
    assert sorted(found) == [
        "https://acme.example/?c=",
        *["https://acme.example/?c=Spring%2025"] * 2,
    ]


def test_takers_at_once_get_different_postbacks(outbox: Outbox) -> None:
    outbox.destination()
    outbox.queue(*(decided(number) for number in range(40)))
    with ThreadPoolExecutor(4) as pool:
        lots = list(pool.map(lambda _: taken_by(outbox, count=10), range(8)))
    ids = [one.postback_id for lot in lots for one in lot]
    assert len(ids) == len(set(ids)) == 40
    assert all(len(lot) <= 10 for lot in lots)
    assert set(outbox.states()) == {"sending"}


def test_a_sent_one_keeps_its_key_and_nothing_of_the_person(outbox: Outbox) -> None:
    outbox.destination(method="POST", body='{"who": "{user_id}"}')
    outbox.queue(decided())
    (taken,) = taken_by(outbox)
    assert settle(outbox.engine, taken, SENT, now_ms=now_ms())
    (row,) = outbox.rows()
    assert (row.state, row.url, row.body) == ("sent", None, None)
    assert outbox.queue(decided()) == 0
    assert taken_by(outbox) == []


def test_a_sender_that_died_leaves_an_unknown_that_nobody_sends(outbox: Outbox) -> None:
    outbox.destination()
    outbox.queue(decided())
    assert len(taken_by(outbox, lease_ms=5000)) == 1
    assert orphans(outbox) == 0
    assert orphans(outbox, later_ms=6000) == 1
    assert outbox.states() == ["unknown"]
    assert taken_by(outbox) == []
    (dead,) = list_dead(outbox.engine)
    assert (dead.state, dead.reason) == ("unknown", "the sender died while it was sending")


def test_where_twice_is_better_than_never_it_is_sent_again(outbox: Outbox) -> None:
    outbox.destination(on_uncertain="resend")
    outbox.queue(decided())
    (first,) = taken_by(outbox, lease_ms=-1)
    assert orphans(outbox) == 1
    (again,) = taken_by(outbox)
    assert (again.postback_id, again.attempt) == (first.postback_id, 2)
    # The first sender was only slow: its word is about a try that is over.
    assert not settle(outbox.engine, first, SENT, now_ms=now_ms())
    assert outbox.states() == ["sending"]


def test_a_slow_sender_knows_better_than_who_took_it_for_dead(outbox: Outbox) -> None:
    outbox.destination()
    outbox.queue(decided())
    (taken,) = taken_by(outbox, lease_ms=-1)
    orphans(outbox)
    assert settle(outbox.engine, taken, SENT, now_ms=now_ms())
    assert outbox.states() == ["sent"]


def test_resending_by_hand_takes_the_dead_and_the_named_unknown(outbox: Outbox) -> None:
    its_id = outbox.destination().destination.destination_id
    outbox.queue(*(decided(number) for number in range(4)))
    results = [Settled(state=state, reason="why") for state in ("dead", "unknown", "sent")]
    for taken, result in zip(taken_by(outbox), results, strict=False):
        settle(outbox.engine, taken, result, now_ms=now_ms())
    ids = {row.state: row.postback_id for row in outbox.rows()}
    engine, at_ms = outbox.engine, now_ms()
    assert {one.state for one in list_dead(engine, destination_id=its_id)} == {"dead", "unknown"}
    assert list_dead(engine, destination_id="dst_other") == []
    assert len(list_dead(engine, limit=1)) == 1
    assert resend(engine, now_ms=at_ms) == []
    assert resend(engine, now_ms=at_ms, destination_id=its_id) == [ids["dead"]]
    assert resend(engine, now_ms=at_ms, postback_ids=list(ids.values())) == [ids["unknown"]]
    again = {one.postback_id: one for one in taken_by(outbox)}
    assert again.keys() == {ids["dead"], ids["unknown"]}
    assert {(one.attempt, one.tries) for one in again.values()} == {(2, 1)}
