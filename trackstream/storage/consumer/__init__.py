"""Reading topics so that each message's effect is there once, for whatever keeps the effects.

How far a partition was read is stored beside what was made of it, by whoever keeps that, and in one
step with it; reading goes on from there. Kafka's own offsets only show lag. Whoever is assigned a
partition claims it, and from then on what an earlier owner still writes is refused there.

- `steps`: the plain functions that a consumer is made of: claim, prepare, write;
- `loop`: `consume` calls them, for as long as it is to;
- `member`: one membership in the group, from joining to leaving;
- `outages`: a call again and again, while what it needs is away;
- `offsets`: claims and offsets in PostgreSQL, for those who write there.

The warehouse, the postbacks and the archive are such consumers; `tests/storage/consumer` runs one
contract over all three.
"""

from trackstream.storage.consumer.loop import consume, group_of
from trackstream.storage.consumer.steps import (
    Claimed,
    Message,
    Partition,
    Read,
    Reading,
    Steps,
    Written,
)

__all__ = [
    "Claimed",
    "Message",
    "Partition",
    "Read",
    "Reading",
    "Steps",
    "Written",
    "consume",
    "group_of",
]
