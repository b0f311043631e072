"""Requests to a running collector: signed anew for every try, tried again while it is busy."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import aiohttp

from trackstream.cli.base import Problem
from trackstream.core.signing import signed_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer", "Collector"]

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_BUSY = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the collector has answered in the end."""

    status: int
    document: dict[str, Any]
    """The JSON object of the answer; empty if there is none."""
    retries: int

    @property
    def detail(self) -> str:
        """What a problem document says."""
        what = self.document.get("detail") or self.document.get("title") or "no explanation"
        return f"{self.status} {what}"


class Collector:
    """A collector and the key with which requests to it are signed; an async context manager.

    Args:
        url: where it is, without a path.
        key_id: a server key's.
        secret: that key's.
        connections: how many at most at the same time.
        patience_s: how long a request is tried again while the collector is busy or away.
    """

    def __init__(
        self,
        url: str,
        *,
        key_id: str,
        secret: str,
        connections: int = 8,
        patience_s: float = 60.0,
    ) -> None:
        self._url = url.rstrip("/")
        self._path = urlsplit(self._url).path
        self._key_id = key_id
        self._secret = secret
        self._patience_s = patience_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(total=60),
            # The events are others': one that has no user agent must not get ours.
            skip_auto_headers={"User-Agent"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post(self, path: str, document: Mapping[str, Any]) -> Answer:
        """Post JSON.

        Returns:
            The first answer that is not "try again later".

        Raises:
            Problem: the key is refused, or the collector stayed busy or away for too long.
        """
        return await self.post_body(path, json.dumps(document).encode())

    async def post_body(
        self, path: str, body: bytes, *, idempotency_key: str | None = None
    ) -> Answer:
        """Post JSON that is bytes already; see `post`.

        With a key, events without ids get the same ids whenever this is posted again.
        """
        deadline = time.monotonic() + self._patience_s
        retries = 0
        while True:
            pause_s = 0.0
            try:
                answer, pause_s = await self._try(path, body, retries, idempotency_key)
            except aiohttp.ClientConnectionError as error:
                why = f"does not answer: {error}"
            except TimeoutError:
                why = "does not answer in time"
            else:
                if answer.status in {401, 403}:
                    raise Problem(
                        f"the collector at {self._url} refuses the key {self._key_id}: "
                        f"{answer.detail}",
                        "check TRACKSTREAM_KEY_ID and TRACKSTREAM_SECRET",
                    )
                if answer.status not in _BUSY:
                    return answer
                why = f"is busy: {answer.detail}"
            # Full jitter, so that many who were refused at once do not come back at once.
            backoff_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**retries)
            pause_s += random.uniform(0.0, backoff_s)  # noqa: S311 # spreads load, guards nothing
            if time.monotonic() + pause_s > deadline:
                raise Problem(
                    f"the collector at {self._url} {why}",
                    f"tried {retries + 1} times; run the same command again to go on",
                )
            await asyncio.sleep(pause_s)
            retries += 1

    async def _try(
        self, path: str, body: bytes, retries: int, idempotency_key: str | None
    ) -> tuple[Answer, float]:
        headers = signed_headers(
            self._key_id,
            self._secret,
            method="POST",
            path=self._path + path,
            body=body,
            now_s=int(time.time()),
            nonce=uuid.uuid4().hex,
        )
        headers["Content-Type"] = "application/json"
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        async with self._session.post(self._url + path, data=body, headers=headers) as response:
            text = await response.text()
            try:
                document = json.loads(text)
            except ValueError:
                document = None
            answer = Answer(
                status=response.status,
                document=document if isinstance(document, dict) else {},
                retries=retries,
            )
            return answer, _seconds(response.headers.get("Retry-After"))


def _seconds(retry_after: str | None) -> float:
    try:
        return min(60.0, max(0.0, float(retry_after or 0)))
    except ValueError:
        return 0.0
