"""`trackstream schemas`: the Avro schemas of everything on the topics."""

from __future__ import annotations

import click

from trackstream.cli.base import Problem, example
from trackstream.cli.output import json_option, show

__all__ = ["schemas"]


@click.group(short_help="List, show and register the Avro schemas.")
def schemas() -> None:
    """List and show the Avro schemas, and register them with a Schema Registry."""


@schemas.command("list", epilog=example("trackstream schemas list"))
@json_option
def list_(*, as_json: bool) -> None:
    """List the schemas: their ids on the wire, versions, subjects, and the topics that carry them.

    Readers get them from the collector, too, at the Schema Registry's own paths.
    """
    import schemas as published

    manifest = published.load()
    rows = [
        {
            "id": one.id,
            "record": one.record,
            "version": one.version,
            "subject": one.subject,
            "topics": [topic for topic, names in manifest.topics.items() if one.record in names],
        }
        for one in manifest.schemas
    ]
    show(
        rows,
        as_json=as_json,
        columns=["id", "record", "version", "subject", "topics"],
        empty="",
    )


@schemas.command(
    "show", epilog=example("trackstream schemas show Attribution", "trackstream schemas show 10")
)
@click.argument("name")
def show_one(name: str) -> None:
    """Print a schema as JSON: the newest of a record, or that of an id."""
    import json

    import schemas as published

    manifest = published.load()
    try:
        found = manifest.by_id(int(name)) if name.isdecimal() else manifest.latest(name)
    except KeyError:
        found = None
    if found is None:
        raise Problem(f"there is no schema {name}; `trackstream schemas list` lists them")
    click.echo(json.dumps(found.schema, indent=2))


@schemas.command(epilog=example("trackstream schemas push http://registry.example.com:8081"))
@click.argument("url")
@json_option
def push(url: str, *, as_json: bool) -> None:
    """Register every schema with the Schema Registry at URL.

    For teams that read the topics through a registry of their own. Schemas keep the ids of
    `trackstream schemas list`, with which messages are written: a registry that has given one of
    these ids to something else refuses. Safe to run again.
    """
    from trackstream.cli.registry_push import pushed

    show(
        pushed(url),
        as_json=as_json,
        columns=["id", "subject", "version", "result"],
        empty="",
    )
