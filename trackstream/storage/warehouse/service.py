"""All that a warehouse writer does: it writes, and refreshes the views in turn with the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from trackstream.storage.views import refresh_in_turn
from trackstream.storage.warehouse import consumer

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.settings import Settings
    from trackstream.storage.warehouse.progress import Progress

__all__ = ["run"]


async def run(
    settings: Settings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the output topics to PostgreSQL until `stop` is set; see `consumer.run`.

    Beside it, one writer of all refreshes the materialised views, every `views_refresh_s`.
    """
    ended = asyncio.Event()
    refreshing = None
    if settings.views_refresh_s and settings.postgres_url:
        refreshing = asyncio.create_task(
            refresh_in_turn(settings.postgres_url, every_s=settings.views_refresh_s, stop=ended)
        )
    try:
        await consumer.run(settings, stop=stop, on_ready=on_ready, progress=progress)
    finally:
        ended.set()
        if refreshing is not None:
            await refreshing
