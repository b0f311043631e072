"""Writing to the log so that what is acknowledged is durable."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidMessageError,
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from trackstream.ports import Undelivered
from trackstream.storage.lanes import Lanes
from trackstream.storage.patience import Patience
from trackstream.storage.topics import bootstrap_servers, largest_message_bytes

if TYPE_CHECKING:
    from trackstream.settings import Settings

__all__ = ["KafkaSink", "UnwritableError"]

_log = logging.getLogger(__name__)

_LINGER_S = 0.003
_STOP_TIMEOUT_S = 5.0


_HOPELESS = (
    InvalidMessageError,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)


class UnwritableError(Undelivered):
    """Kafka answers, and does not take one of the messages, now or later."""


class KafkaSink:
    """`ports.Sink` on an idempotent producer: acknowledged by all replicas, in order per key.

    A message whose acknowledgement did not come in time may still be written later: who is told
    `Undelivered` and sends again sends a duplicate, which its id unmasks. The partition of a key
    is that of Kafka's own clients (murmur2), as for everyone else who writes to these topics.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout_s = float(settings.produce_timeout_s)
        self._patience = Patience(self._timeout_s)
        self._lanes: Lanes | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    async def start(self) -> None:
        """Connect. Not needed: the first `send` does it.

        Raises:
            Undelivered: Kafka does not answer within the produce timeout.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connected()
        except (TimeoutError, KafkaError, OSError) as error:
            raise Undelivered(f"Kafka does not answer: {error or 'no answer in time'}") from error

    async def stop(self) -> None:
        """Write what is pending, for some seconds at most, and disconnect."""
        self._closed = True
        lanes, self._lanes = self._lanes, None
        if lanes is not None:
            await _end(lanes.producer, lanes)

    async def send(self, messages: list[tuple[str, bytes, bytes]]) -> None:
        """Write (topic without prefix, key, value) messages; see `ports.Sink.send`.

        Raises:
            Undelivered: At least one was not acknowledged within the produce timeout.
            UnwritableError: Kafka does not take at least one.
        """
        lanes: Lanes | None = None
        prefix = self._settings.topic_prefix
        try:
            with self._patience.limit():
                lanes = self._lanes or await self._connected()
                await lanes.send([(prefix + topic, key, value) for topic, key, value in messages])
        except (TimeoutError, KafkaTimeoutError) as error:
            raise Undelivered(f"Kafka did not acknowledge within {self._timeout_s:g} s") from error
        except (KafkaError, OSError) as error:
            # An idempotent producer that has lost its place in a sequence stays lost.
            self._discard(lanes)
            if isinstance(error, _HOPELESS):
                raise UnwritableError(f"Kafka does not take it: {error!r}") from error
            raise Undelivered(f"Kafka refused: {error!r}") from error

    async def _connected(self) -> Lanes:
        async with self._starting:
            if self._closed:
                raise Undelivered("the sink is stopped")
            if self._lanes is None:
                largest_bytes = largest_message_bytes(self._settings)
                producer = AIOKafkaProducer(
                    bootstrap_servers=bootstrap_servers(self._settings.kafka_url),
                    client_id="trackstream",
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=0,  # the lanes do
                    max_batch_size=256 * 1024,
                    max_request_size=largest_bytes,
                    request_timeout_ms=self._settings.produce_timeout_s * 1000,
                )
                try:
                    await producer.start()
                except BaseException:
                    await _end(producer)
                    raise
                self._lanes = Lanes(producer, linger_s=_LINGER_S, max_message_bytes=largest_bytes)
            return self._lanes

    def _discard(self, lanes: Lanes | None) -> None:
        if lanes is not None and self._lanes is lanes:
            _log.warning("starting a new Kafka producer after an error")
            self._lanes = None
            ending = asyncio.ensure_future(_end(lanes.producer, lanes))
            _ENDING.add(ending)
            ending.add_done_callback(_ENDING.discard)


_ENDING: set[asyncio.Future[None]] = set()  # asyncio keeps only weak references to tasks


async def _end(producer: AIOKafkaProducer, lanes: Lanes | None = None) -> None:
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            if lanes is not None:
                await lanes.flush()
            await producer.stop()
    except (TimeoutError, KafkaError):
        if lanes is not None:
            lanes.abandon()
        # Its `stop` waits for ever for a broker that is away; there is no public way to give up.
        sender = producer._sender.sender_task  # noqa: SLF001 - see above
        if sender is not None:
            sender.cancel()
        with contextlib.suppress(KafkaError):
            await producer.client.close()
        _log.warning("Kafka did not take the last messages; whoever sent them was told so")
