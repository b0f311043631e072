"""What kind of device real user agents, and what apps say of their devices, are taken for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.storage.shared_data import shared_data
from trackstream.core.enrichment import enriched
from trackstream.core.form_factors import FORM_FACTORS
from trackstream.core.lookups import Place
from trackstream.core.reading import read_event
from trackstream.core.records import Envelope
from trackstream.core.rules import Rules
from trackstream.core.segment import parse_message
from trackstream.core.validation import ParsedEvent
from trackstream.storage.user_agents import UaParser

AT_MS = 1_752_148_800_000
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_IOS = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
AGENTS = {
    "phone": (
        f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/126.0.0.0 Mobile Safari/537.36",
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {_IOS} Version/17.5 "
            "Mobile/15E148 "
            "Safari/604.1"
        ),
        "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0",
        (
            "Mozilla/5.0 (iPod; CPU iPhone OS 6_1_5 like Mac OS X) AppleWebKit/536.26 (KHTML, like "
            "Gecko) Version/6.0 Mobile/10B400 Safari/8536.25"
        ),
        "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP1A.240505.004)",
        (
            "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) "
            f"{_WEBKIT} Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15063"
        ),
        "Opera/9.80 (Android; Opera Mini/7.5.33361/31.1543; U; en) Presto/2.8.119 Version/11.10",
        "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/34.1244; U; en) Presto/2.8.119 Version/11.10",
        "Mozilla/5.0 (Mobile; Nokia_8110_4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5",
        (
            "Mozilla/5.0 (BB10; Touch) AppleWebKit/537.10+ (KHTML, like Gecko) Version/10.0.9.2372 "
            "Mobile Safari/537.10+"
        ),
        "Spotify TV Remote/2.1 (iPhone14,2; iOS 17.5)",
    ),
    "tablet": (
        (
            f"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {_IOS} Version/17.5 Mobile/15E148 "
            "Safari/604.1"
        ),
        (
            "Mozilla/5.0 (iPad; U; CPU iPhone OS 3_2 like Mac OS X; en-us) AppleWebKit/531.21.10 "
            "(KHTML, like Gecko) Version/4.0.4 Mobile/7B334b Safari/531.21.10"
        ),
        f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/126.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Android 13; Tablet; rv:127.0) Gecko/127.0 Firefox/127.0",
        (
            f"Mozilla/5.0 (Linux; Android 11; KFTRWI) {_WEBKIT} Silk/125.2.1 like Chrome/125.0.0.0 "
            "Safari/537.36"
        ),
        "Dalvik/2.1.0 (Linux; U; Android 13; SM-X700 Build/TP1A.220624.014)",
        "Mozilla/5.0 (Windows NT 6.3; ARM; Trident/7.0; Touch; rv:11.0) like Gecko",
        (
            "Mozilla/5.0 (PlayBook; U; RIM Tablet OS 2.1.0; en-US) AppleWebKit/536.2+ (KHTML, like "
            "Gecko) Version/7.2.1.0 Safari/536.2+"
        ),
    ),
    "desktop": (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/126.0.0.0 Safari/537.36",
        f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_IOS} Version/17.5 Safari/605.1.15",
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
        f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {_WEBKIT} Chrome/126.0.0.0 Safari/537.36",
        (
            "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; SLCC2; Tablet PC 2.0; rv:11.0) like "
            "Gecko"
        ),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Slack/4.38.125 "
            "Chrome/124.0.6367.207 "
            "Electron/30.0.3 Safari/537.36"
        ),
    ),
    "tv": (
        f"Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) {_WEBKIT} Version/7.0 TV Safari/537.36",
        (
            f"Mozilla/5.0 (Web0S; Linux/SmartTV) {_WEBKIT} Chrome/94.0.4606.128 Safari/537.36 "
            "WebAppManager"
        ),
        "AppleTV11,1/11.1",
        "AppleCoreMedia/1.0.0.21L580 (Apple TV; U; CPU OS 17_5 like Mac OS X; en_us)",
        "Roku/DVP-12.5 (12.5.5.4174-88)",
        (
            f"Mozilla/5.0 (Linux; Android 9; AFTWMST22 Build/PS7229; wv) {_WEBKIT} Version/4.0 "
            "Chrome/88.0.4324.152 Mobile Safari/537.36"
        ),
        (
            f"Mozilla/5.0 (Linux; Android 10; BRAVIA 4K UR2 Build/PTT1.190515.001.S104) {_WEBKIT} "
            "Chrome/94.0.4606.71 Safari/537.36"
        ),
        f"Mozilla/5.0 (X11; Linux armv7l) {_WEBKIT} Chrome/84.0.4147.125 Safari/537.36 CrKey/1.54",
        (
            "Opera/9.80 (Linux armv7l; HbbTV/1.2.1 (; Philips; 40PFK6550; ; PhilipsTV; )) "
            "Presto/2.12.407 Version/12.51"
        ),
    ),
    "console": (
        f"Mozilla/5.0 (PlayStation; PlayStation 5/2.26) {_IOS} Version/13.0 Safari/605.1.15",
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) {_WEBKIT} Chrome/126.0.0.0 "
            "Safari/537.36 Edg/126.0.0.0"
        ),
        (
            "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/609.4 (KHTML, like "
            "Gecko) "
            "NF/6.0.2.21.3 NintendoBrowser/5.1.0.22474"
        ),
    ),
    "watch": (
        (
            "Mozilla/5.0 (Linux; Tizen 2.3.2; SAMSUNG SM-R760) AppleWebKit/537.3 (KHTML, like "
            "Gecko) "
            "Version/2.3 Mobile Safari/537.3"
        ),
        "Example/4.2 (com.example.watch; build:7; watchOS 10.5.0) Alamofire/5.9.1",
        "Dalvik/2.1.0 (Linux; U; Android 13; Pixel Watch 2 Build/TWD9.240105.003)",
    ),
    "other": (
        (
            f"Mozilla/5.0 (X11; Linux x86_64; Quest 3) {_WEBKIT} OculusBrowser/33.0.0 "
            "Chrome/124.0.6367.118 VR Safari/537.36"
        ),
        (
            "Mozilla/5.0 (X11; U; Linux armv7l like Android; en-us) AppleWebKit/531.2+ "
            "(KHTML, like "
            "Gecko) Version/5.0 Safari/533.2+ Kindle/3.0+"
        ),
    ),
    None: (
        "okhttp/4.12.0",
        "curl/8.5.0",
        "Go-http-client/2.0",
        "python-requests/2.32.3",
        "Apache-HttpClient/4.5.14 (Java/17.0.11)",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        (
            f"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) {_WEBKIT} "
            "Chrome/126.0.6478.61 "
            "Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
        ),
        "Boto3/1.34 md/Botocore#1.34 ua/2.0 os/linux#5.10 md/arch#x86_64 lang/python#3.11",
        "Wget/1.21.3 (linux-gnu)",
        "Example/1 CFNetwork/1496.0.7 Darwin/23.5.0",
        "zzz",
    ),
}


CASES = [(kind, agent) for kind, agents in AGENTS.items() for agent in agents]


@pytest.fixture(scope="module")
def parser() -> UaParser:
    return UaParser()


@pytest.mark.parametrize(("kind", "agent"), CASES)
def test_a_user_agent_says_what_kind_of_device_it_is(
    parser: UaParser, kind: str | None, agent: str
) -> None:
    assert parser.parse(agent).form_factor == kind


def test_there_are_examples_of_each() -> None:
    assert set(AGENTS) == {*FORM_FACTORS, None}


def test_nearly_every_browser_of_people_is_of_a_known_kind(parser: UaParser) -> None:
    lines = shared_data("user_agents.txt").read_text("utf-8").splitlines()
    kinds = [parser.parse(line).form_factor for line in lines if line]
    assert len(kinds) == 500
    assert sum(kind is not None for kind in kinds) >= 495
    assert {"phone", "tablet", "desktop"} <= set(kinds) <= {"phone", "tablet", "desktop"}


def _event_of(parsed: object, agent: str | None) -> Any:
    assert isinstance(parsed, ParsedEvent)
    envelope = Envelope(app_id="a", subject="s", received_at_ms=AT_MS, events=[parsed.event])
    return enriched(
        parsed.event,
        envelope,
        at_ms=AT_MS,
        person="p",
        user_id=None,
        touch=None,
        place=Place(),
        user_agent=UaParser().parse(agent),
        rules=Rules(),
    )


@pytest.mark.parametrize(
    ("kind", "context", "agent"),
    [
        ("tv", {"device": {"type": "Smart-TV"}}, AGENTS["desktop"][0]),
        ("tablet", {"os": {"name": "iOS"}, "device": {"model": "iPad13,4"}}, "okhttp/4.12.0"),
        ("phone", {"os": {"name": "iOS"}, "device": {"model": "iPhone15,2"}}, None),
        ("watch", {"os": {"name": "watchOS"}, "device": {"model": "Watch6,2"}}, None),
        ("other", {"os": {"name": "visionOS"}}, None),
        ("desktop", {"os": {"name": "macOS"}, "device": {"model": "Mac14,2"}}, None),
        ("phone", {"os": {"name": "Android"}, "device": {"model": "Pixel 8"}}, "okhttp/4.12.0"),
        ("tablet", {"os": {"name": "Android"}, "device": {"model": "SM-T870"}}, None),
        ("tv", {"os": {"name": "Android"}, "device": {"model": "X9"}}, AGENTS["tv"][6]),
        ("tablet", {"device": {"type": "unheard-of"}}, AGENTS["tablet"][0]),
        (None, {"os": {"name": "Linux"}}, None),
        (None, {"os": {"name": "iOS"}}, None),
        ("desktop", {"locale": "de"}, AGENTS["desktop"][1]),
    ],
)
def test_what_the_sender_says_of_its_device_wins(
    kind: str | None, context: dict[str, Any], agent: str | None
) -> None:
    event = {"event": "view", "user_id": "u", "timestamp": AT_MS, "context": context}
    call = {"type": "track", "event": "view", "userId": "u", "context": context}
    of: dict[str, Any] = {
        "received_at_ms": AT_MS,
        "sent_at_ms": None,
        "new_id": lambda: "id",
    }
    ours, theirs = read_event(event, **of), parse_message(call, kind=None, **of).result
    assert [_event_of(one, agent).form_factor for one in (ours, theirs)] == [kind, kind]


def test_segments_device_type_is_a_system() -> None:
    call = {
        "type": "track",
        "event": "view",
        "userId": "u",
        "context": {"device": {"type": "android"}},
    }
    parsed = parse_message(
        call, kind=None, received_at_ms=AT_MS, sent_at_ms=None, new_id=lambda: "id"
    )
    event = _event_of(parsed.result, None)
    assert (event.form_factor, event.context.device_type) == ("phone", "android")
