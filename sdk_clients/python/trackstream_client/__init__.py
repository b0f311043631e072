"""Sends events from a server to TrackStream: in batches, signed, each counted once.

    client = Client("https://t.shop.example", "k_…", "secret")
    client.track("purchase", {"revenue": 49.99, "currency": "EUR"}, user_id="u-1")
    client.close()

It needs the standard library only. What it promises is the contract of all TrackStream clients,
`sdk_clients/README.md`.
"""

from trackstream_client.answers import Verdict
from trackstream_client.client import Client
from trackstream_client.errors import (
    ClientClosedError,
    EventTooLargeError,
    QueueFullError,
    QueueInUseError,
    TrackStreamClientError,
)
from trackstream_client.retries import Retries

__all__ = [
    "Client",
    "ClientClosedError",
    "EventTooLargeError",
    "QueueFullError",
    "QueueInUseError",
    "Retries",
    "TrackStreamClientError",
    "Verdict",
]
