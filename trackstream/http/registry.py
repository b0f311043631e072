"""The schemas, read-only, at the Schema Registry's own paths.

So that a standard Avro deserializer, pointed at the collector, decodes our topics. Source:
Confluent Schema Registry API reference. Subjects: `trackstream.<Record>` for every record, and
`<prefix><topic>-value` for topics that carry one kind of record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from schemas import Manifest, Published

__all__ = ["registry_routes"]

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


class SchemaViews:
    """The handlers, over what the manifest publishes."""

    def __init__(self, manifest: Manifest, *, topic_prefix: str) -> None:
        self._manifest = manifest
        self._by_subject = _subjects(manifest, topic_prefix)

    async def by_id(self, request: web.Request) -> web.Response:
        """`/schemas/ids/{id}`: the schema under which a message was written."""
        text = request.match_info["id"]
        found = self._manifest.by_id(int(text)) if _is_number(text) else None
        if found is None:
            return _error(404, 40403, f"Schema {text} not found")
        return _json({"schema": _text(found)})

    async def subjects(self, _: web.Request) -> web.Response:
        """`/subjects`: their names."""
        return _json(sorted(self._by_subject))

    async def versions(self, request: web.Request) -> web.Response:
        """`/subjects/{subject}/versions`: their numbers."""
        found = self._by_subject.get(request.match_info["subject"])
        if found is None:
            return _no_subject(request)
        return _json([one.version for one in found])

    async def version(self, request: web.Request) -> web.Response:
        """`/subjects/{subject}/versions/{version}`: one of them, by number or `latest`."""
        subject, text = request.match_info["subject"], request.match_info["version"]
        found = self._by_subject.get(subject)
        if found is None:
            return _no_subject(request)
        if text in {"latest", "-1"}:
            text = str(found[-1].version)
        if not _is_number(text):
            return _error(422, 42202, f"The specified version '{text}' is not a valid version id")
        one = next((entry for entry in found if entry.version == int(text)), None)
        if one is None:
            return _error(404, 40402, f"Version {text} not found")
        return _json(
            {"subject": subject, "version": one.version, "id": one.id, "schema": _text(one)}
        )


def registry_routes(
    manifest: Manifest, *, topic_prefix: str
) -> list[tuple[str, Callable[[web.Request], Awaitable[web.Response]]]]:
    """Paths and their handlers, all of them GET."""
    views = SchemaViews(manifest, topic_prefix=topic_prefix)
    return [
        ("/schemas/ids/{id}", views.by_id),
        ("/subjects", views.subjects),
        ("/subjects/{subject}/versions", views.versions),
        ("/subjects/{subject}/versions/{version}", views.version),
    ]


def _subjects(manifest: Manifest, topic_prefix: str) -> dict[str, list[Published]]:
    """Every subject with its schemas, oldest version first."""
    by_record: dict[str, list[Published]] = {}
    for one in sorted(manifest.schemas, key=lambda entry: entry.version):
        by_record.setdefault(one.record, []).append(one)
    found = {entries[0].subject: entries for entries in by_record.values()}
    for topic, names in manifest.topics.items():
        if len(names) == 1:
            found[f"{topic_prefix}{topic}-value"] = by_record[names[0]]
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _text(one: Published) -> str:
    return msgspec.json.encode(one.schema).decode()


def _no_subject(request: web.Request) -> web.Response:
    return _error(404, 40401, f"Subject '{request.match_info['subject']}' not found.")


def _error(status: int, code: int, message: str) -> web.Response:
    return _json({"error_code": code, "message": message}, status)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type=_CONTENT_TYPE)
