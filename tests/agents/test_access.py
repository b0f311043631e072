"""Who sees a worker's views where others reach it, and that workers still ask each other."""

from __future__ import annotations

import asyncio
import base64
import time
import urllib.request
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import pytest
from yarl import URL

from tests.agents.running import Log, Worker, envelope, settled, until_all_own, until_shown
from tests.waiting import PATIENCE_S
from trackstream.application import create_app
from trackstream.core.records import Event
from trackstream.core.signing import sign
from trackstream.http.worker.peers import ROUTED
from trackstream.http.worker.serving import WorkerWeb
from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey
from trackstream.storage.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackstream.ports import Key
    from trackstream.settings import Settings

pytestmark = pytest.mark.xdist_group("two-workers")

MASTER_KEY = bytes(range(32))
NOT_LOOPBACK = "LOCALHOST"
"""A name, for all that is known of it beforehand; it leads to this machine all the same."""
PATHS = (
    "/", "/tables", "/tables/visitors/demo%7Cdevice:a", "/campaigns/live", "/campaigns/x/live",
    "/campaigns/partial", "/apps/demo/live", "/apps/partial", "/funnels/live?app_id=demo",
    "/funnels/partial?day=1", "/live", "/metrics", "/nothing", "/graph/", "/stats/", "/router/",
    "/table/visitors/a/", "/assignment/",
)  # fmt: skip


async def test_views_that_others_reach_are_for_keys(
    make_settings: Callable[[], Settings], database_url: str, folder: Path
) -> None:
    migrate(database_url)
    engine = make_engine(database_url)
    registry = Registry(engine, MasterKey(MASTER_KEY))
    registry.create_app("demo")
    ingest, read, admin = (
        registry.create_key("demo", "server", scopes=(scope,))
        for scope in ("ingest", "read", "admin")
    )
    engine.dispose()
    settings = replace(
        make_settings(),
        postgres_url=database_url,
        master_key=MASTER_KEY.hex(),
        worker_host=NOT_LOOPBACK,
    )
    await ensure_topics(settings)
    workers = [Worker(settings, folder / name) for name in ("1", "2")]
    try:
        for worker in workers:
            worker.launch()
        for worker in workers:
            await asyncio.to_thread(worker.wait_ready)
        async with Log(settings) as log:
            names = [f"d{i}" for i in range(12)]
            await log.post(*(envelope(name, "page_view") for name in names))
            wanted = {f"{name}-page_view" for name in names}
            await log.until(lambda log: {e.event_id for e in log.of(Event)} >= wanted)
        await until_all_own(*workers, **_basic(read))

        one = workers[0]
        for path in PATHS:
            status, document = one.get(path)
            assert (status, document["reason"]) == (401, "unauthenticated"), path
            assert one.get(path, **_basic(ingest))[0] == 403
        assert one.get("/health/live")[0] == 200
        assert "Basic" in _challenge(one)
        assert one.get("/tables", **_basic(replaced(read, "wrong")))[0] == 401

        for worker in workers:  # whoever is asked: half of the keys are the other's
            subjects = [f"demo|device:{name}" for name in names]
            await asyncio.to_thread(until_shown, worker, subjects, **_basic(read))
            status, shown = settled(
                partial(worker.get, "/apps/demo/live", **_basic(read)),
                lambda answer: answer[0] == 200 and not answer[1]["silent"],
            )
            assert (status, shown["silent"]) == (200, [])
            assert sum(window["events"] for window in shown["windows"]) >= len(names)
        for path in ("/tables/visitors/other%7Cdevice:a", "/apps/other/live",
                     "/tables/conversions/other:a", "/campaigns/live?app_id=other"):  # fmt: skip
            assert one.get(path, **_basic(read))[0] == 403
            assert one.get(path, **_basic(admin))[0] in {200, 404}, one.log()
        assert one.get("/campaigns/live", **_basic(read))[0] == 200
        assert one.get("/nothing", **_basic(read))[1]["reason"] == "unknown_route"
        assert one.get("/graph/", **_basic(admin))[0] == 404
        refusals = 'trackstream_web_refusals_total{reason="unauthenticated",status="401"}'
        assert refusals in one.get("/metrics", **_basic(read))[1]

        now_s = int(time.time())
        for routed in ("1", "", _signed("/apps/partial", now_s - 301), _signed("/tables", now_s)):
            assert one.get("/apps/partial", **{ROUTED: routed})[0] == 401
        assert one.get("/apps/partial", **{ROUTED: _signed("/apps/partial", now_s)})[0] == 200
    finally:
        codes = [worker.stop() for worker in workers]
    assert codes == [0, 0], [worker.log() for worker in workers]


def replaced(key: Key, secret: str) -> Any:
    return type(key)(key_id=key.key_id, app_id=key.app_id, kind=key.kind, secret=secret)


def _basic(key: Key) -> dict[str, str]:
    return {
        "Authorization": "Basic " + base64.b64encode(f"{key.key_id}:{key.secret}".encode()).decode()
    }


def _challenge(worker: Worker) -> str:
    with pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(worker.url + "/metrics", timeout=PATIENCE_S)
    with caught.value as answer:
        return str(answer.headers["WWW-Authenticate"])


def _signed(path: str, at_s: int) -> str:
    secret = MasterKey(MASTER_KEY).derived("requests between workers")
    return f"{at_s} {sign(secret, method='GET', path=path, body=b'', timestamp=str(at_s))}"


@pytest.mark.parametrize(
    ("bind", "exposed"),
    [
        ("127.0.0.1", False),
        ("127.0.0.2", False),
        ("::1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("", True),
        ("10.0.0.1", True),
        ("worker-1", True),
    ],
)
@pytest.mark.filterwarnings("ignore::faust.exceptions.AlreadyConfiguredWarning")
def test_who_asks_is_looked_at_wherever_faust_is_told_to_listen(
    unstarted: Settings, bind: str, *, exposed: bool
) -> None:
    app = create_app(unstarted)
    web = app.web
    assert isinstance(web, WorkerWeb)
    assert not web.is_exposed()
    app.conf.web_bind = bind  # what `faust worker --web-bind` does
    assert web.is_exposed() is exposed
    app.conf.web_transport = URL("unix:///tmp/worker.sock")
    assert not web.is_exposed()
