"""What the collector stands on, from the settings: Kafka, PostgreSQL, Redis, the user agents."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from trackstream.http.guard import Guard
from trackstream.http.spool_metrics import show_spool
from trackstream.http.steps import Parts, clock_ms
from trackstream.ports import Undelivered, Unwritten
from trackstream.storage.cache import RedisTouchCache
from trackstream.storage.database import make_engine
from trackstream.storage.directory import CachedDirectory
from trackstream.storage.errors import StorageError, StorageUnavailableError
from trackstream.storage.explain import explain
from trackstream.storage.geo import MaxMindGeo, default_city_database
from trackstream.storage.limits import Limits
from trackstream.storage.log_sink import KafkaSink, UnwritableError
from trackstream.storage.sealing import MasterKey
from trackstream.storage.spool import SpooledSink
from trackstream.storage.topics import ensure_topics
from trackstream.storage.user_agents import UaParser

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trackstream.http.metrics import Metrics
    from trackstream.ports import Sink
    from trackstream.settings import Settings
    from trackstream.storage.explain import Explanation

__all__ = ["Backing", "ProbedSink", "missing_log"]

_log = logging.getLogger(__name__)

_PAUSE_S = 0.5
_PROBE_TIMEOUT_S = 10.0


class ProbedSink:
    """`ports.Sink` that is closed until the topics are there, and knows whether Kafka answers.

    A topic that is created by being written to would have the broker's partition count. After a
    failure Kafka is asked in the background, because a collector that is not ready is sent no
    requests by which it could find out.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sink = KafkaSink(settings)
        self._there = False
        self._failed = asyncio.Event()
        self._failed.set()
        self._probing: asyncio.Task[None] | None = None
        self.hopeless: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Raises the StorageError that only an operator can end."""

    @property
    def ready(self) -> bool:
        """Whether Kafka took the last messages, or has answered since."""
        return not self._failed.is_set()

    async def start(self) -> None:
        """Start to ask; returns at once."""
        self._probing = asyncio.create_task(self._probe(), name="kafka-probe")

    async def stop(self) -> None:
        """Write what is pending and disconnect."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])
        self.hopeless.cancel()
        await self._sink.stop()

    async def send(self, messages: list[tuple[str, bytes, bytes]]) -> None:
        """Write the messages; see `ports.Sink.send`.

        Raises:
            Unwritten: the topics are not there.
            Undelivered: at least one was not acknowledged in time.
        """
        if not self._there:
            raise Unwritten("the topics are not there yet")
        try:
            await self._sink.send(messages)
        except UnwritableError:
            raise
        except Undelivered:
            self._failed.set()
            raise
        self._failed.clear()

    async def _probe(self) -> None:
        while True:
            await self._failed.wait()
            try:
                await ensure_topics(self._settings, timeout_s=_PROBE_TIMEOUT_S)
                await self._sink.start()
            except (StorageUnavailableError, Undelivered) as error:
                _log.warning("%s", error)
            except StorageError as error:
                if not self.hopeless.done():
                    self.hopeless.set_exception(error)
                return
            except Exception:  # noqa: BLE001 - the next time may do better
                _log.exception("Kafka cannot be asked")
            else:
                self._there = True
                self._failed.clear()
            await asyncio.sleep(_PAUSE_S)


def missing_log(spool: SpooledSink | None, *, kafka_ready: bool) -> list[str]:
    """What keeps messages from being accepted.

    `kafka`, unless the spool stands in for it; `spool` if Kafka answers, and what is spooled has to
    go first and is on a disk that takes nothing more.
    """
    if not kafka_ready:
        return [] if spool is not None and spool.accepting else ["kafka"]
    return ["spool"] if spool is not None and spool.blocked else []


class Backing:
    """The adapters of one process, started and stopped together.

    Raises:
        StorageError: the settings cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = make_engine(settings.postgres_url)
        self.directory = CachedDirectory(self._engine, MasterKey.load(settings))
        self._kafka = ProbedSink(settings)
        self.spool: SpooledSink | None = None
        if settings.spool_max_mib:
            self.spool = SpooledSink(self._kafka, settings, ready=lambda: self._kafka.ready)
        self.sink: Sink = self.spool or self._kafka
        self.cache = RedisTouchCache(settings.redis_url)
        self._limits = Limits(settings.redis_url)
        self.guard = Guard(settings, self._limits)
        self.user_agents = UaParser()
        self.geo = MaxMindGeo(settings.geo_city_database or default_city_database())

    def parts(
        self,
        *,
        stopping: Callable[[], bool],
        gather: Callable[[Metrics], Metrics] | None = None,
    ) -> Parts:
        """What the collector's handlers stand on.

        Args:
            stopping: Whether the process is about to end: then it is not ready.
            gather: The metrics of all processes, given this one's; None: it is alone.
        """

        def missing() -> list[str]:
            return [*self.missing(), *(["stopping"] if stopping() else [])]

        def gathered(own: Metrics) -> Metrics:
            self.show(own)
            return gather(own) if gather else own

        return Parts(
            settings=self._settings,
            directory=self.directory,
            sink=self.sink,
            cache=self.cache,
            user_agents=self.user_agents,
            geo=self.geo,
            explain=self.explain,
            guard=self.guard,
            missing=missing,
            gather=gathered,
        )

    def show(self, metrics: Metrics) -> None:
        """Have the metrics show what the spool has now."""
        if self.spool is not None:
            show_spool(metrics, self.spool.state, now_ms=clock_ms())

    def explain(self, name: str, /, *, app_id: str) -> list[Explanation]:
        """How conversions were decided; see `steps.Explain`."""
        return explain(self._engine, name, app_id=app_id)

    @property
    def hopeless(self) -> asyncio.Future[None]:
        """Raises the StorageError that only an operator can end."""
        return self._kafka.hopeless

    @property
    def connected(self) -> bool:
        """Whether everything answers, Kafka itself included."""
        return self._kafka.ready and self.directory.ready

    def missing(self) -> list[str]:
        """What is needed and does not answer.

        Redis never is: it is a cache.
        """
        found = missing_log(self.spool, kafka_ready=self._kafka.ready)
        return found if self.directory.ready else [*found, "postgres"]

    async def start(self) -> None:
        """Connect to what is there; the rest is tried again until it is."""
        await self._kafka.start()
        if self.spool is not None:
            await self.spool.start()
        await self.directory.start()

    async def stop(self) -> None:
        """Disconnect; what was sent is written first. Whatever fails at that is logged."""
        if self.spool is not None:
            await _ended(self.spool.stop())
        await _ended(self._kafka.stop())
        await _ended(self.directory.stop())
        await _ended(self.cache.close())
        await _ended(self._limits.close())
        await asyncio.to_thread(self._engine.dispose)


async def _ended(stopping: Awaitable[None]) -> None:
    """Wait for it; the rest is to be stopped, too."""
    try:
        await stopping
    except Exception:  # noqa: BLE001 - whatever it is, the rest goes on
        _log.exception("something does not stop as it should")
