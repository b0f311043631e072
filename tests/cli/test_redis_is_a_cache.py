"""With Redis flushed, and with Redis gone, the same attributions come out."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import redis

from tests.cli.upped import eventually, query, started, trackstream
from trackstream.embedded.valkey import EmbeddedValkey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("up")

USERS, RATE = 45, 30
MIDDLE_S = USERS / RATE / 2
"""After half of the people have begun."""


def played(up: Path, run: str, ready: dict[str, Any], middle: Callable[[], None]) -> set[Any]:
    """What comes of the same people's lives when this happens in the middle of them."""
    arguments = ["--users", str(USERS), "--rate", str(RATE), "--seed", "9", "--run", run]
    arguments += ["--wait", "300"]
    with ThreadPoolExecutor(1) as threads:
        going = threads.submit(trackstream, up, "simulate", *arguments, "--json")
        like = f"{run}-%"
        counted = "SELECT count(*) FROM attributions WHERE event_id LIKE %s"
        eventually(lambda: query(ready, counted, like)[0][0] > USERS // 4)
        middle()
        done = going.result()
    assert done.returncode == 0, done.stderr + done.stdout
    rows = query(
        ready,
        "SELECT substr(event_id, %s), event, method, campaign_id, confidence, reattribution, "
        "split_part(inherited_from, %s, 2), "
        "(SELECT count(*) FROM fact_events f WHERE f.event_id = a.event_id) "
        "FROM attributions a WHERE event_id LIKE %s",
        len(run) + 2,
        f"{run}-",
        like,
    )
    return set(rows)


def test_redis_flushed_or_gone_changes_no_attribution(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    valkey = EmbeddedValkey(tmp_path / "own")
    flushed: list[int] = []
    stop = threading.Event()

    def flush() -> None:
        with redis.Redis.from_url(valkey.url) as client:
            until = time.monotonic() + MIDDLE_S
            while time.monotonic() < until:
                flushed.append(client.dbsize())
                client.flushall()
                stop.wait(0.1)

    with (
        valkey,
        started(data_dir, "--json", TRACKSTREAM_REDIS_URL=valkey.url) as up,
    ):
        ready = json.loads(up.line('"ready"'))
        assert ready["redis"] == valkey.url
        want = played(data_dir, "ra", ready, lambda: None)
        assert len(want) > USERS
        assert played(data_dir, "rb", ready, flush) == want
        assert max(flushed) > 0, "there was nothing to lose"
        assert played(data_dir, "rc", ready, valkey.stop) == want
        assert up.stop() == 0, "".join(up.err)
