"""The archive: every event as a row of Parquet files, in a directory or an object store.

- `columns`: the Avro schema of events as Arrow types, and records as tables;
- `place`: files that are whole or not there, in a directory or wherever fsspec writes;
- `contents`: which message is a row of which file, or of none;
- `ranges`: which offsets are in which files, so that each event is in one file once;
- `consumer`: these as the steps of a consumer of the topic; `run` is the way in;
- `verification`: counts rows against offsets.

Needs the extra `archive`.
"""

from trackstream.archive.consumer import Rolling, run
from trackstream.archive.place import open_place
from trackstream.archive.verification import verify

__all__ = ["Rolling", "open_place", "run", "verify"]
