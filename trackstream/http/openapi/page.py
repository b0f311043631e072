"""The description as one page: no script, nothing from elsewhere, headings to jump along."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Any

import msgspec

__all__ = ["CONTENT_SECURITY_POLICY", "page"]

_STYLE = """
:root{color-scheme:light dark}
body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:auto;padding:1rem}
summary{cursor:pointer;padding:.3rem 0}
summary h3{display:inline;font-size:1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{overflow:auto;padding:.5rem;border:1px solid}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #8888}
details>:not(summary){margin-left:1rem}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
)
"""The page's own style and nothing else, whatever a description says."""

_METHODS = ("get", "post")


def page(document: dict[str, Any]) -> str:
    """HTML of an OpenAPI document of ours."""
    info = document["info"]
    tags = document["tags"]
    jumps = "".join(
        f'<li><a href="#{tag["name"]}">{escape(tag["description"])}</a>' for tag in tags
    )
    chapters = "".join(_chapter(tag, document["paths"]) for tag in tags)
    schemas = "".join(
        f'<details id="{escape(name)}"><summary><h3><code>{escape(name)}</code></h3></summary>'
        f"{_json(schema)}</details>"
        for name, schema in document["components"]["schemas"].items()
    )
    keys = "".join(
        f"<tr><th scope=row><code>{escape(name)}</code><td>{escape(_place(one))}"
        f"<td>{escape(one['description'])}"
        for name, one in document["components"]["securitySchemes"].items()
    )
    about = "".join(f"<p>{escape(part)}" for part in info["description"].split("\n\n"))
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>{escape(info['title'])} {escape(info['version'])}</h1>{about}"
        '<p><a href="openapi.json">The same as OpenAPI 3.1</a></header>'
        f'<nav aria-label="Chapters"><ul>{jumps}<li><a href="#keys">Keys and signatures</a>'
        '<li><a href="#schemas-of-bodies">Schemas of bodies</a></ul></nav>'
        f'<main>{chapters}<section id="keys"><h2>Keys and signatures</h2>'
        "<table><thead><tr><th scope=col>Name<th scope=col>Where<th scope=col>What</thead>"
        f'<tbody>{keys}</tbody></table></section><section id="schemas-of-bodies">'
        f"<h2>Schemas of bodies</h2>{schemas}</section></main></body></html>"
    )


def _chapter(tag: dict[str, str], paths: dict[str, dict[str, Any]]) -> str:
    found = "".join(
        _operation(method, path, one)
        for path, methods in paths.items()
        for method, one in methods.items()
        if method in _METHODS and tag["name"] in one["tags"]
    )
    return f'<section id="{tag["name"]}"><h2>{escape(tag["description"])}</h2>{found}</section>'


def _operation(method: str, path: str, one: dict[str, Any]) -> str:
    title = f"<h3><code>{method.upper()} {escape(path)}</code></h3> {escape(one['summary'])}"
    parts = [f"<details><summary>{title}</summary>"]
    ways = [" + ".join(way) or "a key in the body" for way in one["security"]]
    if ways:
        parts.append(f"<p>Who sends: {escape('; or '.join(ways))}.")
    given = one.get("parameters", [])
    if given:
        rows = "".join(
            f"<tr><th scope=row><code>{escape(each['name'])}</code><td>{each['in']}"
            f"<td>{escape(each.get('description', ''))}"
            for each in given
        )
        parts.append(_table(("Parameter", "In", "What"), rows))
    if "requestBody" in one:
        content = one["requestBody"]["content"]
        schema = next(iter(content.values()))["schema"]
        parts.append(f"<p>Body ({escape(', '.join(content))}): {_named(schema)}")
    rows = "".join(
        f"<tr><th scope=row>{status}<td>{escape(answer['description'])}<td>{_contents(answer)}"
        for status, answer in sorted(one["responses"].items())
    )
    parts += [_table(("Status", "What", "Body"), rows), "</details>"]
    return "".join(parts)


def _table(heads: tuple[str, ...], rows: str) -> str:
    columns = "".join(f"<th scope=col>{one}" for one in heads)
    return f"<table><thead><tr>{columns}</thead><tbody>{rows}</tbody></table>"


def _contents(answer: dict[str, Any]) -> str:
    found = [_named(one.get("schema", {})) for one in answer.get("content", {}).values()]
    return ", ".join(one for one in found if one)


def _named(schema: dict[str, Any]) -> str:
    """Links to the schemas that are meant."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}"><code>{name}</code></a>'
    among = [_named(one) for one in schema.get("allOf", schema.get("anyOf", ()))]
    return " or ".join(dict.fromkeys(one for one in among if one))


def _place(scheme: dict[str, str]) -> str:
    return f"{scheme['in']} {scheme['name']}" if "in" in scheme else scheme["scheme"]


def _json(value: Any) -> str:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return f"<pre>{escape(text)}</pre>"
