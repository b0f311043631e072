from __future__ import annotations

import json
from decimal import Decimal
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream.core.postbacks.macros import MACROS, Value
from trackstream.core.postbacks.templates import (
    body_problems,
    expand_body,
    expand_url,
    url_problems,
)

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
NAMES = st.sampled_from(sorted(MACROS))


@given(name=NAMES, value=TEXTS, other=TEXTS)
def test_a_querys_value_comes_back_as_it_was(name: str, value: str, other: str) -> None:
    url = expand_url(
        f"https://acme.example/cb?a={{{name}}}&b=x{{event}}y&c=1", {name: value, "event": other}
    )
    expected = {"a": other if name == "event" else value, "b": f"x{other}y", "c": "1"}
    assert dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)) == expected
    assert url.isascii()


@given(value=TEXTS, other=TEXTS)
def test_no_value_leads_to_another_server_or_path(value: str, other: str) -> None:
    url = expand_url(
        "https://acme.example/cb/{click_id}{gaid}/end", {"click_id": value, "gaid": other}
    )
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == (
        "https",
        "acme.example",
        "",
        "",
    )
    segments = parts.path.split("/")
    assert [segments[1], segments[3]] == ["cb", "end"]
    assert len(segments) == 4
    assert segments[2] not in {".", ".."}


def test_a_missing_value_is_empty() -> None:
    assert expand_url("https://a.example/?x={gaid}&y=1", {}) == "https://a.example/?x=&y=1"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("https://{network}.example/", "which server"),
        ("https://a.example{click_id}/", "which server"),
        ("{network}://a.example/", "https://"),
        ("ftp://a.example/", "https://"),
        ("//a.example/", "https://"),
        ("https:///x", "no host"),
        ("https://user:secret@a.example/", "user and password"),
        ("https://a.example:99999/", "ort"),
        ("https://a.example/?x={clickid}", "{clickid} is no macro; there are ad_group"),
        ("https://a.example/?x={}", "{} is no macro"),
        ("https://a.example/?x={click_id", "brace"),
        ("https://a.example/?x=a b", "percent"),
        ("https://a.example/?x=ä", "percent"),
        ("https://a.example/\r\nHost:x", "percent"),
        ("https://a.example/#x", "never sent"),
        ("https://a.example/?" + "x" * 2048, "characters"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(template: str, says: str) -> None:
    assert says in "\n".join(url_problems(template))


def test_all_problems_are_told_at_once() -> None:
    assert len(url_problems("ftp://a.example/?a={one}&b={two}&c={#")) == 5


@pytest.mark.parametrize("url", ["http://a.example", "https://[2001:db8::1]:8443/x?y={click_id}"])
def test_urls_that_can_be_used(url: str) -> None:
    assert url_problems(url) == []


@given(value=TEXTS, amount=st.integers(-(10**17), 10**17))
def test_an_expanded_body_is_json_that_says_the_values(value: str, amount: int) -> None:
    template = (
        '{"a": "{click_id}", "b": {"{event}": [{revision}, {gaid}, {idfa}]}, '
        '"c": "<{click_id}>", "d": {}, "money": {revenue}, "e": "\\" {not a macro}"}'
    )
    assert body_problems(template) == []
    revenue = Decimal(amount).scaleb(-6)
    values: dict[str, Value] = {
        "click_id": value,
        "event": "e",
        "revision": 7,
        "gaid": value,
        "revenue": revenue,
    }
    assert json.loads(expand_body(template, values), parse_float=Decimal) == {
        "a": value,
        "b": {"e": [7, value, None]},
        "c": f"<{value}>",
        "d": {},
        "money": revenue,
        "e": '" {not a macro}',
    }


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ('{"a": "{clickid}"}', "{clickid} is no macro"),
        ('{"a": {clickid}}', "{clickid} is no macro"),
        ('{"a": ', "not JSON"),
        ("", "not JSON"),
        ('{"a": 1{revision}}', "not JSON"),
        ('{"a": "\\{event}n"}', "not JSON"),
        ('{"a": "\\u00{event}41"}', "not JSON"),
        ('"' + "x" * 16_384 + '"', "characters"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused(template: str, says: str) -> None:
    assert says in "\n".join(body_problems(template))


@given(st.text('{}"\\nu014:,[] \u00e4', max_size=12), TEXTS)
def test_whatever_is_accepted_as_a_body_gives_json(around: str, value: str) -> None:
    template = around.replace("n", "{event}")
    if not body_problems(template):
        json.loads(expand_body(template, {"event": value}))
        json.loads(expand_body(template, {}))


@given(st.text("{}_ab%?#/:@.", max_size=12))
def test_whatever_is_accepted_as_a_url_keeps_its_server(around: str) -> None:
    template = "https://acme.example" + around
    if not url_problems(template):
        expanded = expand_url(template, {"app_id": "/@evil.example"})
        assert urlsplit(expanded).netloc == urlsplit(template).netloc
        assert "evil.example" not in urlsplit(expanded).netloc
        assert unquote(expanded).startswith("https://acme.example")
