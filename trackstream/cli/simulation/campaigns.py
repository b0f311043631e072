"""The links that made-up people click: a few campaigns, made once and used by every run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.cli.base import Problem
from trackstream.storage.errors import AlreadyExistsError

if TYPE_CHECKING:
    from trackstream.ports import TrackingLink
    from trackstream.storage.registry import Registry

__all__ = ["CAMPAIGNS", "ensure_links"]

CAMPAIGNS = (
    ("spring_sale", "paid_social", "metagram"),
    ("video_teaser", "video", "viewtube"),
    ("brand_search", "paid_search", "findly"),
    ("newsletter_12", "email", None),
    ("creator_collab", "influencer", "clipclap"),
    ("app_of_the_day", "display", "adgrid"),
)
"""Campaign, channel, network."""

_PLAY = "https://play.google.com/store/apps/details?id=com.example.shop"
_APP_STORE = "https://apps.apple.com/app/id000000000"


def ensure_links(registry: Registry, app_id: str) -> tuple[list[TrackingLink], bool]:
    """The app's link of each campaign, and whether one of them is new.

    Raises:
        Problem: another app has taken a link's address.
        StorageError: there is no such app, or PostgreSQL does not answer.
    """
    there = {link.slug: link for link in registry.list_links(app_id)}
    links = []
    new = False
    for campaign, channel, network in CAMPAIGNS:
        slug = f"sim-{app_id.replace('.', '-')}-{campaign}"[:64]
        if slug not in there:
            new = True
            try:
                there[slug] = registry.create_link(
                    app_id=app_id,
                    campaign_id=f"sim_{app_id}_{campaign}",
                    campaign=campaign.replace("_", " "),
                    channel=channel,
                    network=network,
                    web_url=f"https://shop.example.com/{campaign}",
                    android_url=_PLAY,
                    ios_url=_APP_STORE,
                    deep_link=f"shop://campaigns/{campaign}",
                    slug=slug,
                )
            except AlreadyExistsError as error:
                raise Problem(
                    f"the link /c/{slug} is another app's: choose another TRACKSTREAM_APP_ID"
                ) from error
        links.append(there[slug])
    return links, new
