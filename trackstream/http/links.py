"""Which tracking link a click or an impression is of."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from trackstream.core.reasons import Reason
from trackstream.http.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackstream.ports import Directory, TrackingLink

__all__ = ["link_of"]


def link_of(
    raw_path: str, query: Mapping[str, str], directory: Directory, *, now_ms: int
) -> TrackingLink | Refusal:
    """The link that decides the app, the campaign and the only destinations that there are.

    Args:
        raw_path: as requested: `/c/{slug}`, or any other path, whose query has `cid`.
        query: its query. Among a campaign's links the newest is meant that has not expired.
            `app_id` names the app; `app` does so only where campaigns of several apps have the
            same id, since networks mean other things by that word, too.
        directory: the links.
        now_ms: epoch milliseconds.
    """
    slug = _slug_of(raw_path)
    if slug is not None:
        link = directory.link_by_slug(slug)
        found: tuple[TrackingLink, ...] = () if link is None else (link,)
    elif not query.get("cid"):
        return Refusal(Reason.MISSING_FIELD, "cid is missing")
    else:
        found = directory.links_by_campaign(query["cid"])
        if "app_id" in query:
            found = tuple(link for link in found if link.app_id == query["app_id"])
        elif len({link.app_id for link in found}) > 1:
            if "app" not in query:
                detail = "campaigns of several apps have this id: app_id has to name the app"
                return Refusal(Reason.AMBIGUOUS_LINK, detail)
            found = tuple(link for link in found if link.app_id == query["app"])
    if not found or directory.app(found[0].app_id) is None:
        return Refusal(Reason.UNKNOWN_LINK, "there is no such tracking link")
    for link in found:
        if link.expires_at_ms is None or link.expires_at_ms > now_ms:
            return link
    return Refusal(Reason.EXPIRED_LINK, "this tracking link has expired")


def _slug_of(raw_path: str) -> str | None:
    """The slug of `/c/{slug}`, wherever that is mounted; None on other paths.

    From the path and not from the router's match, which a shortcut does not make.
    """
    folder, _, slug = raw_path.partition("?")[0].rpartition("/")
    return unquote(slug) if folder.endswith("/c") else None
