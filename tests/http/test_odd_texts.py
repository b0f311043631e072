"""Half an emoji, NUL and line ends, wherever a caller can put a text: an answer, never a 500."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.http.service import EVENT, NOW_MS, WRITE_KEY, Registered, Service
from trackstream.core.definitions_file import definitions_of_text
from trackstream.core.records import Rejected
from trackstream.ports import App

if TYPE_CHECKING:
    from collections.abc import Iterator

ODD = ["\ud800", "a\udfffb", "\x00", "a\r\nX-Injected: 1", "\x1b[2J\x7f"]
WHOLE: dict[str, Any] = {
    **EVENT,
    "event_id": "e",
    "session_id": "s",
    "properties": {"a": {"b": ["c"]}},
    "campaign": {"campaign_id": "c", "utm_source": "s", "odd": "x"},
    "context": {"os": {"name": "Android"}, "ip": "192.0.2.1", "consent": {"ads": True}, "x": "y"},
    "referral": {"click_id": "c", "install_referrer": "utm_source=x"},
    "sent_at": NOW_MS,
    "odd": {"x": "y"},
}
MESSAGE: dict[str, Any] = {
    "type": "track",
    "event": "e",
    "userId": "u",
    "messageId": "m",
    "timestamp": NOW_MS,
    "properties": {"a": "b", "currency": "EUR", "revenue": "5"},
    "context": {"ip": "192.0.2.1", "library": {"name": "x"}, "campaign": {"name": "n"}},
}
STRICT = """
mode = "strict"
[events.view]
closed = true
[events.view.properties]
a = { type = "object" }
"""


def variants(value: Any, odd: str) -> Iterator[Any]:
    """The value with the odd text in place of each of its texts, and as a name in each object."""
    if isinstance(value, str):
        yield odd
    elif isinstance(value, list):
        for n, one in enumerate(value):
            for other in variants(one, odd):
                yield [*value[:n], other, *value[n + 1 :]]
    elif isinstance(value, dict):
        yield {**value, odd: 1}
        yield {**value, odd: odd}
        for name, one in value.items():
            yield {odd if other == name else other: held for other, held in value.items()}
            for other in variants(one, odd):
                yield {**value, name: other}


def _body(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture(params=["", STRICT, STRICT.replace("strict", "lenient")])
def defined(
    request: pytest.FixtureRequest, service: Service, monkeypatch: pytest.MonkeyPatch
) -> Service:
    app = App(app_id="shop", name="shop", definitions=definitions_of_text(request.param))
    monkeypatch.setattr(Registered, "app", lambda *_: app)
    return service


@pytest.mark.parametrize("odd", ODD)
async def test_in_a_body_it_costs_at_most_its_own_event(
    defined: Service, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    alone: list[tuple[str, Any]] = [
        *(("/v1/event", one) for one in variants(WHOLE, odd)),
        *(("/v1/track", one) for one in variants(MESSAGE, odd)),
    ]
    for path, value in alone:
        response = await defined.post(path, data=_body(value))
        assert response.status in {200, 201, 400, 422}, (path, value, await response.text())
        assert "X-Injected" not in response.headers
    for path, name, one in (("/v1/batch", "events", WHOLE), ("/v1/b", "batch", MESSAGE)):
        events = [EVENT if name == "events" else MESSAGE, *variants(one, odd)]
        response = await defined.post(path, data=_body({name: events}))
        assert response.status in {200, 201, 207, 400}, await response.text()
        response = await defined.post(path, data=_body({name: events, odd: odd}))
        assert response.status in {400, 422}, await response.text()  # nobody reads it
        assert all(isinstance(kept, Rejected) for _, kept in defined.sink.records("rejected"))
    text = await (await defined.client.get("/metrics")).read()
    lines = text.decode().splitlines()
    assert all(line[:1] == "#" or line.startswith("trackstream_") for line in lines)
    assert not any("\x00" in one or "X-Injected" in one for one in caplog.messages)
    assert "".join(caplog.messages).encode()


async def test_a_strict_and_closed_definition_names_the_odd_property(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(app_id="shop", name="shop", definitions=definitions_of_text(STRICT))
    monkeypatch.setattr(Registered, "app", lambda *_: app)
    odd = {**EVENT, "properties": {"\ud800": 1}}
    response = await service.post("/v1/batch", data=_body({"events": [EVENT, odd]}))
    assert response.status == 207
    good, bad = (await response.json())["events"]
    assert good["status"] == "accepted"
    assert bad["errors"] == [
        {
            "reason": "invalid_property",
            "field": "properties.\ufffd",
            "detail": "is not defined",
        }
    ]


@pytest.mark.parametrize("odd", [*ODD, "\u20ac", "%"])
@pytest.mark.parametrize(
    "path",
    [
        *("/{}", "/v1/{}", "/c/{}", "/v1/click?cid={}", "/v1/click?cid=cmp001&adgroup={}&{}=1"),
        "/v1/click?cid=cmp001&click_id={}&trackstream_click_id={}&utm_source={}&gclid={}",
        *("/v1/impression?cid=cmp001&device_id={}", "/subjects/{}/versions", "/schemas/ids/{}"),
        *("/subjects/trackstream.Event/versions/{}", "/v1/attributions/{}/explain"),
    ],
)
async def test_in_a_path_or_a_query(service: Service, path: str, odd: str) -> None:
    raw = odd.encode("utf-8", "surrogatepass")
    for text in (quote(raw, safe=""), raw.decode("latin-1")):
        if any(one in text for one in "\r\n\x00\x1b %") and "%" not in text:
            continue  # no request line can have these as they are
        head = f"GET {path.replace('{}', text)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await _raw(service, head.encode("latin-1"))
        assert answer.partition(b" ")[2][:1] in b"234", answer
        assert b"\nX-Injected" not in answer


@pytest.mark.parametrize(
    "name",
    [
        *("Origin", "User-Agent", "Idempotency-Key", "X-Trackstream-Write-Key", "Authorization"),
        *("Content-Type", "Content-Encoding", "Cookie", "Accept-Language", "X-Trackstream-Key"),
        *("X-Trackstream-Timestamp", "X-Trackstream-Nonce"),
    ],
)
async def test_in_a_header(service: Service, name: str) -> None:
    for value in (b"\xed\xa0\x80", b"\xff\xfe", b"a\x7f\x80", "€".encode(), b"HMAC \xff"):
        fields = {"X-Trackstream-Write-Key": WRITE_KEY.key_id.encode(), name: value}
        body = _body(EVENT)
        lines = [b"%s: %s" % (one.encode(), held) for one, held in fields.items()]
        for head in (b"POST /v1/event HTTP/1.1", b"GET /v1/click?cid=cmp001 HTTP/1.1"):
            sent = body if head.startswith(b"POST") else b""
            first = [head, b"Host: x", b"Connection: close", b"Content-Length: %d" % len(sent)]
            answer = await _raw(service, b"\r\n".join([*first, *lines, b"", sent]))
            assert answer.partition(b" ")[2][:1] in b"234", answer


async def _raw(service: Service, request: bytes) -> bytes:
    server = service.client.server
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
