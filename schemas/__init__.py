"""The contract: Avro schemas of everything on the topics, and the ids under which they travel.

`manifest.json` gives each schema its id, once and for ever; a change of a schema is a new version
with a new id, and must be readable by the readers of the version before (backward compatible).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["Manifest", "Published", "load"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One published schema.

    Attributes:
        id: the four-byte id of the Confluent wire format.
        record: the record's name, without the namespace.
        version: 1, 2, … within the record's subject.
        schema: the Avro schema, as parsed JSON.
    """

    id: int
    record: str
    version: int
    schema: dict[str, Any]

    @property
    def subject(self) -> str:
        """The registry subject by record name (RecordNameStrategy)."""
        return f"trackstream.{self.record}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """All published schemas, and the records that each topic carries (topic names unprefixed)."""

    schemas: tuple[Published, ...]
    topics: dict[str, tuple[str, ...]]

    def by_id(self, schema_id: int) -> Published | None:
        """The schema of this id, or None."""
        return next((one for one in self.schemas if one.id == schema_id), None)

    def latest(self, record: str) -> Published:
        """The newest version of a record's schema; KeyError if there is no such record."""
        found = [one for one in self.schemas if one.record == record]
        if not found:
            raise KeyError(record)
        return max(found, key=lambda one: one.version)


@cache
def load() -> Manifest:
    """Read the manifest and every schema that it names from the installed package."""
    here = files(__name__)
    manifest = json.loads((here / "manifest.json").read_text("utf-8"))
    return Manifest(
        schemas=tuple(
            Published(
                id=entry["id"],
                record=entry["record"],
                version=entry["version"],
                schema=json.loads((here / entry["file"]).read_text("utf-8")),
            )
            for entry in manifest["schemas"]
        ),
        topics={topic: tuple(names) for topic, names in manifest["topics"].items()},
    )
