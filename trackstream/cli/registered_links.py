"""`trackstream links`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trackstream.cli.base import example
from trackstream.cli.moments import MOMENT
from trackstream.cli.output import json_option, moment, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackstream.ports import TrackingLink
    from trackstream.settings import Settings

__all__ = ["links"]

_COLUMNS = [
    "url",
    "campaign_id",
    "channel",
    "network",
    "ad_group",
    "overridable",
    "web_url",
    "app_id",
    "expires_at",
]


@click.group(short_help="Create and list tracking links.")
def links() -> None:
    """Create and list tracking links: what an ad leads to, and whose click it then was."""


@links.command(
    epilog=example(
        "trackstream links create spring-sale --web https://shop.example.com/spring",
        "trackstream links create spring-sale --slug spring --channel paid_social \\",
        "    --web https://shop.example.com/ \\",
        "    --android 'https://play.google.com/store/apps/details?id=com.example.shop'",
    )
)
@click.argument("campaign_id")
@click.option("--web", "web_url", required=True, help="Where computers are sent, and all others.")
@click.option("--android", "android_url", help="Where Android is sent, such as Google Play.")
@click.option("--ios", "ios_url", help="Where iPhones and iPads are sent, such as the App Store.")
@click.option("--deep-link", help="Where in the app the first open leads.")
@click.option("--slug", help="The link's address, /c/SLUG; else one that cannot be guessed.")
@click.option("--campaign", help="The campaign's name for people.")
@click.option("--channel", help="Such as paid_social or email.")
@click.option("--network", help="The ad network.")
@click.option("--ad-group", help="The ad group.")
@click.option(
    "--overridable",
    multiple=True,
    type=click.Choice(["channel", "network", "ad_group"]),
    help="What a click's URL may name otherwise (channel, network, ad_group or adgroup), again for "
    "each. Without it what the link registers stands, and the URL says only what it does not.",
)
@click.option("--app", "app_id", help="Whose link; else TRACKSTREAM_APP_ID.")
@click.option(
    "--expires",
    "expires_at_ms",
    type=MOMENT,
    help="When it stops leading anywhere (410); in UTC without an offset.",
)
@json_option
def create(
    campaign_id: str, app_id: str | None, expires_at_ms: int | None, *, as_json: bool, **rest: Any
) -> None:
    """Create a link for the campaign CAMPAIGN_ID; collectors know it within some seconds."""
    from trackstream.cli.registered import registry

    with registry() as (there, own_app):
        link = there.create_link(
            app_id=app_id or own_app,
            campaign_id=campaign_id,
            expires_at_ms=expires_at_ms,
            **rest,
        )
        others = [one for one in there.apps_of_campaign(campaign_id) if one != link.app_id]
    if others:
        click.echo(
            f"The campaign id {campaign_id} is also one of {', '.join(others)}: /v1/click?cid= "
            f"needs app_id={link.app_id} now, or another campaign id. /c/{link.slug} does not.",
            err=True,
        )
    _show([link], as_json=as_json)


@links.command("list", epilog=example("trackstream links list --app shop"))
@click.option("--app", "app_id", help="Only this app's.")
@json_option
def list_(app_id: str | None, *, as_json: bool) -> None:
    """List tracking links with their addresses."""
    from trackstream.cli.registered import registry

    with registry() as (there, _):
        found = there.list_links(app_id)
    _show(found, as_json=as_json)


def _show(found: Sequence[TrackingLink], *, as_json: bool) -> None:
    import msgspec

    from trackstream.cli.running import settings_beside

    base = _public_url(settings_beside())
    rows = []
    for link in found:
        row = msgspec.structs.asdict(link)
        at_ms = row.pop("expires_at_ms")
        row["expires_at"] = None if at_ms is None else moment(at_ms)
        rows.append({"url": f"{base}/c/{link.slug}", **row})
    show(
        rows,
        as_json=as_json,
        columns=_COLUMNS,
        empty="There is no link yet: `trackstream links create` makes one.",
    )


def _public_url(settings: Settings) -> str:
    """Where links are reached; only their path if nothing says where the collector is."""
    return (settings.public_url or settings.collector_url or "").rstrip("/")
