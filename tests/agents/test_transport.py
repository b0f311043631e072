"""What holds messages back during a rebalance loses none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mode.utils.queues import FlowControlQueue

from agents.transport import FlowControl
from trackstream.application import create_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.settings import Settings


async def test_what_has_arrived_stays_when_the_flow_is_resumed() -> None:
    flow = FlowControl()
    queue: FlowControlQueue[int] = FlowControlQueue(flow_control=flow, clear_on_resume=True)
    flow.resume()
    queue.put_nowait(1)
    flow.resume()
    assert queue.qsize() == 1


async def test_what_was_read_before_a_rebalance_is_cleared_when_it_begins() -> None:
    flow = FlowControl()
    queue: FlowControlQueue[int] = FlowControlQueue(flow_control=flow, clear_on_resume=True)
    queue.put_nowait(1)
    flow.suspend()
    flow.clear()
    assert queue.empty()
    assert not flow.is_active()


async def test_the_app_uses_it(make_settings: Callable[[], Settings]) -> None:
    assert isinstance(create_app(make_settings()).flow_control, FlowControl)
