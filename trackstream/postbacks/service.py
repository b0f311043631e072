"""Reading and sending together, until told to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from trackstream.postbacks.client import Client
from trackstream.postbacks.consumer import consume
from trackstream.postbacks.destinations import Destinations
from trackstream.postbacks.sender import Sender, SenderTimes
from trackstream.storage.database import make_engine
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.settings import Settings

__all__ = ["run"]

_LEASE_FACTOR = 4
_SHORTEST_LEASE_S = 60.0


async def run(
    settings: Settings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] = lambda: None,
    times: SenderTimes | None = None,
) -> None:
    """Tell destinations of attributions until `stop` is set; any number of processes may.

    Args:
        settings: Name Kafka and PostgreSQL (migrated).
        stop: When set, requests under way are waited for, and the call returns.
        on_ready: Called once, when partitions have been claimed for the first time.
        times: Of the sender.

    Raises:
        StorageError: PostgreSQL refuses what is done here, or a secret does not open.
    """
    lease_s = max(_SHORTEST_LEASE_S, _LEASE_FACTOR * settings.postbacks_timeout_s)
    engine = make_engine(settings.postgres_url)
    try:
        async with Client(
            allow_private=settings.postbacks_allow_private,
            timeout_s=settings.postbacks_timeout_s,
        ) as client:
            sender = Sender(
                engine,
                Destinations(engine, MasterKey.load(settings)),
                client,
                times=times or SenderTimes(lease_s=lease_s),
            )
            async with asyncio.TaskGroup() as together:
                together.create_task(sender.run(stop))
                together.create_task(
                    consume(settings, engine, stop=stop, on_ready=on_ready, on_queued=sender.wake)
                )
    except ExceptionGroup as group:
        # The first is the cause; the other half was cancelled for it.
        raise group.exceptions[0] from group
    finally:
        engine.dispose()
