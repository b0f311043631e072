"""A small durable Kafka-protocol broker for one machine and for tests.

It is a program, not a library: `python -m trackstream.embedded.broker --data-dir D --port 0`
(see `__main__` for its switches and its one line of output). The rooms:

- `protocol`: message layouts per version, error codes;
- `storage`: record batches, segment files, partitions, compaction, journals;
- `coordination`: consumer groups, committed offsets, transactions;
- `handlers`: one function per API;
- `broker`, `topics`, `maintenance`: what owns and tends them; `connection`, `server`: the sockets.

One event loop does all the work, so a request changes its state in one step that no other request
sees half done. Only fsync and compaction run in threads, on files that nobody changes meanwhile.
"""
