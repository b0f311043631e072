import asyncio
import gzip
import io
import json
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.service import EVENT, NOW_MS, Service, refused
from tests.waiting import PATIENCE_S
from trackstream.core.records import Envelope, Rejected
from trackstream.http import bodies
from trackstream.ports import Undelivered, Unwritten
from trackstream.storage.user_agents import UaParser

DAY_MS = 86_400_000


def envelopes(service: Service) -> list[Envelope]:
    found = [record for _, record in service.sink.records("raw")]
    assert all(isinstance(one, Envelope) for one in found)
    return [one for one in found if isinstance(one, Envelope)]


def rejected(service: Service) -> list[Rejected]:
    found = [record for _, record in service.sink.records("rejected")]
    return [one for one in found if isinstance(one, Rejected)]


async def test_an_event_is_accepted_and_in_the_log(service: Service) -> None:
    response = await service.post("/v1/event", EVENT, headers={"User-Agent": "agent"})
    assert response.status == 201
    assert await response.json() == {"event_id": "id-1", "status": "accepted"}
    ((key, envelope),) = service.sink.records("raw")
    assert key == "shop|user:u1"
    assert isinstance(envelope, Envelope)
    assert (envelope.app_id, envelope.subject) == ("shop", "shop|user:u1")
    assert (envelope.received_at_ms, envelope.sent_at_ms) == (NOW_MS, None)
    assert (envelope.ip, envelope.user_agent) == ("127.0.0.1", "agent")
    assert [one.event_id for one in envelope.events] == ["id-1"]


async def test_a_batch_is_one_message_per_subject_and_one_write(service: Service) -> None:
    events = [EVENT, {**EVENT, "device_id": "d"}, {**EVENT, "event": "more", "event_id": "e-3"}]
    response = await service.post("/v1/batch", {"sent_at": NOW_MS + 5, "events": events})
    assert response.status == 201
    assert await response.json() == {
        "accepted": 3,
        "rejected": 0,
        "events": [
            {"index": 0, "event_id": "id-1", "status": "accepted"},
            {"index": 1, "event_id": "id-2", "status": "accepted"},
            {"index": 2, "event_id": "e-3", "status": "accepted"},
        ],
    }
    assert service.sink.calls == 1
    assert [key for key, _ in service.sink.records("raw")] == ["shop|user:u1", "shop|device:d"]
    assert [one.sent_at_ms for one in envelopes(service)] == [NOW_MS + 5, NOW_MS + 5]


async def test_a_batch_with_bad_events_gets_a_verdict_each(service: Service) -> None:
    bad = {"event": "x", "event_id": "mine", "device_id": "d9", "timestamp": NOW_MS + 2 * DAY_MS}
    response = await service.post("/v1/batch", {"events": [EVENT, bad, 7]})
    assert response.status == 207
    answer = await response.json()
    assert (answer["accepted"], answer["rejected"]) == (1, 2)
    assert answer["events"][0]["status"] == "accepted"
    assert answer["events"][1] == {
        "index": 1,
        "event_id": "mine",
        "status": "rejected",
        "reasons": ["timestamp_in_future"],
        "errors": [
            {
                "reason": "timestamp_in_future",
                "field": "timestamp",
                "detail": "is more than 24 hours after it was received",
            }
        ],
    }
    assert answer["events"][2]["reasons"] == ["wrong_type"]
    keys = [key for key, _ in service.sink.records("rejected")]
    assert keys == ["shop|device:d9", "shop"]
    kept = rejected(service)
    assert json.loads(kept[0].payload) == bad
    assert (kept[0].stage, kept[0].reasons, kept[0].app_id) == (
        "collector",
        ["timestamp_in_future"],
        "shop",
    )
    assert kept[1].payload == b"7"
    assert service.sink.calls == 1
    assert await service.metric('events_accepted_total{route="batch"}') == 1
    assert await service.metric('refusals_total{reason="timestamp_in_future"}') == 1


BAD_BODIES: list[tuple[bytes, int, str]] = [
    (b"", 400, "malformed_body"),
    (b'{"event": "view", "user_id"', 400, "malformed_body"),
    (b'{"event": NaN}', 400, "malformed_body"),
    (b"{} {}", 400, "malformed_body"),
    (b'{"event": 1e999}', 400, "malformed_body"),
    (b'{"event": "\xff"}', 400, "invalid_encoding"),
    (b'{"event": "\xed\xa0\x80"}', 400, "invalid_encoding"),
    (b"[" * 100_000, 400, "too_deep"),
    (b'{"a": "\\ud800", "b": ' + b"[" * 100_000, 400, "too_deep"),
    (b'{"a": "\\ud800", "b": NaN}', 400, "malformed_body"),
    (b"[]", 422, "wrong_type"),
    (b"null", 422, "wrong_type"),
    (b'"text"', 422, "wrong_type"),
    (b'{"app_id": 1}', 422, "wrong_type"),
    (b'{"app_id": "nobody"}', 401, "unknown_app"),
    (b'{"app_id": "other"}', 403, "forbidden"),
]


@pytest.mark.parametrize(("body", "status", "reason"), BAD_BODIES)
async def test_a_bad_body_has_its_reason_is_counted_and_kept(
    service: Service, body: bytes, status: int, reason: str
) -> None:
    response = await service.post("/v1/event", data=body)
    await refused(response, status, reason)
    assert await service.metric(f'refusals_total{{reason="{reason}"}}') == 1
    kept = [(one.reasons, one.payload) for one in rejected(service)]
    assert kept == ([([reason], body)] if body else [])
    assert envelopes(service) == []


@pytest.mark.parametrize(
    ("document", "status", "reason"),
    [
        ({}, 422, "missing_field"),
        ({"events": {}}, 422, "wrong_type"),
        ({"events": []}, 422, "empty_batch"),
        ({"events": [EVENT] * 1001}, 413, "too_many_events"),
        ({"events": [EVENT], "sent_at": "now"}, 422, "invalid_value"),
        ({"events": [EVENT], "sent_at": []}, 422, "wrong_type"),
    ],
)
async def test_a_bad_batch_has_its_reason(
    service: Service, document: dict[str, Any], status: int, reason: str
) -> None:
    await refused(await service.post("/v1/batch", document), status, reason)
    assert [one.reasons for one in rejected(service)] == [[reason]]


async def test_an_invalid_event_is_told_everything_at_once(service: Service) -> None:
    document = await refused(
        await service.post("/v1/event", {"event": 1, "timestamp": "x"}), 422, "wrong_type"
    )
    assert [(one["reason"], one["field"]) for one in document["errors"]] == [
        ("wrong_type", "event"),
        ("invalid_value", "timestamp"),
        ("no_identifier", "user_id"),
    ]
    assert rejected(service)[0].reasons == ["wrong_type", "invalid_value", "no_identifier"]


async def test_deep_properties_are_refused(service: Service) -> None:
    deep: Any = {}
    for _ in range(40):
        deep = {"a": deep}
    await refused(await service.post("/v1/event", {**EVENT, "properties": deep}), 400, "too_deep")


@pytest.mark.parametrize("length_is_told", [True, False])
async def test_a_body_over_the_limit_is_refused(service: Service, *, length_is_told: bool) -> None:
    body = b" " * 2 * 2**20

    async def stream() -> Any:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    response = await service.post(
        "/v1/event", data=io.BytesIO(body) if length_is_told else stream()
    )
    await refused(response, 413, "too_large")
    assert service.sink.sent == []


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=UTF-8", 201),
        ("application/vnd.api+json", 201),
        ("text/plain;charset=UTF-8", 201),
        ("text/html", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json; charset=latin-1", 415),
        ("nonsense", 415),
    ],
)
async def test_json_in_utf8_is_the_only_media_type(
    service: Service, content_type: str, status: int
) -> None:
    response = await service.post("/v1/event", EVENT, headers={"Content-Type": content_type})
    assert response.status == status
    if status == 415:
        await refused(response, 415, "unsupported_media_type")


COMPRESSIONS = [
    ("gzip", gzip.compress),
    ("gzip", lambda body: gzip.compress(body[:5]) + gzip.compress(body[5:])),
    ("deflate", zlib.compress),
    ("deflate", lambda body: zlib.compress(body, wbits=-15)),
    ("identity", bytes),
]


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSIONS)
async def test_compressed_bodies_are_inflated(
    service: Service, encoding: str, compress: Any
) -> None:
    body = compress(json.dumps(EVENT).encode())
    response = await service.post(
        "/v1/event", data=body, headers={"Content-Encoding": encoding}, skip_auto_headers=()
    )
    assert response.status == 201
    signed = await service.signed("/v1/event", body, headers={"Content-Encoding": encoding})
    assert signed.status == 201


async def test_what_is_compressed_badly_or_too_well_is_refused(service: Service) -> None:
    async def sent(body: bytes, encoding: str = "gzip") -> Any:
        return await service.post("/v1/event", data=body, headers={"Content-Encoding": encoding})

    body = json.dumps(EVENT).encode()
    bomb = gzip.compress(b" " * 6 * 2**20)
    await refused(await sent(bomb), 413, "too_large")
    await refused(await sent(gzip.compress(body)[:-9]), 400, "malformed_body")
    await refused(await sent(b"\x1f\x8bnot"), 400, "malformed_body")
    await refused(await sent(body, "br"), 415, "unsupported_media_type")
    assert rejected(service)[0].payload == bomb


async def test_a_server_that_inflates_by_itself_serves_write_keys(user_agents: UaParser) -> None:
    service = Service(user_agents)
    await service.start(inflates=True)
    body = gzip.compress(json.dumps(EVENT).encode())
    response = await service.post("/v1/event", data=body, headers={"Content-Encoding": "gzip"})
    assert response.status == 201
    broken = await service.post("/v1/event", data=body[:-25], headers={"Content-Encoding": "gzip"})
    assert broken.status == 400
    await service.stop()


async def test_what_is_small_and_would_become_many_objects_is_refused_before(
    service: Service,
) -> None:
    gzipped = {"Content-Encoding": "gzip"}
    for start in (b'{"a":[[]', b'{"s":"\\ud800","a":[[]'):
        body = gzip.compress(start + b",[]" * 250_000 + b"]}")
        response = await service.post("/v1/event", data=body, headers=gzipped)
        assert "arrays" in (await refused(response, 413, "too_large"))["detail"]
    one = gzip.compress(b'{"event":"view","user_id":"u",')
    other = gzip.compress(b'"timestamp":1752148800}')
    response = await service.post("/v1/event", data=one + other, headers=gzipped)
    assert response.status == 201
    between = gzip.compress(b"") * 40
    response = await service.post("/v1/event", data=one + between + other, headers=gzipped)
    await refused(response, 400, "malformed_body")


ESCAPES = [r"\\", r"\ud83d", r"\uDE00", r"\u00e9", r"\n", r"\"", "ud83d", "\u00e9"]


@given(st.lists(st.sampled_from(ESCAPES)))
def test_halves_of_emojis_alone_are_replaced(parts: list[str]) -> None:
    body = '{"t":"' + "".join(parts) + '"}'
    halves = json.loads(body)["t"]
    whole = "".join("\ufffd" if "\ud800" <= one <= "\udfff" else one for one in halves)
    assert bodies.parse_json(body.encode()) == {"t": whole}


async def test_half_an_emoji_does_not_cost_the_event(service: Service) -> None:
    body = b'{"event":"view","user_id":"u","timestamp":1752148800,"properties":{"t":"a\\ud83d"}}'
    assert (await service.post("/v1/event", data=body)).status == 201
    assert envelopes(service)[0].events[0].properties == '{"t":"a�"}'


async def test_an_idempotency_key_names_the_events_that_have_no_id(service: Service) -> None:
    headers = {"Idempotency-Key": "once"}
    single = await service.post("/v1/event", EVENT, headers=headers)
    assert (await single.json())["event_id"] == "once"
    events = [EVENT, {**EVENT, "event_id": "own"}, EVENT]
    batch = await service.post("/v1/batch", {"events": events}, headers=headers)
    ids = [one["event_id"] for one in (await batch.json())["events"]]
    assert ids == ["once:0", "own", "once:2"]
    long = await service.post("/v1/event", EVENT, headers={"Idempotency-Key": "k" * 201})
    await refused(long, 422, "invalid_value")


async def test_nothing_is_accepted_that_the_log_did_not_take(service: Service) -> None:
    service.sink.down = True
    for path, value in (("/v1/event", EVENT), ("/v1/batch", {"events": [EVENT]}), ("/v1/event", 1)):
        response = await service.post(path, value)
        await refused(response, 503, "unavailable")
        assert int(response.headers["Retry-After"]) > 0
    service.sink.down = False
    assert (await service.post("/v1/event", EVENT)).status == 201


async def test_a_503_says_what_to_send_again(service: Service) -> None:
    service.sink.down = True
    for error, written in (
        (Undelivered("late"), "may have been written"),
        (Unwritten("full"), "nothing"),
    ):
        service.sink.error = error
        document = await refused(await service.post("/v1/event", EVENT), 503, "unavailable")
        assert written in document["detail"]
        assert ("Idempotency-Key" in document["detail"]) == (written != "nothing")


async def test_only_signed_requests_speak_for_other_addresses(service: Service) -> None:
    value = {**EVENT, "context": {"ip": "203.0.113.7", "user_agent": "theirs"}}
    await service.signed("/v1/event", value)
    await service.post("/v1/event", value)
    shown = [(one.ip, one.user_agent) for one in envelopes(service)]
    assert shown == [("203.0.113.7", "theirs"), ("127.0.0.1", "theirs")]


async def test_only_signed_requests_say_that_there_is_no_address(service: Service) -> None:
    value = {**EVENT, "context": {"ip": "0.0.0.0"}}
    await service.signed("/v1/event", value)
    await service.post("/v1/event", value)
    assert [one.ip for one in envelopes(service)] == [None, "127.0.0.1"]


async def test_a_large_batch_is_split_into_messages_that_brokers_take(service: Service) -> None:
    events = [{**EVENT, "properties": {"n": number, "t": "x" * 40_000}} for number in range(25)]
    body = gzip.compress(json.dumps({"events": events}).encode())
    response = await service.post("/v1/batch", data=body, headers={"Content-Encoding": "gzip"})
    assert response.status == 201
    assert len(service.sink.sent) > 1
    assert all(len(value) < 1_000_000 for _, _, value in service.sink.sent)
    numbers = [
        json.loads(event.properties)["n"] for one in envelopes(service) for event in one.events
    ]
    assert numbers == list(range(25))


async def test_an_install_gets_the_deep_link_of_its_click(service: Service) -> None:
    await service.cache.remember_touch("shop", "c-1", None, "shop://sale", guess_ms=0)
    install = {"device_id": "d", "timestamp": NOW_MS}
    found = await service.post("/v1/install", {**install, "referral": {"click_id": "c-1"}})
    assert found.status == 201
    assert (await found.json())["deep_link"] == "shop://sale"
    none = await service.post("/v1/install", {**install, "referral": {"click_id": "c-2"}})
    assert (await none.json())["deep_link"] is None
    assert [one.events[0].event for one in envelopes(service)] == ["install", "install"]


async def test_a_tracking_cookie_identifies_a_page_that_names_nobody(service: Service) -> None:
    anonymous = {"event": "view", "timestamp": NOW_MS}
    cookie = {"Cookie": "a=b; trackstream_id=abcdefghijklmnop; c=d"}
    assert (await service.post("/v1/event", anonymous, headers=cookie)).status == 201
    assert envelopes(service)[0].subject == "shop|cookie:abcdefghijklmnop"
    await refused(await service.post("/v1/event", anonymous), 422, "no_identifier")


async def test_a_body_that_never_ends_is_given_up(user_agents: UaParser) -> None:
    service = Service(user_agents, body_timeout_s=0.05)
    await service.start()

    async def endless() -> Any:
        yield b"{"
        await asyncio.sleep(PATIENCE_S)

    await refused(await service.post("/v1/event", data=endless()), 400, "malformed_body")
    await service.stop()


async def test_unknown_paths_and_methods_are_problems_too(service: Service) -> None:
    for response, status in (
        (await service.client.get("/nowhere"), 404),
        (await service.client.get("/v1/event"), 405),
    ):
        document = await response.json(content_type="application/problem+json")
        assert (response.status, document["status"]) == (status, status)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
FIELD = st.sampled_from([*EVENT, "properties", "context", "campaign", "referral", "sent_at"])
DOCUMENT = st.dictionaries(FIELD, JSON).map(lambda fields: {**EVENT, **fields}) | JSON
BODY = st.one_of(
    st.binary(),
    DOCUMENT.map(lambda value: json.dumps(value).encode()),
    st.lists(DOCUMENT, max_size=4).map(lambda all_: json.dumps({"events": all_}).encode()),
    st.tuples(DOCUMENT, st.integers(0, 60)).map(
        lambda pair: json.dumps(pair[0]).encode()[: pair[1]]
    ),
)
PRINTABLE = st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Encoding": st.sampled_from(["gzip", "deflate", "br"]),
        "Idempotency-Key": st.text(PRINTABLE),
        "User-Agent": st.text(PRINTABLE, min_size=1),
        "Cookie": st.text(PRINTABLE),
        "Origin": st.sampled_from(["null", "https://a.example", "é"]),
        "Authorization": st.sampled_from(["Basic é", "Basic QQ==", "HMAC é", "HMAC", "x"]),
    },
)


async def test_no_body_whatever_gives_a_server_error(service: Service) -> None:
    loop = asyncio.get_running_loop()

    @settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.sampled_from(["event", "batch", "install"]), BODY, HEADERS)
    def attack(path: str, body: bytes, headers: dict[str, str]) -> None:
        async def once() -> int:
            response = await service.post(f"/v1/{path}", data=body, headers=headers)
            return response.status

        assert asyncio.run_coroutine_threadsafe(once(), loop).result(PATIENCE_S) < 500

    await asyncio.to_thread(attack)
    assert await service.metric('refusals_total{reason="internal"}') == 0
