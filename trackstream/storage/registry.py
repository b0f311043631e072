"""What is registered in PostgreSQL: apps and tracking links, here, and keys.

Calls block; in asyncio use `asyncio.to_thread`.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from trackstream.core.touches import OVERRIDABLE
from trackstream.ports import App, TrackingLink
from trackstream.storage.database import transaction
from trackstream.storage.destinations import (
    check_app_id,
    check_app_url,
    check_name,
    check_slug,
    check_web_url,
)
from trackstream.storage.errors import AlreadyExistsError, InvalidValueError
from trackstream.storage.registered_keys import Keys
from trackstream.storage.registered_rows import link_of, moment, now, require_app
from trackstream.storage.schema import apps, links

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Connection, Engine

__all__ = ["Registry"]


class Registry(Keys):
    """What people register: apps, keys, links. Every call may raise `StorageUnavailableError`."""

    def create_app(self, app_id: str, name: str | None = None) -> App:
        """Create an app.

        Raises:
            InvalidValueError: The id, or the name, has characters that it may not have.
            AlreadyExistsError: There is one with this id.
        """
        app = App(app_id=check_app_id(app_id), name=check_name("app name", name or app_id))
        with _creating(self._engine, f"app {app_id} exists") as connection:
            connection.execute(
                insert(apps).values(app_id=app.app_id, name=app.name, created_at=now())
            )
        return app

    def list_apps(self) -> list[App]:
        """All apps, by id."""
        with transaction(self._engine) as connection:
            rows = connection.execute(select(apps).order_by(apps.c.app_id)).all()
        return [App(app_id=row.app_id, name=row.name) for row in rows]

    def create_link(
        self,
        *,
        app_id: str,
        campaign_id: str,
        web_url: str,
        slug: str | None = None,
        campaign: str | None = None,
        channel: str | None = None,
        network: str | None = None,
        ad_group: str | None = None,
        android_url: str | None = None,
        ios_url: str | None = None,
        deep_link: str | None = None,
        expires_at_ms: int | None = None,
        overridable: Collection[str] = (),
    ) -> TrackingLink:
        """Create a tracking link; without a slug it gets one that cannot be guessed.

        Of `overridable`, each click's query may name its own; else what the link says stands.

        Raises:
            NotFoundError: There is no such app.
            AlreadyExistsError: The slug is taken.
            InvalidValueError: A destination is none that a click may be sent to; a name is empty,
                has more than 256 characters, or control characters; or what a click may name
                otherwise is none of `touches.OVERRIDABLE`.
        """
        for name in sorted(set(overridable).difference(OVERRIDABLE)):
            raise InvalidValueError(f"overridable {name!r}: takes {', '.join(OVERRIDABLE)}")
        link = TrackingLink(
            link_id="lnk_" + secrets.token_urlsafe(12),
            slug=secrets.token_urlsafe(8) if slug is None else check_slug(slug),
            app_id=app_id,
            campaign_id=check_name("campaign id", campaign_id),
            campaign=campaign and check_name("campaign", campaign),
            channel=channel and check_name("channel", channel),
            network=network and check_name("network", network),
            ad_group=ad_group and check_name("ad group", ad_group),
            web_url=check_web_url("web url", web_url),
            android_url=android_url and check_app_url("android url", android_url),
            ios_url=ios_url and check_app_url("ios url", ios_url),
            deep_link=deep_link and check_app_url("deep link", deep_link),
            expires_at_ms=expires_at_ms,
            overridable=tuple(name for name in OVERRIDABLE if name in overridable),
        )
        values = msgspec.structs.asdict(link)
        expires_at_ms = values.pop("expires_at_ms")
        values["overridable"] = list(link.overridable)
        values["expires_at"] = None if expires_at_ms is None else moment(expires_at_ms)
        with _creating(self._engine, f"slug {link.slug} is taken") as connection:
            require_app(connection, app_id)
            connection.execute(insert(links).values(created_at=now(), **values))
        return link

    def apps_of_campaign(self, campaign_id: str) -> list[str]:
        """The apps that have a link for this campaign id, by id."""
        query = select(links.c.app_id).where(links.c.campaign_id == campaign_id).distinct()
        with transaction(self._engine) as connection:
            return sorted(connection.execute(query).scalars())

    def list_links(self, app_id: str | None = None) -> list[TrackingLink]:
        """All links, or those of an app, oldest first."""
        query = select(links).order_by(links.c.created_at, links.c.link_id)
        if app_id is not None:
            query = query.where(links.c.app_id == app_id)
        with transaction(self._engine) as connection:
            return [link_of(row) for row in connection.execute(query)]


@contextmanager
def _creating(engine: Engine, taken: str) -> Iterator[Connection]:
    try:
        with transaction(engine) as connection:
            yield connection
    except IntegrityError as error:
        raise AlreadyExistsError(taken) from error
