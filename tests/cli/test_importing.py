from __future__ import annotations

import asyncio
import gzip
import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from tests.http.service import SERVER_KEY, Service
from trackstream.cli.base import Problem
from trackstream.cli.importing import Plan, run
from trackstream.core.records import Envelope
from trackstream.storage.user_agents import UaParser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def line(ip: str, path: str, agent: str = BROWSER, *, year: int = 2015, second: int = 3) -> str:
    return (
        f"{ip} - - [17/May/{year}:10:05:{second:02} +0000] "
        f'"GET {path} HTTP/1.1" 200 203 "http://example.com/from" "{agent}"'
    )


LINES = [
    line("192.0.2.1", "/a"),
    line("192.0.2.1", "/b?x=1", second=4),
    line("2001:db8::1", "/a", CRAWLER),
    line("192.0.2.1", "/c", CRAWLER) + "?",
    line("host.example.com", "/a", "-"),
]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service(UaParser())
    service.now_ms = int(time.time() * 1000)
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
def plan(service: Service, tmp_path: Path) -> Plan:
    path = tmp_path / "access.log"
    path.write_text("\n".join(LINES) + "\n")
    return Plan(
        file=str(path),
        url=str(service.client.make_url("")),
        key_id=SERVER_KEY.key_id,
        secret=SERVER_KEY.secret or "",
        site="https://shop.example/",
        batch=2,
        concurrency=2,
        max_body_bytes=2**20,
    )


def envelopes(service: Service) -> list[Envelope]:
    found = [record for _, record in service.sink.records("raw")]
    assert all(isinstance(one, Envelope) for one in found)
    return cast("list[Envelope]", found)


async def test_every_request_becomes_a_page_view_of_its_own_time(
    service: Service, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    totals = await run(plan)
    assert totals.row() | {"seconds": 0} == {
        "lines": 5,
        "events": 4,
        "malformed": 1,
        "refused": 0,
        "bots": 1,
        "visitors": 3,
        "seconds": 0,
    }
    assert "line 4: " in capsys.readouterr().err
    sent = {
        (one.ip, one.user_agent, event.timestamp_ms, event.context.page_url)
        for one in envelopes(service)
        for event in one.events
        if event.context and event.context.page_referrer == "http://example.com/from"
    }
    at_ms = 1431857103000
    assert sent == {
        ("192.0.2.1", BROWSER, at_ms, "https://shop.example/a"),
        ("192.0.2.1", BROWSER, at_ms + 1000, "https://shop.example/b?x=1"),
        ("2001:db8::1", CRAWLER, at_ms, "https://shop.example/a"),
        # A name is no address: what is left is that of the connection. `-` is no user agent.
        ("127.0.0.1", None, at_ms, "https://shop.example/a"),
    }
    for one in envelopes(service):
        for event in one.events:
            assert event.event == "page_view"
            assert event.properties == '{"method":"GET","status":200,"bytes":203}'


async def test_ids_are_those_of_the_lines(service: Service, plan: Plan) -> None:
    def ids() -> list[str]:
        return sorted(event.event_id for one in envelopes(service) for event in one.events)

    await run(plan)
    once = ids()
    assert len(set(once)) == 4
    await run(replace(plan, batch=3, concurrency=1))
    assert ids() == sorted(once + once)


async def test_the_same_line_twice_is_two_requests(
    service: Service, plan: Plan, tmp_path: Path
) -> None:
    path = tmp_path / "twice.log"
    path.write_text(LINES[0] + "\n" + LINES[0])
    assert (await run(replace(plan, file=str(path)))).events == 2
    ids = {event.event_id for one in envelopes(service) for event in one.events}
    assert len(ids) == 2


async def test_compressed_files_are_read(service: Service, plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress("\r\n".join(LINES).encode()))
    assert (await run(replace(plan, file=str(path)))).events == 4
    assert sum(len(one.events) for one in envelopes(service)) == 4


async def test_a_pipe_is_read_like_a_file(service: Service, plan: Plan, tmp_path: Path) -> None:
    """As a shell names what a command prints: <(zcat access.log.gz)."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = "".join(f"{one}\n" for one in LINES)
    # A thread of its own: whoever opens a pipe waits for the other side.
    writing = threading.Thread(target=pipe.write_text, args=(text, "utf-8"))
    writing.start()
    totals = await run(replace(plan, file=str(pipe)))
    writing.join()
    assert totals.lines == len(LINES)
    assert totals.events == (await run(plan)).events > 0


async def test_a_broken_compressed_file_is_said_to_be(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress("\n".join(LINES).encode())[:-12])
    with pytest.raises(Problem, match="cannot read"):
        await run(replace(plan, file=str(path)))


async def test_a_busy_collector_is_asked_again(service: Service, plan: Plan) -> None:
    service.sink.down = True

    async def up_again() -> None:
        while service.sink.calls < 2:  # noqa: ASYNC110 # the service has no event for it
            await asyncio.sleep(0.01)
        service.sink.down = False

    totals, _ = await asyncio.gather(run(plan), up_again())
    assert totals.events == 4
    assert sum(len(one.events) for one in envelopes(service)) == 4


async def test_what_the_collector_refuses_is_counted_and_shown(
    service: Service, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.log"
    path.write_text("\n".join([LINES[0], line("192.0.2.1", "/old", year=1999), LINES[1]]))
    totals = await run(replace(plan, file=str(path), batch=3))
    assert (totals.lines, totals.events, totals.refused) == (3, 2, 1)
    assert "line 2: refused: timestamp" in capsys.readouterr().err
    assert sum(len(one.events) for one in envelopes(service)) == 2


async def test_large_events_go_in_smaller_batches(
    service: Service, plan: Plan, tmp_path: Path
) -> None:
    path = tmp_path / "long.log"
    lines = [line("192.0.2.1", "/" + "x" * 4000, second=number) for number in range(20)]
    path.write_text("\n".join(lines))
    totals = await run(replace(plan, file=str(path), batch=500, max_body_bytes=16_000))
    assert totals.events == 20
    assert len(envelopes(service)) >= 5


async def test_a_refused_key_is_said_at_once(service: Service, plan: Plan) -> None:
    with pytest.raises(Problem, match="refuses the key"):
        await run(replace(plan, secret="another"))
    assert not service.sink.sent
