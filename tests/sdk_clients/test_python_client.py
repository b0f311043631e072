"""The Python client on the real collector: every event arrives once, and has its verdict."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.certificates import write_certificate
from tests.http.service import SERVER_KEY, Service, served
from tests.sdk_clients.clients import (
    QUICK,
    Told,
    arrived,
    arrived_ids,
    client_of,
    closed,
    flushed,
    until,
)
from trackstream.core.records import Envelope
from trackstream_client import Client as PythonClient
from trackstream_client import (
    Retries,
    Verdict,
)

if TYPE_CHECKING:
    from pathlib import Path

    from trackstream.storage.user_agents import UaParser


async def test_events_go_without_being_asked_for_after_a_while(live: Service) -> None:
    client = client_of(live, flush_every_s=0.05)
    began_s = time.monotonic()
    ids = [client.track("view", user_id="u1") for _ in range(3)]
    await until(lambda: arrived_ids(live) == ids)
    assert time.monotonic() - began_s >= 0.05
    assert live.sink.calls == 1
    await closed(client)


async def test_what_is_answered_503_first_arrives_once(live: Service) -> None:
    told = Told()
    live.sink.down = True
    client = client_of(live, on_verdict=told, batch_events=20)
    ids = [client.track("view", user_id="u1") for _ in range(50)]
    await until(lambda: live.sink.calls >= 3)
    assert told.verdicts == []
    live.sink.down = False
    await closed(client)
    assert arrived_ids(live) == told.ids() == ids


async def test_two_tries_in_one_moment_are_signed_differently(live: Service) -> None:
    told, at_s = Told(), time.time()
    live.sink.down = True
    client = client_of(live, on_verdict=told, clock_s=lambda: at_s)
    ids = [client.track("view", user_id="u1")]
    await until(lambda: live.sink.calls >= 3)
    assert await live.metric('refusals_total{reason="replayed"}') == 0
    live.sink.down = False
    await closed(client)
    assert arrived_ids(live) == told.ids() == ids


async def test_it_believes_the_certificates_that_it_is_given(
    user_agents: UaParser, tmp_path: Path
) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    write_certificate(chain, key, "t.shop.example")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(chain, key)
    service = Service(user_agents)
    service.now_ms = time.time_ns() // 1_000_000
    await service._server.start_server(auto_decompress=False, ssl=serving)
    believing = ssl.create_default_context(cafile=str(chain))
    believing.check_hostname = False  # the certificate is of another name than this address
    url = f"https://127.0.0.1:{service._server.port}"
    name, secret = SERVER_KEY.key_id, SERVER_KEY.secret or ""
    ids = []
    with PythonClient(url, name, secret, tls=believing) as client:
        ids.append(client.track("view", user_id="u1"))
        await flushed(client)
    told = Told()
    strict = PythonClient(url, name, secret, on_verdict=told, retries=QUICK)
    strict.track("view", user_id="u1")
    assert not await asyncio.to_thread(strict.flush, 0.2)
    assert await asyncio.to_thread(strict.close, 0.0) == 1
    assert arrived_ids(service) == ids
    await service._server.close()


async def test_retry_after_of_a_429_is_kept_to(user_agents: UaParser) -> None:
    async with served(user_agents, rate_limit_key_per_s=1, rate_limit_burst_s=1) as limited:
        limited.now_ms = time.time_ns() // 1_000_000
        told = Told()
        client = client_of(limited, on_verdict=told, retries=Retries(first_s=0.01))
        ids = [client.track("view", user_id="u1")]
        await flushed(client)
        first_s = time.monotonic()
        ids.append(client.track("view", user_id="u1"))
        await flushed(client)
        assert time.monotonic() - first_s >= 0.99
        assert await limited.metric('requests_total{route="batch",status="429"}') == 1
        await closed(client)
        assert arrived_ids(limited) == told.ids() == ids


async def test_a_bad_event_has_its_verdict_and_the_others_theirs(live: Service) -> None:
    told = Told()
    client = client_of(live, on_verdict=told)
    ids = [
        client.track("view", user_id="u1"),
        client.track("view", {"a": 1}),
        client.track("view", user_id="u2"),
    ]
    await closed(client)
    assert [one.event_id for one in told.verdicts] == ids
    assert [one.status for one in told.verdicts] == ["accepted", "rejected", "accepted"]
    bad = told.verdicts[1]
    assert bad.reasons == ("no_identifier",)
    assert "user_id" in bad.detail
    assert bad.event["properties"] == {"a": 1}
    assert arrived_ids(live) == [ids[0], ids[2]]


async def test_without_a_callback_refusals_are_logged(
    live: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "trackstream_client"):
        client = client_of(live)
        event_id = client.track("view")
        await closed(client)
    assert f"{event_id} is rejected: no_identifier" in caplog.text


async def test_a_callback_that_fails_stops_nothing(
    live: Service, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(verdict: Verdict) -> None:
        raise RuntimeError(verdict.event_id)

    client = client_of(live, on_verdict=fail)
    ids = [client.track("view", user_id="u1") for _ in range(2)]
    await closed(client)
    assert arrived_ids(live) == ids
    assert all(f"the callback failed for {one}" in caplog.text for one in ids)


async def test_a_wrong_secret_is_told_of_each_event(live: Service) -> None:
    told = Told()
    client = client_of(live, secret="wrong", on_verdict=told)
    ids = [client.track("view", user_id="u1") for _ in range(2)]
    await closed(client)
    assert told.ids("rejected") == ids
    assert {one.reasons for one in told.verdicts} == {("bad_signature",)}
    assert arrived(live) == []


@pytest.mark.parametrize("compresses", [True, False])
async def test_it_signs_what_it_sends(live: Service, *, compresses: bool) -> None:
    client = client_of(live, compresses=compresses)
    ids = [client.track("Käufe 🛒", {"t": "x" * 5_000, "e": "\ud83d"}, user_id="Zoë")]
    await closed(client)
    assert arrived_ids(live) == ids
    assert (arrived(live)[0].event, arrived(live)[0].user_id) == ("Käufe 🛒", "Zoë")


async def test_a_wrong_clock_signs_by_the_collectors_and_keeps_to_its_own(live: Service) -> None:
    told = Told()
    client = client_of(live, on_verdict=told, clock_s=lambda: time.time() - 7_200)
    at_s = time.time()
    ids = [client.track("view", user_id="u1")]
    await flushed(client)
    ids.append(client.track("view", user_id="u1"))
    await closed(client)
    assert arrived_ids(live) == told.ids() == ids
    (_, envelope), _ = live.sink.records("raw")
    assert isinstance(envelope, Envelope)
    for ms in (envelope.sent_at_ms, envelope.events[0].timestamp_ms):
        assert ms is not None
        assert ms / 1000 == pytest.approx(at_s - 7_200, abs=60)


async def test_a_server_s_own_address_and_agent_are_nobody_s(live: Service) -> None:
    client = client_of(live)
    client.track("view", user_id="u1")
    client.track("view", user_id="u2", context={"ip": "203.0.113.7", "user_agent": "theirs"})
    await closed(client)
    envelopes = [one for _, one in live.sink.records("raw") if isinstance(one, Envelope)]
    shown = [(one.ip, one.user_agent) for one in envelopes]
    assert shown == [(None, None), ("203.0.113.7", "theirs")]
    contexts = [one.context.sdk for one in arrived(live) if one.context]
    assert contexts == ["trackstream-python/0.1.0"] * 2


async def test_an_id_and_a_time_of_the_caller_s_own_are_kept(live: Service) -> None:
    client = client_of(live)
    at = datetime(2025, 7, 10, 12, 0, 0, 250_000, tzinfo=UTC)
    assert client.track("order", user_id="u1", event_id=" order-7 ", timestamp=at) == "order-7"
    client.track("order", user_id="u1", timestamp=at.timestamp())
    with pytest.raises(ValueError, match="zone"):
        client.track("order", user_id="u1", timestamp=at.replace(tzinfo=None))
    await closed(client)
    assert arrived_ids(live)[0] == "order-7"
    assert {one.timestamp_ms for one in arrived(live)} == {int(at.timestamp() * 1000)}


def test_a_wrong_address_is_told_when_the_client_is_made() -> None:
    for url in ("t.shop.example", "ftp://t.shop.example", "https://", "https://a?b=c"):
        with pytest.raises(ValueError, match="address"):
            PythonClient(url, "k", "s")
    with pytest.raises(ValueError, match="room"):
        PythonClient("http://127.0.0.1", "k", "s", queue_events=0, retries=QUICK)
