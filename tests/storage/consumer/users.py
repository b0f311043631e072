"""The consumers as one contract sees them: what they read, what they keep, and what they need."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import psycopg2
import pyarrow.parquet as pq

from tests.core.postbacks.samples import a_destination, an_attribution
from tests.storage.records import an_event
from trackstream import archive
from trackstream.archive.consumer import READING as ARCHIVE
from trackstream.archive.ranges import Message, PartitionRanges
from trackstream.codec import encode
from trackstream.postbacks.consumer import READING as POSTBACKS
from trackstream.postbacks.consumer import consume
from trackstream.postbacks.destinations import Destinations
from trackstream.storage import warehouse
from trackstream.storage.consumer import group_of
from trackstream.storage.consumer.offsets import by_cursor, claim
from trackstream.storage.database import make_engine
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.settings import Settings
    from trackstream.storage.consumer import Reading

__all__ = ["USERS", "User"]

_FAR_MS = 4_000_000_000_000


class User(Protocol):
    """A consumer with what it keeps. All but `run` block."""

    reading: Reading
    topic: str
    settings: Settings

    async def run(self, *, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """As it is run in earnest, with shorter times."""

    def value(self, number: int) -> bytes:
        """The message whose effect is `number`'s."""

    def kept(self) -> Counter[str]:
        """How often each message has had its effect, by number."""

    def be_away(self, *, away: bool) -> None:
        """Take away what keeps the effects, or give it back."""

    def replace(self) -> None:
        """Claim partition 0 behind the consumer's back, as another that reads message 0 of it."""


class _InPostgres:
    def __init__(self, settings: Settings, reading: Reading) -> None:
        self.settings = settings
        self.reading = reading
        self._url = settings.postgres_url or ""

    def be_away(self, *, away: bool) -> None:
        parts = urlsplit(self._url)
        name = parts.path[1:]
        with closing(psycopg2.connect(parts._replace(path="/postgres").geturl())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {not away}")
                if away:
                    cursor.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        f"WHERE datname = '{name}'"
                    )

    def replace(self) -> None:
        topic = self.settings.topic_prefix + self.reading.topics[0]
        with closing(psycopg2.connect(self._url)) as connection, connection:
            claim(
                by_cursor(connection.cursor()),
                group_of(self.reading.group, self.settings),
                [(topic, 0)],
            )

    def counted(self, query: str) -> Counter[str]:
        with closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return Counter(name.removeprefix("n") for (name,) in cursor)


class _Warehouse(_InPostgres):
    topic = "events"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, warehouse.READING)

    async def run(self, *, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        await warehouse.run(self.settings, stop=stop, on_ready=on_ready)

    def value(self, number: int) -> bytes:
        return encode(an_event(f"n{number}"))

    def kept(self) -> Counter[str]:
        return self.counted("SELECT event_id FROM fact_events")


class _Postbacks(_InPostgres):
    topic = "attributions"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, POSTBACKS)
        key = MasterKey(bytes(32))
        engine = make_engine(settings.postgres_url)
        Registry(engine, key).create_app("shop")
        Destinations(engine, key).create(a_destination(), signed=False)
        engine.dispose()

    async def run(self, *, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        engine = make_engine(self.settings.postgres_url)
        try:
            await consume(
                self.settings, engine, stop=stop, on_ready=on_ready, on_queued=lambda: None
            )
        finally:
            await asyncio.to_thread(engine.dispose)

    def value(self, number: int) -> bytes:
        return encode(an_attribution(conversion_id=f"n{number}", decided_at_ms=_FAR_MS))

    def kept(self) -> Counter[str]:
        return self.counted("SELECT conversion_id FROM postbacks")


class _Archive:
    reading = ARCHIVE
    topic = "events"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._place = archive.open_place(str(settings.data_dir / "archive"))
        self._away = False

    def __getattr__(self, name: str) -> Any:
        """The place, which this is in the eyes of the consumer."""
        if self._away:
            raise OSError("away")
        return getattr(self._place, name)

    async def run(self, *, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        place: Any = self
        await archive.run(
            self.settings,
            stop=stop,
            on_ready=on_ready,
            place=place,
            rolling=archive.Rolling(size_bytes=20_000, age_s=0.3),
        )

    def value(self, number: int) -> bytes:
        return encode(an_event(f"n{number}"))

    def kept(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for path in self._place.files():
            if path.endswith(".parquet"):
                read = pq.read_table(io.BytesIO(self._place.read(path)), columns=["event_id"])
                found.update(one.removeprefix("n") for one in read["event_id"].to_pylist())
        return found

    def be_away(self, *, away: bool) -> None:
        self._away = away

    def replace(self) -> None:
        ranges = PartitionRanges(self._place, self.settings.topic_prefix + self.topic, 0)
        ranges.load()
        ranges.append([Message(0, self.value(0))])


USERS: dict[str, Callable[[Settings], User]] = {
    "warehouse": _Warehouse,
    "postbacks": _Postbacks,
    "archive": _Archive,
}
