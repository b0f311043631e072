"""The agents: one file each, a step over one message; attached to the app here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from agents import attribute, enrich, match, ticks
from agents.steps import run

if TYPE_CHECKING:
    from faust.types import StreamT

    from agents.steps import Context, Step
    from agents.stream import BatchStream

__all__ = ["attach"]


def attach(context: Context, *, tick_interval_s: float) -> None:
    """Add every agent, and the timer that sends ticks, to the context's app.

    Args:
        context: The app, its tables and what the agents need besides.
        tick_interval_s: How often time passes.
    """
    for module in (enrich, match, attribute):
        _attach(context, module.AGENT, module.TOPIC, module.step(context))
    ticks.start(context.app, topic_prefix=context.topic_prefix, interval_s=tick_interval_s)


def _attach(context: Context, name: str, topic: str, step: Step) -> None:
    async def agent(stream: StreamT[Any]) -> None:
        await run(cast("BatchStream", stream), name, step, context)

    agent.__qualname__ = agent.__name__ = name  # what Faust calls it in its log
    source: Any = context.app.topic(
        context.topic_prefix + topic,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        allow_empty=True,
    )
    context.app.agent(source, name=name)(agent)
