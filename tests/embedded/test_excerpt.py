"""Of a log, what tells why its program has ended."""

from __future__ import annotations

from trackstream.embedded.excerpt import telling


def stopping(count: int) -> list[str]:
    return [f"[2026-01-02 03:04:06,000] [1] [INFO] [^Part {n}]: Stopping..." for n in range(count)]


ERROR = "[2026-01-02 03:04:05,678] [1] [ERROR] [^Worker]: Error: StorageError('no')"
TRACEBACK = [
    "Traceback (most recent call last):",
    *(f'  File "part.py", line {n}, in start' for n in range(40)),
    "errors.StorageError: no",
]


def test_the_error_is_shown_and_not_what_stopping_writes() -> None:
    shown = telling([*stopping(3), ERROR, *TRACEBACK, *stopping(30)])
    assert shown[:2] == [ERROR, "…"]
    assert TRACEBACK[-1] in shown
    assert shown[-1] == stopping(30)[-1]
    assert len(shown) <= 21


def test_an_error_while_it_stops_does_not_hide_the_one_that_stopped_it() -> None:
    later = "2026-01-02 03:04:07,000 ERROR aiokafka: LeaveGroup request failed"
    shown = telling([ERROR, *TRACEBACK, *stopping(30), later, *stopping(10)])
    assert shown[0] == ERROR
    assert TRACEBACK[-1] in shown


def test_an_old_traceback_does_not_hide_the_last_error() -> None:
    last = "2026-01-02 03:04:07,000 CRITICAL x: gone"
    shown = telling([ERROR, *TRACEBACK, *stopping(200), last, *stopping(2)])
    assert shown == [last, *stopping(2)]


def test_what_a_program_says_last_is_shown_beside_an_old_error() -> None:
    shown = telling([ERROR, *stopping(50), "trackstream: set TRACKSTREAM_KAFKA_URL"])
    assert shown[0] == ERROR
    assert shown[-1] == "trackstream: set TRACKSTREAM_KAFKA_URL"


def test_a_traceback_alone_is_an_error() -> None:
    shown = telling([*(f"line {n}" for n in range(50)), *TRACEBACK])
    assert shown[0] == TRACEBACK[0]
    assert shown[-1] == TRACEBACK[-1]


def test_without_an_error_it_is_the_last_lines() -> None:
    assert telling(stopping(50)) == stopping(50)[-20:]
    assert telling([]) == []
