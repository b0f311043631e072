"""Counting the archive's rows against the offsets that the manifest says are in it."""

from __future__ import annotations

import io
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from trackstream.archive.ranges import MANIFEST, Plan, done_path

if TYPE_CHECKING:
    from trackstream.archive.place import Place

__all__ = ["Verified", "verify"]


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What is there of one partition.

    Attributes:
        topic: With its prefix.
        partition: Its number.
        first_offset: Of its first range.
        last_offset: Of its last one.
        rows: In its files, counted there.
        unreadable: Messages that are no events, or can be no rows.
        repeats: Messages with an event that is in the same range before.
        unfinished: Offsets of a last range that is being written, or was when somebody was killed;
            its rows are not counted.
        problems: One line each; none if rows, unreadable ones and repeats are as many as offsets.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    rows: int
    unreadable: int
    repeats: int
    unfinished: int
    problems: list[str]


def verify(place: Place) -> tuple[list[Verified], list[str]]:
    """Every partition of the archive, and files that no manifest speaks of.

    Raises:
        OSError: As `Place`.
    """
    paths = set(place.files())
    plans = [
        msgspec.json.decode(place.read(path), type=Plan)
        for path in sorted(paths)
        if path.startswith(MANIFEST) and path.endswith(".json")
    ]
    known = {one.path for plan in plans for one in plan.files}
    strangers = [path for path in sorted(paths - known) if path.endswith(".parquet")]
    found = [
        _partition(place, list(ranges), paths)
        for _, ranges in groupby(plans, lambda plan: (plan.topic, plan.partition))
    ]
    return found, [f"{path} is in no manifest" for path in strangers]


def _partition(place: Place, plans: list[Plan], paths: set[str]) -> Verified:
    problems = []
    for before, after in pairwise(plans):
        if after.first_offset != before.last_offset + 1:
            problems.append(f"no range has the offsets from {before.last_offset + 1} on")
        if done_path(before) not in paths:
            problems.append(f"the range from {before.first_offset} on was not finished")
    unfinished = done_path(plans[-1]) not in paths
    done = plans[:-1] if unfinished else plans
    rows = 0
    for plan in done:
        for file in plan.files:
            there = _rows(place, file.path, paths)
            rows += there if isinstance(there, int) else 0
            if there != file.rows:
                problems.append(f"{file.path}: {file.rows} rows were written, {there} are there")
        without_row = len(plan.unreadable) + len(plan.repeats)
        planned = sum(one.rows for one in plan.files) + without_row
        offsets = plan.last_offset - plan.first_offset + 1
        if planned != plan.messages:
            problems.append(f"the range from {plan.first_offset} on has no file for some messages")
        if plan.messages != offsets:
            problems.append(
                f"{offsets - plan.messages} offsets from {plan.first_offset} on were gone from "
                "Kafka when they were to be archived"
            )
    return Verified(
        topic=plans[0].topic,
        partition=plans[0].partition,
        first_offset=plans[0].first_offset,
        last_offset=plans[-1].last_offset,
        rows=rows,
        unreadable=sum(len(plan.unreadable) for plan in done),
        repeats=sum(len(plan.repeats) for plan in done),
        unfinished=plans[-1].last_offset - plans[-1].first_offset + 1 if unfinished else 0,
        problems=problems,
    )


def _rows(place: Place, path: str, paths: set[str]) -> int | str:
    if path not in paths:
        return "none, for the file is not there"
    try:
        file = pq.ParquetFile(io.BytesIO(place.read(path)))
        return sum(int(one.num_rows) for one in file.iter_batches(columns=["log_offset"]))
    except (pa.ArrowException, OSError) as error:
        return f"unknown, for it cannot be read ({error})"
