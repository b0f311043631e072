"""What runs, in which order it starts, and in which it stops."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from trackstream.cli.base import Problem
from trackstream.cli.running import Running, from_anywhere
from trackstream.cli.up.credentials import Credentials, ensure_credentials
from trackstream.cli.up.parts import (
    ANY_HOST,
    Part,
    any_port,
    collector_url,
    listening_port,
    reached,
    server_part,
)
from trackstream.cli.up.programs import programs
from trackstream.embedded.errors import ChildFailedError, PortTakenError
from trackstream.embedded.kafka import EmbeddedKafka
from trackstream.embedded.postgres import EmbeddedPostgres
from trackstream.embedded.valkey import EmbeddedValkey
from trackstream.settings import PREFIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trackstream.cli.up.report import Progress
    from trackstream.embedded.server import Server
    from trackstream.settings import Settings

__all__ = ["Service"]

_T = TypeVar("_T")
_GIVEN_UP_POLL_S = 0.05


class Service:
    """Everything that `trackstream up` runs; `start` once, then `stop`, whatever happened.

    Args:
        settings: As loaded; `data_dir` is absolute and locked by this process.
        progress: Told of each part that is ready.

    Attributes:
        settings: After `start`, with the URLs of what was started.
    """

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self.settings = settings
        self._progress = progress
        self._servers: list[Part] = []
        self._children: dict[str, Part] = {}
        self._threads: dict[asyncio.Future[Any], Callable[[], object]] = {}

    async def start(self) -> tuple[Running, str]:
        """Start what is not configured and what is ours, as much of it at once as can be.

        Returns:
            Where everything is, and the slug of a link to click.

        Raises:
            Problem: a port is taken, or an address is not this machine's; the message names the
                setting.
            EmbeddedError: a part did not start; the message says why.
            StorageError: topics or tables could not be made.
        """
        settings = self._with_ports()
        kafka, postgres, redis = self._configure(settings)
        async with _together() as together:
            kafka_url = together.create_task(self._kafka(settings, kafka))
            redis_url = together.create_task(self._redis(settings, redis))
            database = together.create_task(self._database(settings, postgres))
            postgres_url, credentials = await database
            settings = replace(
                settings,
                kafka_url=await kafka_url,
                redis_url=await redis_url,
                postgres_url=postgres_url,
            )
            for part in programs(settings):
                together.create_task(self._child(part))
        self.settings = settings
        return (
            Running(
                collector_url=collector_url(settings),
                worker_url=reached(settings.worker_host, settings.worker_port),
                kafka=str(settings.kafka_url),
                postgres=str(settings.postgres_url),
                redis=str(settings.redis_url),
                app_id=credentials.app_id,
                key_id=credentials.key_id,
                secret=credentials.secret,
                write_key=credentials.write_key,
                archive=from_anywhere(settings.archive_url),
            ),
            credentials.slug,
        )

    async def first_end(self) -> tuple[Part, ChildFailedError]:
        """Wait until a part ends by itself; return it, with the error that says how."""
        waits = {asyncio.ensure_future(part.ended()): part for part in self._parts()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        # A server's end is the cause of its clients'.
        first = max(done, key=list(waits).index)
        return waits[first], first.result()

    async def stop(self) -> None:
        """Stop all that was started: first who takes events in, last who keeps them."""
        while self._threads:
            # A start that was given up: what it starts ends as soon as it is there.
            for kill in self._threads.values():
                kill()
            await asyncio.sleep(_GIVEN_UP_POLL_S)
        for part in self._parts()[: len(self._children)]:
            await asyncio.to_thread(part.stop)
        await asyncio.gather(*(asyncio.to_thread(part.stop) for part in self._servers))

    def kill(self) -> None:
        """End everything at once: what servers have confirmed they keep even so."""
        for part in self._parts():
            part.kill()

    def _parts(self) -> list[Part]:
        """What was started so far, in the order of stopping."""
        order = (
            "the collector",
            "the worker",
            "the warehouse writer",
            "the postback sender",
            "the archive writer",
        )
        children = [self._children[name] for name in order if name in self._children]
        return [*children, *self._servers]

    def _with_ports(self) -> Settings:
        found = self.settings
        hosts = {found.collector_host, found.worker_host}
        if found.collector_port == found.worker_port != 0 and (len(hosts) == 1 or hosts & ANY_HOST):
            raise Problem(
                f"{PREFIX}COLLECTOR_PORT and {PREFIX}WORKER_PORT are both {found.worker_port}",
                "set one of them to another port (0: any free one)",
            )
        return replace(
            found,
            collector_port=listening_port("collector", found.collector_host, found.collector_port),
            worker_port=listening_port("worker", found.worker_host, found.worker_port),
        )

    def _configure(self, settings: Settings) -> tuple[Server | None, Server | None, Server | None]:
        folder = settings.data_dir
        kafka = (
            None
            if settings.kafka_url
            else EmbeddedKafka(
                folder,
                port=settings.kafka_port or any_port(),
                default_partitions=settings.topic_partitions,
            )
        )
        postgres = (
            None
            if settings.postgres_url
            else EmbeddedPostgres(folder, port=settings.postgres_port or any_port())
        )
        redis = (
            None
            if settings.redis_url
            else EmbeddedValkey(folder, port=settings.redis_port or any_port())
        )
        for server in (kafka, postgres, redis):
            if server is not None:
                self._servers.append(
                    server_part(server, folder / server.folder_name / "server.log")
                )
        return kafka, postgres, redis

    async def _kafka(self, settings: Settings, server: Server | None) -> str:
        from trackstream.storage.topics import ensure_topics

        url = await self._url(server, settings.kafka_url, "kafka_port")
        with self._progress.step("topics"):
            await ensure_topics(replace(settings, kafka_url=url))
        return url

    async def _redis(self, settings: Settings, server: Server | None) -> str:
        return await self._url(server, settings.redis_url, "redis_port")

    async def _database(self, settings: Settings, server: Server | None) -> tuple[str, Credentials]:
        url = await self._url(server, settings.postgres_url, "postgres_port")
        with self._progress.step("tables, app and keys"):
            credentials = await self._in_thread(
                lambda: ensure_credentials(replace(settings, postgres_url=url)), _wait_for_it
            )
        return url, credentials

    async def _url(self, server: Server | None, configured: str | None, port_setting: str) -> str:
        if server is None:
            return str(configured)
        try:
            with self._progress.step(server.name):
                return await self._in_thread(server.start, server.kill)
        except PortTakenError as error:
            raise Problem(f"{error} ({PREFIX}{port_setting.upper()})") from error

    async def _child(self, part: Part) -> None:
        self._children[part.name] = part
        try:
            with self._progress.step(part.name):
                await self._in_thread(part.start, part.kill)
        except ChildFailedError as error:
            raise Problem(*str(error).splitlines(), f"its log is {part.log_path}") from error

    async def _in_thread(self, call: Callable[[], _T], kill: Callable[[], object]) -> _T:
        """Call in a thread; `kill` makes the call end soon, if it is given up."""
        thread = asyncio.ensure_future(asyncio.to_thread(call))
        self._threads[thread] = kill
        thread.add_done_callback(self._ended)
        return await asyncio.shield(thread)

    def _ended(self, thread: asyncio.Future[Any]) -> None:
        del self._threads[thread]
        # Nobody waits any more for a start that was given up: its error is looked at here.
        if not thread.cancelled():
            thread.exception()


@contextlib.asynccontextmanager
async def _together() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose first error is raised as itself: each of ours says all there is to say."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise _first(errors) from errors


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _wait_for_it() -> None:
    """What ends by itself soon is let be."""
