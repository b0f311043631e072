"""`trackstream migrate` and `trackstream topics`: what the service needs first."""

from __future__ import annotations

import click

from trackstream.cli.base import example
from trackstream.cli.output import json_option, show

__all__ = ["migrate", "topics"]


@click.command(epilog=example("TRACKSTREAM_POSTGRES_URL=postgresql://… trackstream migrate"))
def migrate() -> None:
    """Bring the database's tables to the newest version.

    Safe to run again, and from several places at once. `trackstream up` does it by itself.
    """
    from trackstream.cli.running import needed, settings_beside
    from trackstream.storage.migrations import migrate as run

    (url,) = needed(settings_beside(), "postgres_url")
    run(url)
    click.echo("The tables are of the newest version.")


@click.group()
def topics() -> None:
    """Create and list the Kafka topics."""


@topics.command(epilog=example("TRACKSTREAM_KAFKA_URL=kafka://host:9092 trackstream topics create"))
def create() -> None:
    """Create the topics that are missing.

    Their partitions, replicas and retention are settings (TRACKSTREAM_TOPIC_…). Topics that are
    there stay as they are; one with another number of partitions is an error.
    """
    import asyncio

    from trackstream.cli.running import needed, settings_beside
    from trackstream.storage.topics import ensure_topics

    settings = settings_beside()
    needed(settings, "kafka_url")
    asyncio.run(ensure_topics(settings))
    click.echo("All topics are there.")


@topics.command("list", epilog=example("trackstream topics list", "trackstream topics list --json"))
@json_option
def list_(*, as_json: bool) -> None:
    """List our topics: partitions, how many messages each holds, and what is in them."""
    import asyncio

    from trackstream.cli.running import needed, settings_beside
    from trackstream.cli.topic_list import described

    settings = settings_beside()
    needed(settings, "kafka_url")
    rows = asyncio.run(described(settings))
    show(
        rows,
        as_json=as_json,
        columns=["topic", "partitions", "messages", "records"],
        empty="There is no topic yet: `trackstream topics create` makes them.",
    )
