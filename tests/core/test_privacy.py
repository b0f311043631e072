"""What of addresses leaves the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.storage.records import AT_MS, a_touch, an_attribution, an_event
from trackstream.core.lookups import Place, UserAgent
from trackstream.core.privacy import kept_ip, private_attribution, private_event
from trackstream.core.records import Candidate, Conversion, Earlier, Envelope, RawEvent
from trackstream.core.rules import DEFAULT
from trackstream.core.rules_file import RulesError, rules_of_text
from trackstream.core.visits import visit

if TYPE_CHECKING:
    from trackstream.core.privacy import IpPrivacy


@pytest.mark.parametrize(
    ("ip", "truncated"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("not an address", None),
        (None, None),
    ],
)
def test_an_address_is_kept_whole_cut_or_not_at_all(ip: str | None, truncated: str | None) -> None:
    assert kept_ip(ip, "full") == ip
    assert kept_ip(ip, "truncated") == truncated
    assert kept_ip(ip, "dropped") is None


@pytest.mark.parametrize(("privacy", "kept"), [("truncated", "203.0.113.0"), ("dropped", None)])
def test_no_record_that_is_published_has_more(privacy: IpPrivacy, kept: str | None) -> None:
    ip = "203.0.113.77"
    assert private_event(an_event(ip=ip), privacy) == an_event(ip=kept)
    fingerprint = "fp:0123456789abcdef01234567"
    own = ["device:d", fingerprint]
    touch = msgspec.structs.replace(a_touch("t"), ip=ip, identifiers=["click:c", fingerprint])
    conversion = Conversion(
        conversion_id="c",
        app_id="demo",
        event_id="e",
        event="install",
        kind="install",
        at_ms=1,
        received_at_ms=1,
        person="p",
        subject="s",
        identifiers=own,
        ip=ip,
    )
    candidate = Candidate(
        touch=touch,
        identifier=fingerprint,
        match_type="click_probabilistic",
        confidence=1.0,
        verdict="chosen",
        identifiers=own,
    )
    earlier = Earlier(conversion_id="b", kind="install", at_ms=1, identifiers=own)
    whole = an_attribution(
        "a",
        touch=touch,
        candidates=[candidate],
        conversion=conversion,
        identifier=fingerprint,
        identifiers=own,
        unanswered=own,
        earlier=[earlier],
    )
    published = private_attribution(whole, privacy)
    assert ip not in msgspec.json.encode(published).decode()
    assert fingerprint not in msgspec.json.encode(published).decode()
    assert published.identifiers == ["device:d"]
    (found,) = published.candidates
    assert (found.identifier, found.touch.identifiers) == ("fp:", ["click:c"])
    assert published.touch is not None
    assert published.conversion is not None
    assert {published.touch.ip, published.conversion.ip, published.candidates[0].touch.ip} == {kept}
    assert private_attribution(whole, "full") is whole


def test_the_rule_takes_one_of_three() -> None:
    assert DEFAULT.ip_privacy == "full"
    assert rules_of_text('ip_privacy = "dropped"', base=DEFAULT).ip_privacy == "dropped"
    with pytest.raises(RulesError, match="ip_privacy"):
        rules_of_text('ip_privacy = "hashed"', base=DEFAULT)


def test_matching_has_the_address_that_an_event_no_longer_has() -> None:
    envelope = Envelope(
        app_id="demo",
        subject="demo|device:d",
        received_at_ms=AT_MS,
        ip="203.0.113.77",
        events=[RawEvent(event_id="e", event="install", timestamp_ms=AT_MS, device_id="d")],
    )
    rules = rules_of_text('ip_privacy = "truncated"', base=DEFAULT)
    _, outcome = visit(None, envelope, offset=0, place=Place(), user_agent=UserAgent(), rules=rules)
    assert [one.ip for one in outcome.events] == ["203.0.113.0"]
    assert {one.conversion.ip for one in outcome.probes} == {"203.0.113.77"}
