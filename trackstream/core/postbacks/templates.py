"""Templates with macros in braces, `{click_id}`: checked when they are saved, expanded for each.

In a URL, values are percent-encoded (RFC 3986, section 2) and stand in the path or the query, never
in what says which server is asked. In a JSON body, a macro inside a string is its text, escaped
(RFC 8259, section 7); one that stands alone is a JSON value: a number stays a number, and nothing
is `null`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from trackstream.core.postbacks.macros import MACROS, Value, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["body_problems", "expand_body", "expand_url", "url_problems"]

_LONGEST_URL = 2048
_LONGEST_BODY = 16_384

_BRACES = re.compile(r"\{([^{}]*)\}")
_IN_STRING = re.compile(r"\{(\w+)\}")
# A JSON string, or a macro outside of one: there `{word}` can be nothing else.
_JSON_PART = re.compile(r'"(?:[^"\\]|\\.)*"|\{(\w+)\}', re.DOTALL)
_NO_URL_SIGN = re.compile(r"[^!-~]|[\"<>\\^`|]")
_DOTS = frozenset({".", ".."})


def url_problems(template: str) -> list[str]:
    """Everything that is wrong with a URL's template; empty: it can be used."""
    if len(template) > _LONGEST_URL:
        return [f"url: has {len(template)} characters, takes up to {_LONGEST_URL}"]
    problems = [f"url: {one}" for one in _unknown(_BRACES.findall(template))]
    if re.search(r"[{}]", _BRACES.sub("", template)):
        problems.append("url: a brace is left open; as a sign of its own it is %7B or %7D")
    if _NO_URL_SIGN.search(_BRACES.sub("", template)):
        problems.append("url: spaces, quotes and letters beyond ASCII are written in percent")
    if "#" in template:
        problems.append("url: what follows # is never sent")
    problems.extend(f"url: {one}" for one in _server_problems(template))
    return problems


def body_problems(template: str) -> list[str]:
    """Everything that is wrong with a JSON body's template; empty: it can be used."""
    if len(template) > _LONGEST_BODY:
        return [f"body: has {len(template)} characters, takes up to {_LONGEST_BODY}"]
    names: list[str] = []

    def noted(name: str) -> Value:
        names.append(name)
        return None

    _expanded(template, noted)
    problems = [f"body: {one}" for one in _unknown(names)]
    # With something in each place and with nothing: `"\{event}n"` is JSON only in one of the two.
    for sample in (None, "x"):
        try:
            json.loads(_expanded(template, lambda _name, value=sample: value))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        except ValueError as error:
            problems.append(f"body: is not JSON: {error}")
            break
    return problems


def expand_url(template: str, values: Mapping[str, Value]) -> str:
    """The URL, with each value percent-encoded. The template has no problems.

    A path's value that is nothing but dots is left out: it would lead to another path.
    """
    path, mark, query = template.partition("?")

    def in_path(found: re.Match[str]) -> str:
        text = written(values.get(found[1]))
        return "" if text in _DOTS else quote(text, safe="")

    def in_query(found: re.Match[str]) -> str:
        return quote(written(values.get(found[1])), safe="")

    return _BRACES.sub(in_path, path) + mark + _BRACES.sub(in_query, query)


def expand_body(template: str, values: Mapping[str, Value]) -> str:
    """The JSON text. The template has no problems."""
    return _expanded(template, values.get)


def _expanded(template: str, value_of: Callable[[str], Value]) -> str:
    def in_string(found: re.Match[str]) -> str:
        return json.dumps(written(value_of(found[1])), ensure_ascii=False)[1:-1]

    def part(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return _IN_STRING.sub(in_string, found[0])
        value = value_of(name)
        if value is None:
            return "null"
        return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else written(value)

    return _JSON_PART.sub(part, template)


def _unknown(names: Iterable[str]) -> list[str]:
    unknown = sorted(set(names) - MACROS)
    known = f"; there are {', '.join(sorted(MACROS))}"
    return [f"{{{name}}} is no macro{known if name == unknown[0] else ''}" for name in unknown]


def _server_problems(template: str) -> list[str]:
    found = re.match(r"https?://([^/?#]*)", template)
    if found is None:
        return ["takes https:// or http://, without a macro"]
    if "{" in found[1] or "}" in found[1]:
        return ["a macro cannot say which server is asked"]
    if "@" in found[1]:
        return ["a user and password do not belong into a URL"]
    try:
        parts = urlsplit(found[0])
        _ = parts.port  # parsed when it is asked for
    except ValueError as error:
        return [str(error)]
    return [] if parts.hostname else ["has no host"]
