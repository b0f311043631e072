"""A request as handlers see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackstream.embedded.broker.protocol.wire import Decoded

if TYPE_CHECKING:
    from trackstream.embedded.broker.broker import Broker


@dataclass(frozen=True, slots=True)
class Request:
    """A decoded request and who sent it; `local_host`, `local_port` are where it arrived."""

    version: int
    client_id: str
    client_host: str
    local_host: str
    local_port: int
    body: Decoded


Answer = Decoded | None
"""The body of a response; None: this request is not answered."""

Handler = Callable[["Broker", Request], Answer | Awaitable[Answer]]
"""Handles one API: at once, or with something to wait for."""
