"""What clients are told to do is what the collector does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from contextlib import closing
from datetime import datetime
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.http.service import NOW_MS, SERVER_KEY, Service, served
from tests.sdk_clients.vectors import FOLDER, built, named, vectors, whole
from tests.waiting import PATIENCE_S
from trackstream.core import signing, validation
from trackstream.core.fields import MAX_DEPTH, MAX_JSON_CHARS, MAX_MEMBERS
from trackstream.core.identifiers import MAX_ID_CHARS
from trackstream.core.reasons import HTTP_STATUS, Reason
from trackstream.http.authentication import WRITE_KEY_HEADER
from trackstream.ports import Undelivered
from trackstream.settings import Settings

if TYPE_CHECKING:
    from trackstream.storage.user_agents import UaParser

WHAT = ("method", "path", "timestamp", "nonce")


def parts(case: dict[str, Any]) -> dict[str, Any]:
    return {**{name: case[name] for name in WHAT}, "body": base64.b64decode(case["body_base64"])}


@pytest.mark.parametrize("case", vectors("signing"), ids=named)
def test_a_signature_is_that_of_the_core(case: dict[str, Any]) -> None:
    given, secret = parts(case), case["secret"]
    if "body_utf8" in case:
        assert case["body_utf8"].encode() == given["body"]
    assert signing.sign(secret, **given) == case["signature"]
    message = base64.b64decode(case["canonical_base64"])
    assert hmac.new(secret.encode(), message, hashlib.sha256).hexdigest() == case["signature"]
    authorization, now_s = case["authorization"], int(case["timestamp"])
    assert signing.verify(secret, authorization=authorization, now_s=now_s, **given) is None


def answered(port: int | None, case: dict[str, Any], headers: dict[str, str]) -> str | None:
    """The reason in the answer. The path goes out as it stands, which aiohttp's client changes."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        body = base64.b64decode(case["body_base64"])
        connection.request(case["method"].upper(), case["path"], body, headers)
        reason: str | None = json.loads(connection.getresponse().read()).get("reason")
        return reason


async def test_the_collector_takes_the_signatures_and_no_others(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for case in vectors("signing"):
        key = msgspec.structs.replace(SERVER_KEY, key_id=case["name"], secret=case["secret"])
        monkeypatch.setattr("tests.http.service.Registered.key", lambda _, __, key=key: key)
        service.now_ms = int(case["timestamp"]) * 1000
        headers = {
            signing.KEY_HEADER: "k",
            signing.TIMESTAMP_HEADER: case["timestamp"],
            **({signing.NONCE_HEADER: case["nonce"]} if case["nonce"] else {}),
            "Content-Type": "application/json",
        }
        right = case["authorization"]
        wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
        reasons = [
            await asyncio.to_thread(
                answered, service.client.port, case, {**headers, "Authorization": authorization}
            )
            for authorization in (wrong, right, right)
        ]
        found[case["name"]] = [
            reasons[0] == Reason.BAD_SIGNATURE,
            reasons[1] not in {Reason.BAD_SIGNATURE, Reason.UNAUTHENTICATED, Reason.REPLAYED},
            reasons[2] == Reason.REPLAYED,
        ]
    assert found == {case["name"]: [True, True, True] for case in vectors("signing")}


def test_the_headers_are_the_core_s() -> None:
    assert set(whole("signing")["headers"]) == {
        *(signing.KEY_HEADER, signing.TIMESTAMP_HEADER, signing.NONCE_HEADER, "Authorization")
    }


def test_the_contract_has_every_field_and_bound() -> None:
    text = (FOLDER.parent / "README.md").read_text("utf-8")
    fields = validation._KNOWN - {"app_id"}
    assert [one for one in fields if f"`{one}`" not in text] == []
    bounds = Settings()
    assert bounds.max_inflated_bytes == 5 * bounds.max_body_bytes == 5 * 2**20
    for said in (
        f"{bounds.max_batch_events:,} events, 1 MiB as sent and 5 MiB inflated",
        f"up to {validation.MAX_NAME_CHARS} characters",
        f"text up to {MAX_ID_CHARS} characters",
        f"{MAX_DEPTH} deep, {MAX_MEMBERS:,} members, {MAX_JSON_CHARS:,} characters",
        f"at most {signing.MAX_SKEW_S} from the collector's",
        f"up to {signing.MAX_NONCE_CHARS} characters",
        *(signing.KEY_HEADER, signing.TIMESTAMP_HEADER, signing.NONCE_HEADER, WRITE_KEY_HEADER),
    ):
        assert said in text


async def test_every_document_has_its_verdict(service: Service) -> None:
    assert datetime.fromisoformat(whole("documents")["received_at"]).timestamp() * 1000 == NOW_MS
    found, expected = {}, {}
    for case in vectors("documents"):
        response = await service.post("/v1/batch", {"events": [built(case)]})
        (verdict,) = (await response.json())["events"]
        found[case["name"]] = (response.status, verdict["status"], verdict.get("reasons", []))
        refused = (207, "rejected", case["reasons"])
        expected[case["name"]] = refused if case["reasons"] else (201, "accepted", [])
        event_id = case["event"].get("event_id") if isinstance(case["event"], dict) else None
        assert event_id in {None, verdict["event_id"]}
    assert found == expected


async def test_every_batch_has_its_answer(service: Service) -> None:
    found, expected = {}, {}
    for case in vectors("documents", "batches"):
        document = case["document"]
        if "times" in case:
            document = {**document, "events": document["events"] * case["times"]}
        response = await service.post("/v1/batch", document)
        answer = await response.json(content_type=None)
        found[case["name"]] = (response.status, answer.get("reason"))
        expected[case["name"]] = (case["status"], case.get("reason"))
    assert found == expected


async def test_what_every_call_makes_is_taken(service: Service) -> None:
    for case in vectors("calls"):
        response = await service.post("/v1/event", {**case["document"], "timestamp": NOW_MS})
        assert response.status == 201, case["name"]


def answer_cases() -> dict[tuple[int, str], list[dict[str, Any]]]:
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for case in vectors("retries"):
        body = case.get("body")
        if isinstance(body, dict) and "reason" in body:
            found.setdefault((case["status"], body["reason"]), []).append(case)
    return found


def test_every_reason_says_what_a_client_does() -> None:
    assert set(answer_cases()) == {(status, str(reason)) for reason, status in HTTP_STATUS.items()}


async def test_taken_and_refused_look_as_they_do_in_the_vectors(service: Service) -> None:
    event = {"event": "view", "user_id": "u1", "timestamp": NOW_MS, "event_id": "e0"}
    nameless = {**event, "event": None, "event_id": "e1"}
    taken = [case for case in vectors("retries") if case["does"] == "taken"]
    assert [case["status"] for case in taken] == [201, 207, 207]
    events = (
        [event, {**event, "event_id": "e1"}],
        [event, nameless],
        [{**nameless, "event_id": "e0"}, nameless],
    )
    for case, sent in zip(taken, events, strict=True):
        response = await service.post("/v1/batch", {"events": sent})
        assert (response.status, await response.json()) == (case["status"], case["body"])


async def test_not_now_is_429_or_503_with_whole_seconds(
    service: Service, user_agents: UaParser
) -> None:
    service.sink.down = True
    service.sink.error = Undelivered("down")
    event = {"event": "view", "user_id": "u1", "timestamp": NOW_MS}
    away = await service.post("/v1/batch", {"events": [event]})
    async with served(user_agents, rate_limit_key_per_s=1, rate_limit_burst_s=1) as limited:
        answers = [await limited.post("/v1/batch", {"events": [event]}) for _ in range(3)]
        limit = answers[-1]
        for response, status in ((away, 503), (limit, 429)):
            assert response.status == status
            assert response.headers["Retry-After"].isdigit()
            reason = (await response.json(content_type=None))["reason"]
            assert {case["does"] for case in answer_cases()[status, reason]} == {"retry"}


async def test_an_expired_signature_comes_with_the_time_there(service: Service) -> None:
    early = await service.signed("/v1/batch", b"{}", now_s=NOW_MS // 1000 - 301)
    assert (await early.json(content_type=None))["reason"] == Reason.EXPIRED_SIGNATURE
    assert "Date" in early.headers
