"""`trackstream postbacks run` in a process of its own, which notices sooner who has died."""

from __future__ import annotations

import asyncio

from trackstream.postbacks import run
from trackstream.postbacks.sender import SenderTimes
from trackstream.settings import Settings

if __name__ == "__main__":
    times = SenderTimes(poll_s=0.05, orphans_s=0.3, lease_s=7.0)
    asyncio.run(run(Settings.load(), stop=asyncio.Event(), times=times))
