"""Fetch: read batches, waiting for them where there are none yet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.storage.partition import LEADER_EPOCH, Partition

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from trackstream.embedded.broker.broker import Broker
    from trackstream.embedded.broker.protocol.wire import Decoded
    from trackstream.embedded.broker.request import Answer, Request

_READ_COMMITTED = 1


def fetch(broker: Broker, request: Request) -> Answer | Awaitable[Answer]:
    """Answer with records if there are enough of them, else wait as long as the client allows.

    Fetch sessions (KIP-227) are not offered: a session id of 0 tells the client so.
    """
    response, done = _read(broker, request.body)
    if done or request.body["max_wait_ms"] <= 0 or broker.stopping.is_set():
        return response
    # Listening begins before anything else can run: no append goes unheard.
    return _wait_and_read(broker, request.body, _Append(broker, request.body))


class _Append:
    """The next append to any of the partitions that a fetch asks for."""

    def __init__(self, broker: Broker, body: Decoded) -> None:
        self._partitions = [
            partition
            for topic in body["topics"]
            for wanted in topic["partitions"]
            if (partition := broker.topics.partition(topic["name"], wanted["index"])) is not None
        ]
        self._heard = asyncio.get_running_loop().create_future()
        self._listen()

    def _listen(self) -> None:
        for partition in self._partitions:
            partition.waiters.add(self._hear)

    def _hear(self) -> None:
        if not self._heard.done():
            self._heard.set_result(None)

    async def wait_until(self, deadline_s: float) -> None:
        """Return at an append since the last call, or at a time of the loop."""
        loop = asyncio.get_running_loop()
        timer = loop.call_at(deadline_s, self._hear)
        try:
            await self._heard
        finally:
            timer.cancel()
        self._heard = loop.create_future()
        self._listen()

    def close(self) -> None:
        """Listen no more."""
        for partition in self._partitions:
            partition.waiters.discard(self._hear)


async def _wait_and_read(broker: Broker, body: Decoded, append: _Append) -> Answer:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + body["max_wait_ms"] / 1000
    try:
        while True:
            await append.wait_until(deadline_s)
            response, done = _read(broker, body)
            if done or loop.time() >= deadline_s or broker.stopping.is_set():
                return response
    finally:
        append.close()


def _read(broker: Broker, body: Decoded) -> tuple[Decoded, bool]:
    """Read all partitions once: the response, and whether it need not wait for more."""
    left, size, failed = body["max_bytes"], 0, False
    topics = []
    for topic in body["topics"]:
        answers = []
        for wanted in topic["partitions"]:
            partition = broker.topics.partition(topic["name"], wanted["index"])
            # The first records go out however large they are (KIP-74).
            max_bytes = min(wanted["max_bytes"], left) if size else max(wanted["max_bytes"], 1)
            answer = _read_one(partition, wanted, max_bytes, body["isolation_level"])
            if size and len(answer["records"]) > left:
                answer["records"] = b""
            size += len(answer["records"])
            left -= len(answer["records"])
            failed = failed or answer["error_code"] != ErrorCode.NONE
            answers.append(answer)
        topics.append({"name": topic["name"], "partitions": answers})
    return {"topics": topics}, failed or size >= max(body["min_bytes"], 1)


def _read_one(
    partition: Partition | None, wanted: Decoded, max_bytes: int, isolation_level: int
) -> dict[str, Any]:
    if partition is None:
        return _refused(wanted, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    if wanted["current_leader_epoch"] > LEADER_EPOCH:
        return _refused(wanted, ErrorCode.UNKNOWN_LEADER_EPOCH)
    fetched = partition.fetch(
        wanted["fetch_offset"], max_bytes, committed_only=isolation_level == _READ_COMMITTED
    )
    if fetched.error:
        return _refused(wanted, fetched.error, partition)
    aborted = fetched.aborted
    return {
        "index": wanted["index"],
        "error_code": ErrorCode.NONE,
        "high_watermark": partition.log.end_offset,
        "last_stable_offset": partition.last_stable_offset,
        "log_start_offset": partition.log.start_offset,
        "aborted_transactions": None
        if aborted is None
        else [
            {"producer_id": item.producer_id, "first_offset": item.first_offset} for item in aborted
        ],
        "records": fetched.records,
    }


def _refused(
    wanted: Decoded, error: ErrorCode, partition: Partition | None = None
) -> dict[str, Any]:
    return {
        "index": wanted["index"],
        "error_code": error,
        "high_watermark": -1 if partition is None else partition.log.end_offset,
        "records": b"",
    }
