"""The Python client keeps to the files that all clients keep to."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.sdk_clients.vectors import named, vectors, whole
from trackstream_client import Client, Retries
from trackstream_client.answers import Action, Answer, Queued, judge
from trackstream_client.ids import new_id
from trackstream_client.signing import canonical, sign, signed_headers

if TYPE_CHECKING:
    from trackstream_client import Verdict


@pytest.mark.parametrize("case", vectors("signing"), ids=named)
def test_it_signs_as_it_should(case: dict[str, Any]) -> None:
    method, path, nonce, timestamp = (
        case[name] for name in ("method", "path", "nonce", "timestamp")
    )
    body = base64.b64decode(case["body_base64"])
    message = canonical(method=method, path=path, body=body, timestamp=timestamp, nonce=nonce)
    assert message == base64.b64decode(case["canonical_base64"])
    assert sign(case["secret"], message) == case["signature"]
    headers = signed_headers(
        *("k", case["secret"]),
        method=method,
        path=path,
        body=body,
        now_s=int(timestamp),
        nonce=nonce,
    )
    assert headers["Authorization"] == case["authorization"]
    assert set(headers) == set(whole("signing")["headers"])


@pytest.mark.parametrize("case", vectors("retries"), ids=named)
def test_it_does_what_an_answer_calls_for(case: dict[str, Any]) -> None:
    events = [Queued(f"e{index}", b"{}") for index in range(case["events"])]
    answer = None
    if case["status"] is not None:
        body = case.get("body", "")
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        headers = {name.lower(): value for name, value in case["headers"].items()}
        answer = Answer(case["status"], headers, data)
    action, verdicts = judge(answer, events)
    assert action == case["does"]
    if action is Action.TAKEN:
        assert [one.status for one in verdicts] == case["verdicts"]
    elif action is Action.REFUSED:
        assert [one.status for one in verdicts] == ["rejected"] * len(events)
        assert {one.reasons for one in verdicts} == {tuple(case["reasons"])}
    if action in {Action.TAKEN, Action.REFUSED}:
        assert [one.event_id for one in verdicts] == [one.event_id for one in events]
    if action is Action.RETRY:
        after_s = answer.retry_after_s(now_s=0.0) if answer else 0.0
        waits_ms = [
            1000 * Retries().wait_s(case["failures"], retry_after_s=after_s, chance=chance)
            for chance in (0.0, 1.0)
        ]
        assert waits_ms == [case["earliest_wait_ms"], case["latest_wait_ms"]]
    if "sets_clock" in case:
        assert answer is not None
        assert answer.date_s == datetime.fromisoformat(case["sets_clock"]).timestamp()


def test_its_bounds_are_those_of_the_contract() -> None:
    bounds = Retries()
    assert whole("retries")["bounds"] == {
        "first_step_ms": bounds.first_s * 1000,
        "most_step_ms": bounds.most_s * 1000,
        "most_retry_after_ms": bounds.most_retry_after_s * 1000,
    }


@pytest.mark.parametrize("case", vectors("calls"), ids=named)
def test_a_call_makes_its_document(case: dict[str, Any]) -> None:
    told: list[Verdict] = []
    at_s = datetime(2025, 7, 10, 12, tzinfo=UTC).timestamp()
    client = Client("http://127.0.0.1:9", "k", "s", on_verdict=told.append, clock_s=lambda: at_s)
    event_id = getattr(client, case["call"])(**case["arguments"])
    assert client.close(timeout_s=0) == 1
    (verdict,) = told
    assert verdict.status == "unsent"
    document = verdict.event
    made = uuid.UUID(document.pop("event_id"))
    assert (str(made), made.version) == (event_id, 7)
    assert document.pop("timestamp") == "2025-07-10T12:00:00.000Z"
    assert document["context"].pop("sdk")["name"] == "trackstream-python"
    assert document["context"].pop("ip") == "0.0.0.0"
    if not document["context"]:
        del document["context"]
    assert document == case["document"]


def test_ids_sort_by_when_they_were_made() -> None:
    made = [uuid.UUID(new_id()) for _ in range(1_000)]
    assert len(set(made)) == len(made)
    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}
    times = [one.int >> 80 for one in made]
    assert times == sorted(times)
