"""What is kept up with by looking, when looking fails."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from tests.waiting import PATIENCE_S
from trackstream.storage.errors import StorageUnavailableError
from trackstream.storage.polling import Polled

if TYPE_CHECKING:
    import pytest

_log = logging.getLogger(__name__)


async def test_no_error_ends_keeping_up(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = [
        TypeError("a surprise"), TypeError("a surprise"), StorageUnavailableError("away"),
    ]  # fmt: skip

    def read(last: int) -> int:
        if last >= 2 and errors:
            raise errors.pop(0)
        return last + 1

    polled = Polled(read, 0, what="numbers", log=_log, refresh_s=0.01)
    await polled.start()
    async with asyncio.timeout(PATIENCE_S):
        while polled.now < 5:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
    await polled.stop()
    assert polled.why == ""
    surprises = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert len(surprises) == 1
    assert surprises[0].exc_info is not None
