"""The consumer that writes the output topics to PostgreSQL, each message's effect once.

A batch of messages becomes one transaction: its rows and the offsets after it. So there is no
moment at which one is there without the other, and a crash anywhere repeats nothing.

- `rows`: a record as rows of the tables;
- `staging`: how rows travel: COPY into a temporary table, one INSERT from there;
- `statements`: those INSERTs, and what an older or repeated record does to a newer row;
- `moved`: events that are there already, on another day;
- `batch`: messages as staged rows, ready to write;
- `days`: the partitions of `fact_events`;
- `writer`: claims of partitions, and the transaction;
- `consumer`: these as the steps of a consumer of the topics;
- `service`: that consumer beside the refreshing of views; `run` is the way in;
- `progress`: what was written so far.
"""

from trackstream.storage.warehouse.consumer import READING
from trackstream.storage.warehouse.progress import Progress
from trackstream.storage.warehouse.service import run

__all__ = ["READING", "Progress", "run"]
