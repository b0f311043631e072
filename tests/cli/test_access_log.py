from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trackstream.cli.access_log import MalformedLineError, Request, parse

LINE = (
    "203.0.113.9 - alice [17/May/2015:12:05:03 +0200] "
    '"GET /a%20b?q=1 HTTP/1.1" 200 1234 "http://example.com/from" "Mozilla/5.0 (X11)"'
)


def test_every_field_is_read() -> None:
    assert parse(LINE) == Request(
        host="203.0.113.9",
        user="alice",
        at_ms=1431857103000,
        method="GET",
        target="/a%20b?q=1",
        status=200,
        size_bytes=1234,
        referrer="http://example.com/from",
        user_agent="Mozilla/5.0 (X11)",
    )


def test_a_dash_stands_for_nothing() -> None:
    request = parse('::1 - - [01/Jan/2020:00:00:00 +0000] "-" 408 - "-" "-"')
    assert (request.host, request.user, request.method, request.target) == ("::1", None, None, None)
    assert (request.size_bytes, request.referrer, request.user_agent) == (None, None, None)


def test_what_is_not_http_is_kept_as_it_came() -> None:
    request = parse(r'10.0.0.1 - - [01/Jan/2020:00:00:00 +0000] "\x16\x03\x01 \x00" 400 0 "-" "-"')
    assert request.method is None
    assert request.target == "\x16\x03\x01 \\x00"


def test_escapes_are_undone() -> None:
    request = parse(
        r'10.0.0.1 - - [01/Jan/2020:00:00:00 +0000] "GET /\xc3\xa4 HTTP/2" 200 0 '
        r'"-" "say \"hi\" \\ \x22 \n"'
    )
    assert request.target == "/ä"
    assert request.user_agent == 'say "hi" \\ " \n'


def test_fields_after_the_user_agent_are_let_be() -> None:
    assert parse(LINE + ' "10.0.0.1" 0.003') == parse(LINE)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("", "begin"),
        ("hello", "begin"),
        (LINE[:-1], "user agent"),
        (LINE + "x", "user agent"),
        (LINE.replace("200 1234", "OK 1234"), "user agent"),
        (LINE.replace("17/May", "31/Apr"), "no such time"),
        (LINE.replace("May", "Mai"), "no time of the form"),
        (LINE.replace("+0200", "+9900"), "no such time"),
    ],
)
def test_a_malformed_line_says_which_part(line: str, part: str) -> None:
    with pytest.raises(MalformedLineError, match=part):
        parse(line)


def _written(text: str | None) -> str:
    """What Apache writes between quotes."""
    if text is None:
        return "-"
    out = []
    for byte in text.encode():
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif 32 <= byte < 127:
            out.append(char)
        else:
            out.append(f"\\x{byte:02x}")
    return "".join(out)


_text = st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1
).filter(lambda text: text != "-")
_targets = st.text(string.ascii_letters + string.digits + "/?&=%.\"\\'é", min_size=1)


@given(
    at=st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 # made aware below
    zone_minutes=st.integers(-14 * 60, 14 * 60),
    method=st.sampled_from(["GET", "POST", "M-SEARCH"]),
    target=_targets,
    status=st.integers(100, 599),
    size_bytes=st.none() | st.integers(0, 2**40),
    referrer=st.none() | _text,
    user_agent=st.none() | _text,
)
def test_what_was_written_is_read_back(
    at: datetime,
    zone_minutes: int,
    method: str,
    target: str,
    status: int,
    size_bytes: int | None,
    referrer: str | None,
    user_agent: str | None,
) -> None:
    local = at.replace(microsecond=0, tzinfo=UTC).astimezone(
        timezone(timedelta(minutes=zone_minutes))
    )
    request = parse(
        f"192.0.2.1 - - [{local:%d/%b/%Y:%H:%M:%S %z}] "
        f'"{_written(f"{method} {target} HTTP/1.1")}" {status} '
        f'{"-" if size_bytes is None else size_bytes} "{_written(referrer)}" '
        f'"{_written(user_agent)}"'
    )
    assert request == Request(
        host="192.0.2.1",
        user=None,
        at_ms=int(local.timestamp()) * 1000,
        method=method,
        target=target,
        status=status,
        size_bytes=size_bytes,
        referrer=referrer,
        user_agent=user_agent,
    )


@given(st.text())
@example('1 2 3 [4] "\\')
def test_any_line_is_read_or_refused(line: str) -> None:
    try:
        request = parse(line)
    except MalformedLineError:
        return
    assert request.host


def test_a_real_log_is_read_to_the_line() -> None:
    log = Path(__file__).parents[3] / "shared" / "data" / "elastic_apache_logs.log"
    if not log.is_file():
        pytest.skip("the shared data are not here")
    malformed, visitors = [], set()
    for number, line in enumerate(log.read_text("utf-8").splitlines(), 1):
        try:
            request = parse(line)
        except MalformedLineError:
            malformed.append(number)
        else:
            visitors.add((request.host, request.user_agent))
    assert malformed == [8899]
    assert len(visitors) in {1860, 1861}
