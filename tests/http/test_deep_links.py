"""Whose deep link an install is told: its own click's, or, if it may be guessed, a likely one's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.service import ANDROID, LINK, NOW_MS, Service, click
from trackstream.core.lookups import Place, UserAgent
from trackstream.core.records import Envelope
from trackstream.core.rules import Rules
from trackstream.core.visits import VisitOutcome, visit

NEEDED = Rules(probabilistic_needs_consent=True)


async def told(service: Service, **install: Any) -> str | None:
    """The deep link that an install on the clicks' network and system is answered with."""
    body = {"device_id": "d", "timestamp": NOW_MS, **install}
    response = await service.post("/v1/install", body, headers={"User-Agent": ANDROID})
    assert response.status == 201
    found: str | None = (await response.json())["deep_link"]
    return found


def matched(service: Service, rules: Rules) -> bool:
    """Whether the workers look for that install by network and system, too."""
    (envelope,) = [one for _, one in service.sink.records("raw") if isinstance(one, Envelope)]
    _, out = visit(
        None,
        envelope,
        offset=0,
        place=Place(),
        user_agent=UserAgent(os_name="Android"),
        rules=rules,
    )
    assert isinstance(out, VisitOutcome)
    return any(probe.identifier.startswith("fp:") for probe in out.probes)


def consent(**flags: bool) -> dict[str, Any]:
    return {"context": {"consent": flags}}


@pytest.mark.parametrize(
    ("rules", "install", "guessed"),
    [
        (Rules(), {}, True),
        (Rules(), {"event": "first_open"}, True),
        (Rules(), {"event": "view"}, False),
        (Rules(), consent(analytics_storage=False), True),
        (Rules(), consent(ad_personalization=False, ads=True), False),
        (Rules(probabilistic=False), consent(ads=True), False),
        (NEEDED, {}, False),
        (NEEDED, consent(att=True), True),
    ],
)
async def test_an_install_is_led_by_a_guess_only_where_it_is_matched_by_one(
    service: Service,
    rules: Rules,
    install: dict[str, Any],
    guessed: bool,  # noqa: FBT001 - a table of cases
) -> None:
    await click(service)
    service.sink.sent.clear()
    service.directory.rules_of = {"shop": rules}
    assert await told(service, **install) == (LINK.deep_link if guessed else None)
    assert matched(service, rules) is guessed


@pytest.mark.parametrize("objection", ["Sec-GPC", "DNT"])
async def test_an_install_of_a_browser_that_objects_is_not_guessed(
    service: Service, objection: str
) -> None:
    await click(service)
    for said, guessed in (("1", False), ("0", True)):
        for path, install in (
            ("/v1/install", {"device_id": "d", "timestamp": NOW_MS}),
            ("/v1/track", {"event": "Application Installed", "anonymousId": "a"}),
        ):
            service.sink.sent.clear()
            headers = {"User-Agent": ANDROID, objection: said}
            response = await service.post(path, install, headers=headers)
            told = (await response.json()).get("deep_link")
            assert (told is not None) is (guessed and path == "/v1/install")
            assert matched(service, Rules()) is guessed
    service.sink.sent.clear()
    install = {"device_id": "d", "timestamp": NOW_MS, "context": {"ip": "127.0.0.1"}}
    headers = {"User-Agent": ANDROID, objection: "1"}  # a server's, which nobody uses
    response = await service.signed("/v1/install", install, headers=headers)
    assert (await response.json())["deep_link"] == LINK.deep_link
    assert matched(service, Rules())


@pytest.mark.parametrize(
    "rules",
    [
        Rules(probabilistic=False),
        Rules(waterfall=("click_deterministic", "view_probabilistic")),
    ],
)
async def test_rules_that_guess_no_clicks_hold_for_clicks_and_for_installs(
    service: Service, rules: Rules
) -> None:
    service.directory.rules_of = {"shop": rules}
    first = await click(service)
    assert await told(service) is None
    service.directory.rules_of = {}
    assert await told(service) is None  # the click was not remembered by its network
    named = {"referral": {"click_id": first.headers["X-Trackstream-Click-Id"]}}
    assert await told(service, **named) == LINK.deep_link
    await click(service, "/c/sale?again")
    assert await told(service) == LINK.deep_link
    service.directory.rules_of = {"shop": rules}
    assert await told(service) is None


async def test_who_names_a_click_is_led_by_no_other(service: Service) -> None:
    await click(service)
    assert await told(service, referral={"click_id": "unknown"}) is None
    plain = await click(service, "/c/plain?click_id=own")
    assert plain.status == 302
    assert await told(service, referral={"click_id": "own"}) is None
    assert await told(service, referral={"install_referrer": "utm_source=x"}) == LINK.deep_link
