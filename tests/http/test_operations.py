import base64
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.http.service import EVENT, Service
from trackstream.http.ids import new_cookie_id, new_id
from trackstream.http.metrics import Metrics, merged, render
from trackstream.storage.user_agents import UaParser


async def test_health_tells_what_is_missing(service: Service) -> None:
    assert (await service.client.get("/health/live")).status == 200
    ready = await service.client.get("/health/ready")
    assert (ready.status, await ready.json()) == (200, {"status": "ready", "missing": []})
    service.missing.append("kafka")
    unready = await service.client.get("/health/ready")
    assert unready.status == 503
    assert (await unready.json())["missing"] == ["kafka"]
    assert (await service.client.get("/health/live")).status == 200


async def test_metrics_are_prometheus_text(service: Service) -> None:
    await service.post("/v1/event", EVENT)
    await service.post("/v1/event", {})
    response = await service.client.get("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = await response.text()
    assert text.endswith("\n")
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+')
    for line in text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line), line
    assert await service.metric('requests_total{route="event",status="201"}') == 1
    assert await service.metric('requests_total{route="event",status="422"}') == 1
    assert await service.metric('events_accepted_total{route="event"}') == 1
    assert await service.metric("produce_seconds_count") == 2
    assert await service.metric('produce_seconds_bucket{le="+Inf"}') == 2
    for step in ("read", "authenticate", "parse", "validate"):
        assert await service.metric(f'step_seconds_count{{step="{step}"}}') == 2
    for step in ("key", "produce", "answer"):
        assert await service.metric(f'step_seconds_count{{step="{step}"}}') == 1


def test_several_processes_are_added_up() -> None:
    parts = [Metrics(), Metrics(), Metrics()]
    for part, seconds in zip(parts, (0.002, 20.0), strict=False):
        part.requests.add(("event", "201"), 2)
        part.produce.observe(seconds)
    text = render(merged(parts))
    assert 'requests_total{route="event",status="201"} 4' in text
    assert 'produce_seconds_bucket{le="0.0025"} 1\n' in text
    assert 'produce_seconds_bucket{le="10"} 1\n' in text
    assert "produce_seconds_count 2\n" in text
    assert parts[0].requests.values == {("event", "201"): 2}


def test_ids_are_uuid7_and_each_is_new() -> None:
    found = [new_id() for _ in range(1000)]
    assert len(set(found)) == 1000
    form = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(form.fullmatch(one) for one in found)
    assert found[0][:9] <= found[-1][:9]


def test_ids_of_cookies_are_whole_and_each_is_new() -> None:
    found = [new_cookie_id() for _ in range(1000)]
    assert len(set(found)) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32}", one) for one in found)


@pytest.mark.parametrize("maker", ["new_id", "new_cookie_id"])
def test_a_forked_process_makes_ids_of_its_own(maker: str) -> None:
    code = (
        f"import os; from trackstream.http.ids import {maker} as new; new(); os.fork();"
        "os.write(1, new()[-16:].encode() + b' ')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    ours, theirs = done.stdout.split()
    assert len(ours) == len(theirs) == 16
    assert ours != theirs


@pytest.mark.parametrize(
    ("host", "is_open", "key", "status"),
    [
        ("127.0.0.1", False, None, 200),
        ("0.0.0.0", True, None, 200),
        ("0.0.0.0", False, None, 401),
        ("::", False, None, 401),
        ("0.0.0.0", False, "k-read:r3ad", 200),
        ("0.0.0.0", False, "k-read:wrong", 401),
        ("0.0.0.0", False, "k-read:", 401),
        ("0.0.0.0", False, "k-write:", 401),
        ("0.0.0.0", False, "k-rotated:0ld", 403),
    ],
)
async def test_metrics_are_for_operators(
    user_agents: UaParser, host: str, *, is_open: bool, key: str | None, status: int
) -> None:
    service = Service(user_agents, collector_host=host, metrics_open=is_open)
    await service.start()
    encoded = base64.b64encode((key or "").encode()).decode()
    headers = {"Authorization": f"Basic {encoded}"} if key else {}
    response = await service.client.get("/metrics", headers=headers)
    assert response.status == status
    assert response.headers.get("WWW-Authenticate", "").startswith("Basic") is (status == 401)
    assert (await service.client.get("/health/live")).status == 200
    await service.stop()


@pytest.mark.parametrize(
    ("settings", "headers", "status"),
    [
        ({}, {}, 200),
        ({}, {"X-Forwarded-For": "203.0.113.9"}, 401),
        ({}, {"X-Forwarded-For": "127.0.0.1"}, 401),
        ({}, {"Forwarded": "for=127.0.0.1"}, 401),
        ({}, {"X-Real-IP": "203.0.113.9"}, 401),
        ({}, {"Via": "1.1 proxy"}, 401),
        ({"trusted_proxies": "127.0.0.1"}, {}, 200),
        ({"trusted_proxies": "127.0.0.1"}, {"X-Forwarded-For": "203.0.113.9"}, 401),
        ({"trusted_proxies": "127.0.0.1"}, {"X-Forwarded-For": "127.0.0.1, 203.0.113.9"}, 401),
        ({"trusted_proxies": "127.0.0.1"}, {"X-Forwarded-For": "127.0.0.1"}, 200),
        ({"trusted_proxies": "127.0.0.1"}, {"X-Forwarded-For": "x"}, 401),
        ({"trusted_proxies": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, 401),
        ({"trusted_proxies": "10.0.0.0/8"}, {"X-Forwarded-For": "127.0.0.1"}, 401),
        ({"metrics_open": True}, {"X-Forwarded-For": "203.0.113.9"}, 200),
    ],
)
async def test_metrics_are_not_for_whom_a_proxy_on_this_machine_lets_in(
    user_agents: UaParser, settings: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    service = Service(user_agents, **settings)
    await service.start()
    try:
        assert (await service.client.get("/metrics", headers=headers)).status == status
    finally:
        await service.stop()
