"""Segment's and RudderStack's own libraries, with nothing changed but where they send."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.http.segment.flaky import Flaky
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.http.segment.collected import Collected
    from trackstream.core.records import Envelope, RawEvent

pytestmark = pytest.mark.xdist_group("segment")

HERE = Path(__file__).parent
NAMES = ["alias", "group", "identify", "page_view", "purchase", "screen_view"]


async def run(*command: str, cwd: Path = HERE) -> None:
    """Run to the end, which has to be a good one."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()


@asynccontextmanager
async def staying(*command: str, cwd: Path = HERE) -> AsyncIterator[None]:
    """Run with its children until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, start_new_session=True, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def events_of(envelopes: list[Envelope], flaky: Flaky) -> list[RawEvent]:
    """The events, each once; only one whose answer was lost may be in the log twice."""
    events = [event for one in envelopes for event in one.events]
    seen = Counter(event.event_id for event in events)
    assert {name: times for name, times in seen.items() if times > 1} == {
        name: times + 1 for name, times in flaky.twice.items()
    }
    assert flaky.twice
    return list({event.event_id: event for event in events}.values())


def checked(events: list[RawEvent], *, user_id: str) -> dict[str, RawEvent]:
    """One event of each type, by name, with what was said in it."""
    assert sorted(event.event for event in events) == NAMES
    by_name = {event.event: event for event in events}
    properties = {name: json.loads(event.properties) for name, event in by_name.items()}
    assert properties["identify"]["traits"]["plan"] == "pro"
    assert properties["group"]["groupId"] == "g-1"
    assert properties["group"]["traits"] == {"seats": 3}
    assert properties["purchase"]["currency"] == "EUR"
    assert properties["page_view"]["name"] == "Home"
    assert properties["screen_view"]["name"] == "Cart"
    assert properties["alias"]["previousId"].startswith("anon-")
    assert by_name["identify"].user_id == user_id
    assert by_name["alias"].user_id == user_id
    return by_name


async def test_segment_analytics_python(collected: Collected) -> None:
    app_id, key = collected.take_app()
    async with Flaky(collected.url) as flaky:
        await run(sys.executable, "segment_python.py", flaky.url, key, "0")
        envelopes = await collected.envelopes(app_id, events=6)
        events = checked(events_of(envelopes, flaky), user_id="u-python")
    assert flaky.statuses[:3] == [503, 429, 503]
    purchase = events["purchase"]
    assert purchase.campaign is not None
    assert purchase.campaign.utm_campaign == "spring"
    assert events["alias"].cookie_id == "anon-python"
    assert {(one.ip, one.user_agent) for one in envelopes} == {(None, None)}
    assert all(one.sent_at_ms for one in envelopes)


async def test_250_events_of_segment_analytics_python_with_gzip(collected: Collected) -> None:
    app_id, key = collected.take_app()
    async with Flaky(collected.url) as flaky:
        await run(sys.executable, "segment_python.py", flaky.url, key, "250")
        events = events_of(await collected.envelopes(app_id, events=250), flaky)
    numbers = [json.loads(event.properties)["n"] for event in events]
    assert sorted(numbers) == list(range(250))


async def test_rudder_sdk_python(collected: Collected) -> None:
    app_id, key = collected.take_app()
    async with Flaky(collected.url) as flaky:
        await run(sys.executable, "rudder_python.py", flaky.url, key)
        envelopes = await collected.envelopes(app_id, events=6)
        checked(events_of(envelopes, flaky), user_id="u-rudder")


async def test_a_refused_event_keeps_no_library_sending_the_others(collected: Collected) -> None:
    app_id, key = collected.take_app()
    async with Flaky(collected.url, plan=()) as flaky:
        await run(sys.executable, "rudder_python.py", flaky.url, key, "unnamed")
    assert set(flaky.statuses) == {200}
    envelopes = await collected.envelopes(app_id, events=6)
    assert sorted(event.event for one in envelopes for event in one.events) == NAMES
    assert await collected.rejected(app_id) == [["missing_field"]]


@pytest.mark.parametrize("library", ["segment_python.py", "rudder_python.py"])
async def test_a_wrong_key_is_told_once(collected: Collected, library: str) -> None:
    more = ["0"] if library == "segment_python.py" else []
    async with Flaky(collected.url, plan=()) as flaky:
        with pytest.raises(AssertionError, match=r"given up: .*APIError"):
            await run(sys.executable, library, flaky.url, "wk_unknown", *more)
    assert set(flaky.statuses) == {401}
    # It sends what it has every half second: on a busy machine the calls may be in two batches.
    assert len(flaky.statuses) <= 3


async def test_segment_analytics_node(collected: Collected, node_folder: Path) -> None:
    app_id, key = collected.take_app()
    async with Flaky(collected.url) as flaky:
        script = str(HERE / "node" / "server.mjs")
        await run("node", script, flaky.url, key, cwd=node_folder)
        envelopes = await collected.envelopes(app_id, events=6)
        checked(events_of(envelopes, flaky), user_id="u-node")
    assert {(one.ip, one.user_agent) for one in envelopes} == {(None, None)}


@asynccontextmanager
async def page(node_folder: Path) -> AsyncIterator[str]:
    """A site, of another origin than the collector, whose page loads the library."""
    library = node_folder / "node_modules/@segment/analytics-next/dist/umd/index.js"
    application = web.Application()

    async def file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(
            library if request.path == "/library.js" else HERE / "node" / "page.html"
        )

    application.router.add_get("/{path:.*}", file)
    server = TestServer(application)
    await server.start_server()
    yield str(server.make_url("/"))
    await server.close()


@pytest.mark.parametrize("browser", ["chromium", "jsdom"])
@pytest.mark.parametrize("strategy", ["standard", "batching"])
async def test_segment_analytics_next(
    collected: Collected, node_folder: Path, tmp_path: Path, browser: str, strategy: str
) -> None:
    chromium = shutil.which("chromium")
    if browser == "chromium" and chromium is None:
        pytest.skip("there is no chromium on this machine")
    app_id, key = collected.take_app()
    async with Flaky(collected.url) as flaky, page(node_folder) as site:
        query = {"key": key, "collector": flaky.url, "utm_source": "news", "gclid": "g-1"}
        if strategy == "batching":
            query["batching"] = "1"
        address = f"{site}?{urlencode(query)}"
        command = ["node", str(HERE / "node" / "browser.mjs"), address]
        if browser == "chromium":
            command = [
                str(chromium), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage",  # small in containers
                "--disable-background-networking", "--disable-component-update",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                f"--user-data-dir={tmp_path}", address,
            ]  # fmt: skip
        async with staying(*command, cwd=node_folder):
            await flaky.told(6)
            await asyncio.sleep(0.3)  # whatever it would send again
        envelopes = await collected.envelopes(app_id, events=6)
        events = checked(events_of(envelopes, flaky), user_id="u-browser")
    assert {one.ip for one in envelopes} == {"127.0.0.1"}
    assert all(one.user_agent and "Mozilla" in one.user_agent for one in envelopes)
    home = events["page_view"]
    assert home.campaign is not None
    assert (home.campaign.utm_source, home.campaign.click_ids) == ("news", {"gclid": "g-1"})
    assert home.context is not None
    assert home.context.page_title == "A page"
    assert home.cookie_id
