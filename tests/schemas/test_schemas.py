"""The Avro contract: equal to the records, readable by older readers, ids fixed for ever."""

from __future__ import annotations

import io
import json
import types
import typing
from typing import Any

import msgspec
import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

import schemas
from trackstream.core import records

MANIFEST = schemas.load()
PUBLISHED = [pytest.param(one, id=f"{one.record}-{one.version}") for one in MANIFEST.schemas]
PLAIN = {"string": str, "bytes": bytes, "boolean": bool, "double": float, "int": int, "long": int}


def declared(annotation: Any) -> Any:
    """A field's type, in the words of Avro's type names."""
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {types.UnionType, typing.Union}:
        return ("null", declared(next(one for one in inside if one is not type(None))))
    if origin is list:
        return ("array", declared(inside[0]))
    if origin is dict:
        return ("map", declared(inside[1]))
    return annotation.__name__


def written(schema: Any) -> Any:
    if isinstance(schema, list):
        assert schema[0] == "null"
        return ("null", written(schema[1]))
    if isinstance(schema, str):
        return PLAIN[schema].__name__ if schema in PLAIN else schema.rpartition(".")[2]
    if schema["type"] == "array":
        return ("array", written(schema["items"]))
    if schema["type"] == "map":
        return ("map", written(schema["values"]))
    return schema["name"] if schema["type"] == "record" else written(schema["type"])


def all_records(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for one in schema for found in all_records(one)]
    if not isinstance(schema, dict):
        return []
    inside = [found for value in schema.values() for found in all_records(value)]
    return [schema, *inside] if schema.get("type") == "record" else inside


@pytest.mark.parametrize("one", PUBLISHED)
def test_a_latest_schema_equals_its_record_field_for_field(one: schemas.Published) -> None:
    if one != MANIFEST.latest(one.record):
        pytest.skip("an older version: read by the test of compatibility")
    for schema in all_records(one.schema):
        record: type[records.Record] = getattr(records, schema["name"])
        hints = typing.get_type_hints(record)
        assert {f["name"]: written(f["type"]) for f in schema["fields"]} == {
            f.name: declared(hints[f.name]) for f in msgspec.structs.fields(record)
        }


@pytest.mark.parametrize("one", PUBLISHED)
def test_times_are_published_as_times(one: schemas.Published) -> None:
    for schema in all_records(one.schema):
        for field in schema["fields"]:
            if field["name"].endswith("_at_ms") or field["name"].endswith("timestamp_ms"):
                assert "timestamp-millis" in str(field["type"]), field["name"]


@pytest.mark.parametrize("one", PUBLISHED)
def test_every_version_is_read_by_the_latest(one: schemas.Published) -> None:
    """Backward compatibility, by Avro's own schema resolution."""
    latest = MANIFEST.latest(one.record).schema
    value = sample(one.schema, one.schema)
    out = io.BytesIO()
    schemaless_writer(out, parse_schema(one.schema), value)
    out.seek(0)
    assert isinstance(schemaless_reader(out, parse_schema(one.schema), parse_schema(latest)), dict)


def sample(schema: Any, root: Any) -> Any:
    """A smallest value of a schema."""
    if isinstance(schema, list):
        return None
    if isinstance(schema, str):
        named = {r["name"]: r for r in all_records(root)}
        return (
            PLAIN[schema]() if schema in PLAIN else sample(named[schema.rpartition(".")[2]], root)
        )
    if schema["type"] in {"array", "map"}:
        return [] if schema["type"] == "array" else {}
    if schema["type"] == "record":
        return {f["name"]: sample(f["type"], root) for f in schema["fields"]}
    return sample(schema["type"], root)


def test_ids_are_unique_and_versions_count_up() -> None:
    ids = [one.id for one in MANIFEST.schemas]
    assert len(ids) == len(set(ids))
    for record in {one.record for one in MANIFEST.schemas}:
        versions = [one.version for one in MANIFEST.schemas if one.record == record]
        assert versions == list(range(1, len(versions) + 1))


def test_every_topic_carries_published_records() -> None:
    known = {one.record for one in MANIFEST.schemas}
    assert {name for names in MANIFEST.topics.values() for name in names} <= known


def test_an_unknown_id_or_record_is_told() -> None:
    assert MANIFEST.by_id(0) is None
    with pytest.raises(KeyError):
        MANIFEST.latest("Nothing")


@pytest.mark.parametrize("one", PUBLISHED)
def test_times_and_amounts_have_room(one: schemas.Published) -> None:
    """An Avro `int` ends at 2**31, which is 2,147.48 in millionths, or 25 days in ms."""
    for schema in all_records(one.schema):
        for field in schema["fields"]:
            if field["name"].endswith(("_ms", "_micros")):
                assert '"int"' not in json.dumps(field["type"]), field["name"]
