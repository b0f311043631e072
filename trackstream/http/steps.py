"""A request as one list of named steps, each timed under its name."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from trackstream.core.reasons import Reason
from trackstream.http.ids import new_id
from trackstream.http.metrics import Metrics
from trackstream.http.problems import Refusal, Verdict, problem_response
from trackstream.ports import Undelivered, Unwritten
from trackstream.storage.errors import StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from aiohttp import web

    from trackstream.http.guard import Guard
    from trackstream.ports import Directory, GeoLookup, Sink, TouchCache, UserAgentLookup
    from trackstream.settings import Settings
    from trackstream.storage.explain import Explanation
    from trackstream.storage.patience import Patience

__all__ = [
    "Explain",
    "Message",
    "Parts",
    "Step",
    "Traffic",
    "clock_ms",
    "counted",
    "deliver",
    "no_database",
    "not_yet",
    "run_steps",
]

_log = logging.getLogger(__name__)

Message = tuple[str, bytes, bytes]
"""Topic without its prefix, key, value."""

T = TypeVar("T")

_TWICE = (
    "it may have been written all the same, and is counted once only if its events have ids, or it "
    "an Idempotency-Key"
)
"""What whoever sends again has to know: an event without an id gets another one each time."""


def clock_ms() -> int:
    """The time now in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def _nothing_missing() -> list[str]:
    return []


class Explain(Protocol):
    """How conversions were decided; see `storage.explain`. Blocks."""

    def __call__(self, name: str, /, *, app_id: str) -> list[Explanation]:
        """Those of this app that have the id, at least one.

        Raises:
            NotFoundError: there is none.
            StorageUnavailableError: the database does not answer.
        """


def no_database(name: str, /, *, app_id: str) -> list[Explanation]:
    """`Explain` where there is no database."""
    raise StorageUnavailableError(f"no database knows {name} of {app_id}")


@dataclass(slots=True)
class Traffic:
    """The requests that are being answered.

    Attributes:
        in_flight: their tasks.
        closing: whether connections are to end after them.
        expired: whether time is up, and those that are cancelled are to answer 503.
    """

    in_flight: set[asyncio.Task[Any]] = field(default_factory=set)
    closing: bool = False
    expired: bool = False

    def expire(self) -> None:
        """Have every request answered 503 that is not answered yet."""
        self.closing = self.expired = True
        for task in list(self.in_flight):
            task.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What handlers depend on; see `collector.create_collector`."""

    settings: Settings
    directory: Directory
    sink: Sink
    cache: TouchCache
    user_agents: UserAgentLookup
    clock_ms: Callable[[], int] = clock_ms
    new_id: Callable[[], str] = new_id
    missing: Callable[[], list[str]] = _nothing_missing
    metrics: Metrics = field(default_factory=Metrics)
    gather: Callable[[Metrics], Metrics] = lambda own: own
    traffic: Traffic = field(default_factory=Traffic)
    explain: Explain = no_database
    guard: Guard | None = None
    geo: GeoLookup | None = None
    version: str = field(default_factory=lambda: installed_version("trackstream"))


Step = tuple[str, Callable[[T, "Parts"], Verdict]]


async def run_steps(steps: Sequence[Step[T]], subject: T, parts: Parts) -> Refusal | None:
    """Run the steps on `subject`, which they fill in, until one hands back a refusal."""
    now_s, observe = time.perf_counter, parts.metrics.steps.observe
    began_s = now_s()
    for name, step in steps:
        verdict = step(subject, parts)
        if verdict is None or isinstance(verdict, Refusal):
            refusal = verdict
        else:
            refusal = await verdict
        ended_s = now_s()
        observe(name, ended_s - began_s)
        began_s = ended_s
        if refusal is not None:
            return refusal
    return None


async def deliver(
    messages: list[Message], parts: Parts, *, patience: Patience | None = None
) -> Refusal | None:
    """Write the messages; None when all of them are acknowledged by all replicas."""
    if not messages:
        return None
    started_s = time.perf_counter()
    try:
        if patience is None:
            await parts.sink.send(messages)
        else:
            with patience.limit():
                await parts.sink.send(messages)
    except Unwritten:
        return Refusal(Reason.UNAVAILABLE, "nothing of this was written: send the same again")
    except (Undelivered, TimeoutError):
        return Refusal(
            Reason.UNAVAILABLE,
            f"the log did not acknowledge in time: send the same again; {_TWICE}",
        )
    parts.metrics.produce.observe(time.perf_counter() - started_s)
    return None


def not_yet(refusal: Refusal, parts: Parts) -> Refusal:
    """The refusal, unless it may be only because the collector has not read everything yet."""
    unknown = {Reason.UNAUTHENTICATED, Reason.UNKNOWN_APP, Reason.UNKNOWN_LINK}
    missing = parts.missing() if refusal.reason in unknown else []
    if not missing:
        return refusal
    return Refusal(Reason.UNAVAILABLE, f"not ready: waiting for {', '.join(missing)}")


def counted(
    route: str, handler: Callable[[web.Request], Awaitable[web.Response]], parts: Parts
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler, counted by status; what it raises is logged and answered as `internal`."""
    metrics, traffic = parts.metrics, parts.traffic

    async def handle(request: web.Request) -> web.Response:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a handler runs in a task")
        traffic.in_flight.add(task)
        try:
            response = await handler(request)
        except asyncio.CancelledError:
            if not traffic.expired:
                raise
            task.uncancel()
            metrics.refusals.add((Reason.UNAVAILABLE,))
            response = problem_response(
                Refusal(
                    Reason.UNAVAILABLE, f"the collector is stopping: send the same again; {_TWICE}"
                )
            )
        except Exception:  # noqa: BLE001 - whatever it is, the caller gets an answer
            _log.exception("a request to %s failed", route)
            metrics.refusals.add((Reason.INTERNAL,))
            response = problem_response(Refusal(Reason.INTERNAL, "an error of the collector's"))
        finally:
            traffic.in_flight.discard(task)
        if traffic.closing:
            response.force_close()
        metrics.requests.add((route, str(response.status)))
        return response

    return handle
