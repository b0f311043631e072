"""What belongs to the schema when a database is compared with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trackstream.storage.schema import metadata

if TYPE_CHECKING:
    from sqlalchemy.schema import SchemaItem

__all__ = ["OPTIONS"]

_PARTITION = re.compile(r"fact_events_(\d{8}|\d{4}|before_\d{4}|after_\d{4})")


def _belongs(_item: SchemaItem, name: str | None, kind: str, *_rest: object) -> bool:
    # The partitions of fact_events come and go by themselves.
    return not (kind == "table" and name and _PARTITION.fullmatch(name))


OPTIONS: dict[str, Any] = {
    "target_metadata": metadata,
    "include_object": _belongs,
    "compare_type": True,
    "compare_server_default": True,
}
"""For `MigrationContext.configure`."""
