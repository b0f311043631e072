"""`trackstream archive run` in a process of its own, with small ranges."""

from __future__ import annotations

import asyncio

from trackstream.archive import Rolling, run
from trackstream.settings import Settings

if __name__ == "__main__":
    rolling = Rolling(size_bytes=20_000, age_s=0.3)
    asyncio.run(run(Settings.load(), stop=asyncio.Event(), rolling=rolling))
