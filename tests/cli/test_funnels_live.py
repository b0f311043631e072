"""What `trackstream funnels live` asks of a worker, and says when it does not get it."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from tests.ports import free_port
from trackstream.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEPS = [
    {"step": 1, "event": ["view"], "count": 3, "of_previous": None, "of_first": 1.0},
    {"step": 2, "event": ["buy"], "count": 1, "of_previous": 1 / 3, "of_first": 1 / 3},
]
ANSWER = {
    "funnel": "checkout",
    "day": "2025-07-10",
    "since_ms": 1_752_148_800_000,
    "steps": STEPS,
    "silent": ["http://other:6066"],
}
KEY = base64.b64encode(b"k1:secret").decode()


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path))


@contextmanager
def guarded(asked: list[str]) -> Iterator[str]:
    """A worker that is not on loopback: it wants to see a key."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            known = self.headers.get("Authorization") == f"Basic {KEY}"
            document = ANSWER if known else {"detail": "a server key is asked for"}
            body = json.dumps(document).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not among the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["funnels", "live", "checkout", *arguments])


def test_a_worker_that_asks_for_a_key_gets_the_settings_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    with guarded(asked) as url:
        refused = run("--worker-url", url)
        monkeypatch.setenv("TRACKSTREAM_KEY_ID", "k1")
        monkeypatch.setenv("TRACKSTREAM_SECRET", "secret")
        shown = run("--worker-url", f"{url}/", "--day", "2025-07-10", "--app", "my app")
        rows = run("--worker-url", url, "--json")
    assert (refused.exit_code, shown.exit_code) == (1, 0)
    assert "a server key is asked for" in refused.output
    assert asked[1:3] == ["/funnels/checkout/live?app_id=my+app&day=2025-07-10"] * 2
    assert "33.3%" in shown.stdout
    assert "Counted since 2025-07-10 12:00:00 UTC" in shown.stderr
    assert "http://other:6066 does not answer" in shown.stderr
    assert json.loads(rows.stdout) == STEPS


def test_where_no_worker_is_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKSTREAM_WORKER_PORT", str(free_port()))
    away = run()
    assert (away.exit_code, "does not answer" in away.output) == (1, True)
    monkeypatch.setenv("TRACKSTREAM_WORKER_PORT", "0")
    assert "give --worker-url" in run().output
    assert "no http or https URL" in run("--worker-url", "file:///etc/hosts").output
