"""What the collector has accepted while Kafka is away, on disk until Kafka has it.

`sink` decides where messages go, `queue` is the file as an event loop uses it, `file` is SQLite,
`slots` give each process a file of its own, `drain` empties files into Kafka.
"""

from trackstream.storage.spool.sink import SpooledSink
from trackstream.storage.spool.state import SpoolState

__all__ = ["SpoolState", "SpooledSink"]
