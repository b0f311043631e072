"""Streams that hand out batches: what is there now, without waiting for more.

Why not `Stream.take`: it waits for its batch to fill or for its timeout, and acknowledges the
events when the generator closes, even if that is because handling them failed. Here a batch is
acknowledged only when its consumer comes back for the next one. See docs/decisions/batches.md.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import faust

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from faust.types import ChannelT, Message

__all__ = ["BatchStream"]

_MOST_BYTES = 8 * 2**20


class BatchStream(faust.Stream[Any]):
    """Faust's stream with `batches`; an extension point of Faust (setting `Stream`)."""

    async def batches(self, limit: int) -> AsyncIterator[list[Message]]:
        """Messages as they come, at most `limit` or about 8 MiB at a time, in order per partition.

        A lone message is a batch at once. Coming back for the next batch acknowledges the last
        one: its offsets are then committed in the background. When the consumer raises instead,
        nothing is acknowledged and everything since the last commit is read again.
        """
        await self.maybe_start()
        consumer = self.app.consumer
        inbound = self.app.monitor.stream_inbound_time
        queue = cast("ChannelT[Any]", self.channel).queue
        while not self.should_stop:
            try:
                events = [await queue.get()]
                size = len(events[0].message.value or b"")
                while len(events) < limit and size < _MOST_BYTES and not queue.empty():
                    events.append(queue.get_nowait())
                    size += len(events[-1].message.value or b"")
            except StopAsyncIteration:  # Faust's way of saying that the agent is to stop
                return
            batch = [event.message for event in events if self._is_current(event.message)]
            now = monotonic()
            for message in batch:
                message.tracked = True
                consumer.unacked.add(message)
                inbound[message.tp] = now  # Faust's watchdog for stuck streams looks at this
            if batch:
                yield batch
                for message in batch:
                    message.ack(consumer)
            await asyncio.sleep(0)

    def _is_current(self, message: Message) -> bool:
        """Whether the message was read under the present assignment.

        One that was not is dropped and not acknowledged (Faust acknowledges it): after a rebalance
        reading goes on from the committed offsets, so it comes again, here or elsewhere.
        """
        app = self.app
        return bool(
            app.flow_control.is_active() and message.generation_id == app.consumer_generation_id
        )
