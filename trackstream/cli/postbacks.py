"""`trackstream postbacks`: whom to tell of attributions, and what became of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from trackstream.cli.base import Problem, example
from trackstream.cli.database import database
from trackstream.cli.output import json_option, moment, show
from trackstream.cli.postbacks_dead import dead, resend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackstream.core.postbacks.outcomes import Outcome
    from trackstream.postbacks.destinations import Destinations, Listed
    from trackstream.settings import Settings

__all__ = ["POSTBACKS_READY", "postbacks"]

POSTBACKS_READY = "The postback sender has its partitions."
"""Printed when it has them, which is when it is of use."""

_COLUMNS = [
    "destination_id",
    "name",
    "app_id",
    "method",
    "url",
    "campaign_id",
    "network",
    "events",
    "organic",
    "rejected",
    "revisions",
    "on_uncertain",
    "disabled_at",
]


@contextlib.contextmanager
def _opened() -> Iterator[tuple[Settings, Destinations]]:
    from trackstream.postbacks.destinations import Destinations
    from trackstream.storage.sealing import MasterKey

    with database() as (engine, settings):
        yield settings, Destinations(engine, MasterKey.load(settings))


@click.group()
def postbacks() -> None:
    """Tell ad networks of conversions over HTTP: whom, how, and what became of it."""


@postbacks.command(
    epilog=example(
        "trackstream postbacks create 'Acme Ads' --network acme --event install \\",
        "    --url 'https://acme.example/cb?click={click_id}&at={install_time}'",
        "trackstream postbacks create 'Acme Ads, rejected' --network acme --event install \\",
        "    --rejected --url 'https://acme.example/no?click={click_id}&why={rejection_reason}'",
        "trackstream postbacks create 'Own CRM' --method POST --organic --sign \\",
        "    --url https://crm.example.com/hook \\",
        """    --body '{"who": "{user_id}", "what": "{event}", "revenue": {revenue}}'""",
    )
)
@click.argument("name")
@click.option("--url", required=True, help="Where to; macros in its path and query.")
@click.option("--method", type=click.Choice(["GET", "POST"]), default="GET", show_default=True)
@click.option("--body", help="JSON with macros, for a POST.")
@click.option("--campaign", "campaign_id", help="Only what is attributed to this campaign's id.")
@click.option("--network", help="Only what is attributed to this network.")
@click.option(
    "--event", "events", multiple=True, help="Only install, reinstall, or this event; else all."
)
@click.option("--organic", is_flag=True, help="Also what is attributed to nobody.")
@click.option(
    "--rejected",
    is_flag=True,
    help="Not what is attributed, but clicks and impressions of this campaign or network that a "
    "fraud rule rejected: of each decision the newest, whoever got the credit.",
)
@click.option(
    "--revisions",
    type=click.Choice(["first", "all"]),
    default="first",
    show_default=True,
    help="all: also when a decision changes because something arrived late.",
)
@click.option(
    "--on-uncertain",
    type=click.Choice(["skip", "resend"]),
    default="skip",
    show_default=True,
    help="When a request may or may not have arrived. skip: never twice.",
)
@click.option(
    "--at-once",
    "max_concurrency",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Requests at the same time, of one sender.",
)
@click.option("--sign", is_flag=True, help="Sign as in Standard Webhooks; prints the secret.")
@click.option("--app", "app_id", help="Whose conversions; else TRACKSTREAM_APP_ID.")
@json_option
def create(app_id: str | None, *, sign: bool, as_json: bool, **rest: Any) -> None:
    """Register the destination NAME; it is told of what is decided from now on.

    Macros in braces stand for what is known of the conversion: {click_id} {campaign_id} {campaign}
    {channel} {network} {ad_group} {creative} {sub_publisher} {gaid} {idfa} {idfv} {device_id}
    {user_id} {ip} {country} {event} {install_time} {event_time} {click_time} {revenue} {currency}
    {method} {match_type} {confidence} {rejection_reason} {conversion_id} {revision} {app_id}.
    Times are epoch seconds; {click_time_ms} and {click_time_iso} are milliseconds and RFC 3339.
    What is not known is left empty. With --rejected, {rejection_reason} is the fraud rule, and
    {click_id} and the like are those of the touch that it rejected.
    """
    from trackstream.core.postbacks.destinations import Destination

    with _opened() as (settings, destinations):
        listed = destinations.create(
            Destination(destination_id="", app_id=app_id or settings.app_id, **rest), signed=sign
        )
    row = {**_row(listed), "secret": listed.secret}
    shown = ["destination_id", "name", "app_id", "method", "url", *(["secret"] if sign else [])]
    show([row], as_json=as_json, columns=shown, empty="")


@postbacks.command("list", epilog=example("trackstream postbacks list --app shop"))
@click.option("--app", "app_id", help="Only this app's.")
@json_option
def list_(app_id: str | None, *, as_json: bool) -> None:
    """List destinations, disabled ones too, without their secrets."""
    with _opened() as (_, destinations):
        found = destinations.list_all(app_id)
    show(
        [_row(one) for one in found],
        as_json=as_json,
        columns=_COLUMNS,
        empty="There is no destination yet: `trackstream postbacks create` makes one.",
    )


@postbacks.command(epilog=example("trackstream postbacks disable dst_0123456789abcdef"))
@click.argument("destination_id")
def disable(destination_id: str) -> None:
    """Send nothing more to DESTINATION_ID, and queue nothing for it."""
    with _opened() as (_, destinations):
        destinations.disable(destination_id)
    click.echo(f"{destination_id} is disabled.")


@postbacks.command(
    "test", epilog=example("trackstream postbacks test dst_0123456789abcdef --event purchase")
)
@click.argument("destination_id")
@click.option("--event", default="install", show_default=True, help="Of the made-up conversion.")
@json_option
def test_(destination_id: str, event: str, *, as_json: bool) -> None:
    """Send DESTINATION_ID one made-up postback now, and show what was sent and answered.

    Its ids begin with `test-`. Nothing is queued or remembered. Exits with 1 if it is not taken.
    """
    import asyncio

    with _opened() as (settings, destinations):
        listed = destinations.get(destination_id)
    row, outcome = asyncio.run(_tried(settings, listed, event))
    show([row], as_json=as_json, columns=["outcome", "reason", "method", "url", "body"], empty="")
    if outcome.kind != "delivered":
        raise Problem(f"the destination did not take it: {outcome.reason}")


async def _tried(settings: Settings, listed: Listed, event: str) -> tuple[dict[str, Any], Outcome]:
    import time

    from trackstream.core.postbacks.destinations import postback_id, request_of
    from trackstream.core.postbacks.samples import sample
    from trackstream.postbacks.client import Client

    now_ms = int(time.time() * 1000)
    attribution = sample(listed.destination, event=event, at_ms=now_ms)
    request = request_of(listed.destination, attribution)
    async with Client(
        allow_private=settings.postbacks_allow_private, timeout_s=settings.postbacks_timeout_s
    ) as client:
        outcome = await client.send(
            request,
            postback_id=postback_id(
                listed.destination.destination_id, attribution.conversion_id, now_ms
            ),
            secret=listed.secret,
        )
    row = {
        "outcome": outcome.kind,
        "reason": outcome.reason,
        "method": request.method,
        "url": request.url,
        "body": request.body,
    }
    return row, outcome


@postbacks.command(
    epilog=example(
        "trackstream postbacks run",
        "TRACKSTREAM_KAFKA_URL=kafka://host:9092 TRACKSTREAM_POSTGRES_URL=postgresql://… \\",
        "    trackstream postbacks run",
    )
)
def run() -> None:
    """Run one postback sender, until Ctrl-C: reads attributions and tells the destinations.

    No destination is told twice of the same decision, whatever is killed when. What is not taken
    (408, 425, 429, 5xx, no connection) is tried again for three days, ever more slowly. More of
    these processes share the work.
    """
    from trackstream.cli.running import needed, settings_beside
    from trackstream.cli.serving import serve_until_told
    from trackstream.postbacks import run as serve

    settings = settings_beside()
    needed(settings, "kafka_url", "postgres_url")
    serve_until_told(serve, settings, ready=POSTBACKS_READY)


postbacks.add_command(dead)
postbacks.add_command(resend)


def _row(listed: Listed) -> dict[str, Any]:
    import msgspec

    row = msgspec.structs.asdict(listed.destination)
    row["events"] = list(row["events"])
    row["signed"] = listed.secret is not None
    row["created_at"] = moment(row.pop("created_at_ms"))
    at_ms = listed.disabled_at_ms
    row["disabled_at"] = None if at_ms is None else moment(at_ms)
    return row
