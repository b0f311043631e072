"""A `trackstream up` of a test's own, as a subprocess that is stopped at the test's end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import psutil
import psycopg2

from tests.waiting import PATIENCE_S
from trackstream.settings import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/129.0.6668.70 Mobile Safari/537.36"
)


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """The environment for commands on the data directory; any free ports."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    return {
        **kept,
        "TRACKSTREAM_DATA_DIR": str(data_dir),
        "TRACKSTREAM_COLLECTOR_PORT": "0",
        "TRACKSTREAM_WORKER_PORT": "0",
        **settings,
    }


def trackstream(
    data_dir: Path, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "trackstream", *arguments],
        env=environment(data_dir, **settings),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )


class Up:
    """A running one; see `started`."""

    def __init__(self, data_dir: Path, *arguments: str, **settings: str) -> None:
        self.data_dir = data_dir
        self.out: list[str] = []
        self.err: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trackstream", "up", *arguments],
            env=environment(data_dir, **settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._readers = [
            threading.Thread(target=lines.extend, args=(stream,))
            for lines, stream in (
                (self.out, self.process.stdout),
                (self.err, self.process.stderr),
            )
        ]
        for reader in self._readers:
            reader.start()
        self.family: list[psutil.Process] = []

    def see_family(self) -> None:
        """Note all processes that there are now, so that `left` can say which are left later."""
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def left(self) -> list[psutil.Process]:
        """Those that are still there."""
        return [one for one in self.family if one.is_running()]

    def line(self, says: str, *, seconds: float = PATIENCE_S) -> str:
        """The first line on standard output that has the text, as soon as there is one."""
        found: str = eventually(
            lambda: next((line for line in self.out if says in line), None),
            seconds=seconds,
            alive=self.process,
        )
        return found

    def child(self, program: str) -> psutil.Process:
        """The child whose command line has the text."""
        own = psutil.Process(self.process.pid).children()
        found = []
        for one in own:
            with contextlib.suppress(psutil.NoSuchProcess):  # which a zombie is, too
                found += [one] if program in " ".join(one.cmdline()) else []
        (child,) = found
        return child

    def ended(self) -> int:
        """Wait for the end, and return the exit status."""
        status = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join()
        return status

    def stop(self) -> int:
        """Stop it as a service manager does, and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def close(self) -> None:
        """Leave nothing behind, whatever the test has seen."""
        if self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.ended()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def started(data_dir: Path, *arguments: str, **settings: str) -> Iterator[Up]:
    """One that has been started; not ready yet."""
    up = Up(data_dir, *arguments, **settings)
    try:
        yield up
    finally:
        up.close()


def eventually(
    look: Callable[[], Any],
    *,
    seconds: float = PATIENCE_S,
    alive: subprocess.Popen[str] | None = None,
) -> Any:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        if alive is not None and alive.poll() is not None:
            raise AssertionError(f"ended with {alive.returncode} before that")
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s")


def get(url: str) -> tuple[int, str]:
    """Status and address to go to of a GET by a phone's browser, not followed."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    opener = urllib.request.build_opener(Stay)
    opener.addheaders = [("User-Agent", PHONE)]
    try:
        with opener.open(url) as response:
            return response.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Location", "")


def post(url: str, document: dict[str, Any], write_key: str) -> dict[str, Any]:
    """The answer to a POST of JSON by an app on a phone."""
    request = urllib.request.Request(
        url,
        data=json.dumps(document).encode(),
        headers={
            "Content-Type": "application/json",
            "User-Agent": PHONE,
            "X-Trackstream-Write-Key": write_key,
        },
    )
    with urllib.request.urlopen(request) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def query(ready: dict[str, Any], sql: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows, from the service's own PostgreSQL."""
    with (
        contextlib.closing(psycopg2.connect(ready["postgres"])) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(sql, values)
        return cursor.fetchall()


def install(ready: dict[str, Any], event_id: str, device_id: str, **more: Any) -> None:
    """The app's first open on a phone, now, as fast as the store says."""
    now_ms = int(time.time() * 1000)
    answer = post(
        f"{ready['collector_url']}/v1/install",
        {
            "event": "install",
            "event_id": event_id,
            "device_id": device_id,
            "timestamp": now_ms,
            "referral": {"install_begin_timestamp_seconds": now_ms // 1000},
            **more,
        },
        ready["write_key"],
    )
    assert answer["status"] == "accepted"


def method_of(ready: dict[str, Any], event_id: str) -> tuple[Any, ...]:
    """Method and campaign, as soon as the warehouse has them."""
    sql = "SELECT method, campaign_id FROM attributions WHERE event_id = %s"
    (found,) = eventually(lambda: query(ready, sql, event_id))
    return (*found,)
