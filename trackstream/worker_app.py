"""The worker as a Faust app: what it makes, reads and serves when it starts, and how it ends."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast

import faust
from faust.utils.terminal import SpinnerHandler
from mode.utils.objects import cached_property

from agents.transport import FlowControl, Transport
from trackstream.http import worker as worker_views
from trackstream.http.worker.collecting import CollectingWeb
from trackstream.http.worker.serving import WorkerWeb
from trackstream.storage.funnels_book import CachedFunnels, NoFunnels
from trackstream.storage.rules_book import CachedRules, DefaultRules
from trackstream.storage.topics import ensure_topics, largest_message_bytes

if TYPE_CHECKING:
    from faust.types import TransportT
    from faust.types.web import Web

    from agents.metrics import Metrics
    from tables import Tables
    from trackstream.settings import Settings

__all__ = ["Application"]

_log = logging.getLogger(__name__)

_CRASHED_STAYS_S = 20.0
_FAUST_DEFAULT_DATA_DIR = "{conf.name}-data"
_GARBAGE_AFTER = (20_000, 20, 20)
"""Allocations, and collections of the younger generations, before the next is collected."""


class Application(faust.App):
    """Faust's app with our transport, topics made before it starts, and the worker's web views."""

    settings: Settings
    state_tables: Tables
    metrics: Metrics
    rules_book: CachedRules | DefaultRules
    funnels_book: CachedFunnels | NoFunnels
    _views_mounted = False

    def worker_init(self) -> None:
        """Keep tables where Faust's own flag `-D` says, if it is given.

        Faust calls this once the app is made and once more when the flags are known, of which it
        hands this one down in the environment, where without the flag its own default stands.
        """
        super().worker_init()
        given = os.environ.get("F_DATADIR")
        if given and given != _FAUST_DEFAULT_DATA_DIR:
            self.conf.datadir = Path(given)

    async def on_first_start(self) -> None:
        """Make the directories and all topics, and read the rules and the funnels of apps.

        Raises:
            StorageError: Kafka refuses, or PostgreSQL does not answer.
        """
        for folder in (self.conf.datadir, self.conf.appdir, self.conf.tabledir):
            folder.mkdir(parents=True, exist_ok=True)
        # People's identifiers are in the tables. A folder of somebody else's is as they want it.
        with contextlib.suppress(PermissionError):
            self.conf.datadir.chmod(0o700)
        await super().on_first_start()
        _lift_root_level()
        await ensure_topics(self.settings, changelogs=self.changelogs)
        if isinstance(self.rules_book, CachedRules):
            await self.rules_book.start()
        if isinstance(self.funnels_book, CachedFunnels):
            await self.funnels_book.start()
        _collect_less()

    @property
    def changelogs(self) -> dict[str, dict[str, str]]:
        """The topics of the tables' changelogs, and how each is configured."""
        config = _changelog_config(self.settings)
        return {one.changelog_topic_name: config for one in self.state_tables.by_name().values()}

    def _crash(self, reason: BaseException) -> None:
        """Be gone soon after a crash, whatever hangs while stopping: a supervisor starts anew."""
        root = self.beacon.root
        if not self.crashed and root is not None and isinstance(root.data, faust.Worker):
            last = threading.Timer(_CRASHED_STAYS_S, _exit_at_once)
            last.daemon = True
            last.start()
        super()._crash(reason)

    async def on_stop(self) -> None:
        """Stop keeping up with the rules and the funnels of apps."""
        await super().on_stop()
        if isinstance(self.rules_book, CachedRules):
            await self.rules_book.stop()
        if isinstance(self.funnels_book, CachedFunnels):
            await self.funnels_book.stop()

    def on_webserver_init(self, web: Web) -> None:
        """Add the worker's web views to Faust's web server, once: its command calls this twice."""
        if self._views_mounted:
            return
        self._views_mounted = True
        worker_views.mount(
            cast("WorkerWeb", web),
            app=self,
            tables=self.state_tables,
            funnels_book=self.funnels_book,
            metrics=self.metrics.render,
        )

    def _new_web(self) -> Web:
        kind = CollectingWeb if self.settings.worker_collects else WorkerWeb
        return kind(self, self.settings)

    @cached_property
    def flow_control(self) -> FlowControl:
        """What holds messages back during a rebalance."""
        return FlowControl(loop=self.loop)

    def _new_transport(self) -> TransportT:
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> TransportT:
        return Transport(self.conf.broker_producer, self)


def _exit_at_once() -> None:
    _log.critical("did not stop within %g s of a crash: exits at once", _CRASHED_STAYS_S)
    logging.shutdown()
    os._exit(1)


def _collect_less() -> None:
    """Let Python look for cycles less often, and not among what is there from the start.

    Records are made and dropped by the thousand a second and have no cycles: Python's defaults
    spend a tenth of the worker's time on looking at them and at all that was imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_AFTER)


def _lift_root_level() -> None:
    """Have the root logger drop what no handler shows.

    For its spinner Faust sets the root logger to DEBUG when started with `-l warn`; then every
    debug line of aiokafka is made for nothing, which cost a tenth of the worker's time.
    """
    root = logging.getLogger()
    shown = [one.level for one in root.handlers if not isinstance(one, SpinnerHandler)]
    if shown:
        root.setLevel(max(root.level, min(shown)))


def _changelog_config(settings: Settings) -> dict[str, str]:
    config = {
        "cleanup.policy": "compact",
        "max.message.bytes": str(2 * largest_message_bytes(settings)),
    }
    if settings.topic_replication_factor > 1:
        config["min.insync.replicas"] = str(settings.topic_replication_factor - 1)
    return config
