from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.embedded.processes import Parent, family, survivors
from tests.waiting import PATIENCE_S
from trackstream.embedded.errors import ChildFailedError, EmbeddedError
from trackstream.embedded.process import Child, free_port, port_is_free

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY = "import sys, time; print('ready', flush=True)\n"
FOREVER = READY + "time.sleep(600)"
DEAF = "import signal\n" + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FOREVER


class Children:
    """Makes children and ends those that a test leaves."""

    def __init__(self, folder: Path) -> None:
        self.log_path = folder / "child.log"
        self.made: list[Child] = []

    def __call__(self, script: str, **options: Any) -> Child:
        child = Child(
            "the child",
            [sys.executable, "-c", script],
            log_path=self.log_path,
            ready=lambda: "ready" in child.output(),
            **options,
        )
        self.made.append(child)
        return child


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    factory = Children(tmp_path)
    yield factory
    for child in factory.made:
        child.kill()


def test_start_returns_when_ready_and_stop_returns_the_status(children: Children) -> None:
    child = children(READY + "import signal; signal.sigwait([signal.SIGTERM]); sys.exit(7)")
    child.start()
    assert child.running
    assert child.poll() is None
    assert child.stop() in {7, -signal.SIGTERM}  # the signal may come before the wait for it
    assert not child.running


def test_a_child_may_be_started_again_but_not_twice(children: Children) -> None:
    child = children(FOREVER)
    child.start()
    first = child.pid
    with pytest.raises(EmbeddedError, match="already"):
        child.start()
    child.stop()
    child.start()
    assert child.pid != first
    assert child.running


def test_a_child_that_ends_first_is_reported_with_its_last_lines(children: Children) -> None:
    script = "for n in range(100): print('line', n)\nraise SystemExit(3)"
    child = children(script)
    with pytest.raises(ChildFailedError, match="exit status 3") as caught:
        child.start()
    assert caught.value.returncode == 3
    lines = caught.value.log_tail.splitlines()
    assert lines == [f"line {n}" for n in range(80, 100)]
    assert "line 99" in str(caught.value)


def test_a_report_does_not_quote_an_earlier_run(children: Children) -> None:
    children.log_path.write_text("ready, said another run\n")
    child = children("raise SystemExit(1)")
    with pytest.raises(ChildFailedError, match="wrote nothing"):
        child.start()


def test_a_child_that_is_never_ready_is_ended(children: Children) -> None:
    child = children("import time; print('thinking', flush=True); time.sleep(600)")
    child._ready_timeout_s = 4.0
    with pytest.raises(ChildFailedError, match=r"not ready after 4 s") as caught:
        child.start()
    assert caught.value.returncode is None
    assert caught.value.log_tail == "thinking"
    assert not child.running


def test_a_child_that_ignores_its_signal_is_killed(children: Children) -> None:
    child = children(DEAF, stop_steps=((signal.SIGTERM, 0.2),))
    child.start()
    assert child.stop() == -signal.SIGKILL


def test_stop_steps_are_tried_in_order(children: Children) -> None:
    child = children(DEAF, stop_steps=((signal.SIGTERM, 0.2), (signal.SIGINT, PATIENCE_S)))
    child.start()
    child.stop()
    assert "KeyboardInterrupt" in child.output()


def test_a_child_of_one_that_ignores_signals_hears_them(children: Children) -> None:
    child = children(DEAF, stop_steps=((signal.SIGTERM, 0.2), (signal.SIGINT, PATIENCE_S)))
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as for a shell's job in the background
    try:
        child.start()
    finally:
        signal.signal(signal.SIGINT, old)
    child.stop()
    assert "KeyboardInterrupt" in child.output()


def test_stop_before_start_and_after_the_end_does_nothing(children: Children) -> None:
    child = children(FOREVER)
    assert child.stop() is None
    child.start()
    child.stop()
    assert child.stop() == -signal.SIGTERM


async def test_wait_returns_when_the_child_ends(children: Children) -> None:
    child = children(FOREVER)
    await asyncio.to_thread(child.start)
    waiting = asyncio.create_task(child.wait())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.3)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    assert await asyncio.wait_for(waiting, PATIENCE_S) == -signal.SIGKILL
    assert "SIGKILL" in str(child.failure("ended"))


def test_a_child_outlives_the_thread_that_started_it(children: Children) -> None:
    child = children(FOREVER)
    thread = threading.Thread(target=child.start)
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert child.running


def test_a_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = f"""
import json, sys, time
from pathlib import Path
from trackstream.embedded.process import Child
child = Child("deaf", [sys.executable, "-c", {DEAF!r}], log_path=Path(sys.argv[1]),
              ready=lambda: "ready" in child.output())
child.start()
print(json.dumps({{"pid": child.pid}}), flush=True)
time.sleep(600)
"""
    with Parent(script, tmp_path / "log") as parent:
        orphans = family(parent.report["pid"])
    assert survivors(orphans) == []


def test_a_log_that_has_grown_large_is_put_aside(children: Children) -> None:
    children.log_path.write_bytes(b"x" * (16 * 1024 * 1024 + 1))
    child = children(FOREVER)
    child.start()
    child.stop()
    assert children.log_path.stat().st_size < 1000
    assert children.log_path.with_name("child.log.1").exists()


def test_a_log_is_readable_by_its_owner_only(children: Children) -> None:
    child = children(FOREVER)
    child.start()
    assert children.log_path.stat().st_mode & 0o077 == 0


def test_ports() -> None:
    port = free_port()
    assert port_is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not port_is_free(port)
