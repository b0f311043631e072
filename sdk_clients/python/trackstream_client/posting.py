"""One try to send some events: a request, signed for this try."""

from __future__ import annotations

import gzip
import secrets
from typing import TYPE_CHECKING

from trackstream_client.events import rfc3339
from trackstream_client.signing import signed_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackstream_client.answers import Answer, Queued
    from trackstream_client.transport import Transport

__all__ = ["ENVELOPE_BYTES", "Poster"]

ENVELOPE_BYTES = 128
"""More than a batch has beside its events."""
_PATH = "/v1/batch"
_COMPRESSED_FROM_BYTES = 1_024


class Poster:
    """Posts batches.

    Args:
        transport: the connection.
        key_id: of a server key.
        secret: its secret.
        compresses: whether bodies are sent with gzip.
        clock_s: the time by which events are stamped, in epoch seconds. What the collector's clock
            says otherwise is only signed by: with `sent_at`, the collector corrects the events.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        key_id: str,
        secret: str,
        compresses: bool,
        clock_s: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._key_id, self._secret = key_id, secret
        self._compresses, self._clock_s = compresses, clock_s
        self._clock_error_s = 0.0

    def post(self, events: Sequence[Queued]) -> Answer | None:
        """The answer; None if there was none."""
        body = batch_of(events, sent_at=rfc3339(self._clock_s()))
        # No User-Agent: a server's is not its user's, and the events say which client they are of.
        headers = {"Content-Type": "application/json"}
        if self._compresses and len(body) >= _COMPRESSED_FROM_BYTES:
            body = gzip.compress(body, compresslevel=6)
            headers["Content-Encoding"] = "gzip"
        path = self._transport.base_path + _PATH
        headers |= signed_headers(
            self._key_id,
            self._secret,
            method="POST",
            path=path,
            body=body,
            now_s=int(self._clock_s() + self._clock_error_s),
            nonce=secrets.token_hex(16),
        )
        answer = self._transport.post(path, body, headers)
        if answer is not None and answer.reason == "expired_signature":
            there_s = answer.date_s
            if there_s is not None:
                self._clock_error_s = there_s - self._clock_s()
        return answer

    def abort(self) -> None:
        """Have a post that waits end without an answer."""
        self._transport.abort()

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def forget(self) -> None:
        """Leave the connection to the process that this one was forked of."""
        self._transport.forget()


def batch_of(events: Sequence[Queued], *, sent_at: str) -> bytes:
    """The body: at most `ENVELOPE_BYTES` more than the documents and a comma for each."""
    documents = b",".join([one.body for one in events])
    return b'{"sent_at":"%s","events":[%s]}' % (sent_at.encode(), documents)
