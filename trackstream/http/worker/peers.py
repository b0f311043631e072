"""The other workers: who owns a key, and asking them.

Faust's assignor tells every worker which worker has which partition, under the URL that each
calls its own (`web_host` and `web_port`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from trackstream.core.murmur import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from faust import App

    from tables.base import StateTable

__all__ = ["ROUTED", "Peers", "UnreachableError"]

ROUTED = "X-Trackstream-Routed"
"""Marks a request from a worker: it is answered from here or refused, never passed on again."""

_TIMEOUT_S = 3.0


class UnreachableError(Exception):
    """Another worker does not answer, or it is not known which one to ask."""


class Peers:
    """Workers of the same app, as of the last assignment.

    Args:
        app: The app.
        introduced: What a request to a URL of another worker says in the header `ROUTED`.
    """

    def __init__(self, app: App, *, introduced: Callable[[URL], str]) -> None:
        self._app = app
        self._introduced = introduced

    def partition(self, key: str) -> int:
        """The partition in which every table keeps a key."""
        return partition_of(key.encode(), self._app.conf.topic_partitions)

    def owner(self, table: StateTable[Any], key: str) -> URL:
        """The base URL of the worker that has the key.

        Not by Faust's `key_store`: it asks the producer, which knows only what it has written to.

        Raises:
            UnreachableError: No worker has been assigned its partition yet.
        """
        topic, partition = table.changelog_topic_name, self.partition(key)
        for url, held in self._app.router.tables_metadata().items():
            if partition in held.get(topic, ()):
                return URL(str(url))
        raise UnreachableError("no worker has this partition now")

    def is_me(self, url: URL) -> bool:
        """Whether this worker calls itself that."""
        return url == self.me

    @property
    def me(self) -> URL:
        """This worker's own base URL."""
        return URL(str(self._app.conf.canonical_url))

    def others(self) -> list[URL]:
        """Base URLs of all other workers that own partitions."""
        known = {URL(str(url)) for url, held in self._app.router.tables_metadata().items() if held}
        return sorted(known - {self.me}, key=str)

    async def get(self, base: URL, path_qs: URL) -> tuple[int, Any]:
        """GET JSON from a worker; its status and what it said.

        Args:
            base: The worker.
            path_qs: Path and query, as in the request that is passed on.

        Raises:
            UnreachableError: It does not answer within some seconds, or not in JSON.
        """
        url = base.join(path_qs)
        try:
            async with self._app.http_client.get(
                url,
                headers={ROUTED: self._introduced(url)},
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            ) as response:
                return response.status, await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise UnreachableError(f"{base} does not answer: {error!r}") from error

    async def everyone(self, path_qs: URL) -> tuple[list[Any], list[str]]:
        """GET the same from all other workers: what those said that answered, and who did not."""
        others = self.others()
        said = await asyncio.gather(
            *(self.get(one, path_qs) for one in others), return_exceptions=True
        )
        answers: list[Any] = []
        silent: list[str] = []
        for base, one in zip(others, said, strict=True):
            if isinstance(one, UnreachableError):
                silent.append(str(base))
            elif isinstance(one, BaseException):
                raise one
            elif one[0] == 200:
                answers.append(one[1])
            else:
                silent.append(str(base))
        return answers, silent
