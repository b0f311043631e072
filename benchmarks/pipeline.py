"""The stages of the pipeline, each measured alone.

`python -m benchmarks pipeline` measures all of them, in the order of the data's way;
`python -m benchmarks pipeline STAGE [options]` one, with the options that it has.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import json
import os
import sys
from typing import TYPE_CHECKING

from benchmarks.measured import StageResult, TooFewEventsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.enrich import Measured

__all__ = ["STAGES", "main", "run"]

STAGES = {
    "collector": "benchmarks.collect",
    "enrich": "benchmarks.enrich",
    "warehouse": "benchmarks.warehouse",
}
"""Each module has `run(argv)`, which measures, prints, and returns what it has measured."""

_BATCH_OPTION = {"collector": "--batch", "enrich": "--per-envelope"}
"""The warehouse writer reads events one by one, however they came."""


def run(argv: list[str]) -> list[StageResult]:
    """Measure one stage, or all, and print; one with too few events says so, and is left out."""
    if argv and argv[0] in STAGES:
        return _stage(argv[0], argv[1:])
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks pipeline",
        description=__doc__,
        epilog=f"stages: {', '.join(STAGES)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--events", type=int, default=40_000, help="events in each stage")
    parser.add_argument(
        "--batch", type=int, action="append", help="events in a request; again for another"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list at the end")
    options = parser.parse_args(argv)
    results = []
    with _aside() if options.json else contextlib.nullcontext():
        for stage in STAGES:
            own = ["--events", str(options.events)]
            if stage in _BATCH_OPTION:
                own += [
                    word
                    for n in options.batch or [20, 1]
                    for word in (_BATCH_OPTION[stage], str(n))
                ]
            results += _stage(stage, own)
    if options.json:
        print(json.dumps([dataclasses.asdict(one) for one in results]))
    return results


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    """What stages and their processes print is for people: it goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _stage(stage: str, argv: list[str]) -> list[StageResult]:
    try:
        found = importlib.import_module(STAGES[stage]).run(argv)
    except TooFewEventsError as error:
        print(f"{stage}: {error}", file=sys.stderr, flush=True)
        return []
    return [one if isinstance(one, StageResult) else _named(stage, one) for one in found]


def _named(stage: str, one: Measured) -> StageResult:
    return StageResult(
        stage=stage,
        events=one.events,
        batch=one.per_envelope,
        events_per_s=one.events_per_s,
        cpu_us_per_event=one.cpu_us_per_event,
    )


def main(argv: list[str]) -> int:
    """As `run`; the exit code: 1 if a stage was not measured."""
    wanted = argv[:1] if argv and argv[0] in STAGES else list(STAGES)
    return 0 if {one.stage for one in run(argv)} >= set(wanted) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
