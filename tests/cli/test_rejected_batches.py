"""An event that was refused out of a batch and is replayed is the one that it would have been."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner

from tests.cli.test_rejected import HOUR_MS, invoke, written
from tests.http.served import client_of, registered_key, running, until_ready
from tests.ports import free_port
from tests.storage.warehoused import write
from trackstream.cli import main
from trackstream.core.clocks import Heard, heard, moment_ms
from trackstream.core.records import Envelope, Rejected
from trackstream.core.rules import Rules
from trackstream.core.signing import signed_headers
from trackstream.settings import Settings
from trackstream.storage.topics import ensure_topics

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import ClientSession

    from trackstream.ports import Key

STRICT = 'mode = "strict"\n[events.view]\n'
RELAXED = STRICT + "[events.odd]\n"
AGE_MS = 60_000


async def post(
    session: ClientSession, key: Key, path: str, document: dict[str, Any], idempotency_key: str
) -> int:
    body = msgspec.json.encode(document)
    headers = signed_headers(
        *(key.key_id, key.secret or ""),
        method="POST", path=path, body=body, now_s=int(time.time()), nonce=str(time.time_ns()),
    )  # fmt: skip
    headers |= {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
    async with session.post(path, data=body, headers=headers) as response:
        return response.status


def moments(envelope: Envelope) -> dict[str, int]:
    """When its events happened, by their ids, as a worker that knows nothing else corrects it."""
    rules = Rules()
    _, reading = heard(Heard(None, []), envelope, begun=False, rules=rules)
    return {
        one.event_id: moment_ms(one.timestamp_ms, envelope, reading, rules) + reading.error_ms
        for one in envelope.events
    }


@pytest.mark.parametrize("skew_h", [5, 40])
def test_a_member_of_a_batch_keeps_its_clock_and_its_id(
    skew_h: int,
    database_url: str,
    kafka_url: str,
    topic_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        postgres_url=database_url,
        kafka_url=kafka_url,
        topic_prefix=topic_prefix,
        topic_partitions=1,
        collector_port=free_port(),
        app_id="shop",
    )
    key = registered_key(settings)
    asyncio.run(ensure_topics(settings))
    for name, value in settings.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRACKSTREAM_COLLECTOR_URL", f"http://127.0.0.1:{settings.collector_port}")
    monkeypatch.setenv("TRACKSTREAM_KEY_ID", key.key_id)
    monkeypatch.setenv("TRACKSTREAM_SECRET", key.secret or "")

    def define(text: str) -> None:
        assert CliRunner().invoke(main, ["events", "set", "-"], input=text).exit_code == 0

    now_ms = time.time_ns() // 1_000_000
    sent_ms = now_ms + skew_h * HOUR_MS
    native = {"event": "odd", "user_id": "u", "timestamp": sent_ms - AGE_MS}
    call = {"type": "track", "event": "odd", "userId": "u", "timestamp": sent_ms - AGE_MS}
    undated = {"type": "track", "event": "odd", "userId": "u"}
    known = {"event": "view", "user_id": "u", "timestamp": sent_ms}
    batches = [
        ("/v1/batch", {"sent_at": sent_ms, "events": [known, native]}, "ours"),
        ("/v1/batch", {"sentAt": sent_ms, "batch": [call, undated]}, "theirs"),
        ("/v1/event", {**native, "sent_at": sent_ms}, "single"),
        ("/v1/track", {**call, "sentAt": sent_ms}, "call"),
    ]

    async def send() -> list[int]:
        async with client_of(settings) as session:
            await until_ready(session)
            return [await post(session, key, *one) for one in batches]

    define(STRICT)
    with running(settings):
        assert asyncio.run(send()) == [207, 400, 422, 400]
    refused = asyncio.run(written(settings, "rejected"))
    assert len(refused) == 5
    write(database_url, *(one for one in refused if isinstance(one, Rejected)))
    define(RELAXED)
    with running(settings):
        done = invoke("replay", "--yes", "--json")
        assert done.exit_code == 0, done.output
        # Whoever sent it does so once more.
        assert asyncio.run(send()) == [201, 200, 201, 200]

    envelopes = [one for one in asyncio.run(written(settings, "raw")) if isinstance(one, Envelope)]
    found: dict[str, list[int]] = {}
    for envelope in envelopes:
        for event_id, at_ms in moments(envelope).items():
            found.setdefault(event_id, []).append(at_ms)
    ids = {"ours:0", "ours:1", "theirs:0", "theirs:1", "single", "call"}
    assert {name: len(times) for name, times in found.items()} == dict.fromkeys(ids, 2)
    for name, (first_ms, _) in found.items():
        due_ms = now_ms if name in {"ours:0", "theirs:1"} else now_ms - AGE_MS
        assert abs(first_ms - due_ms) < AGE_MS / 2, name
