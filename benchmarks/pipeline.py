"""`python -m benchmarks.pipeline STAGE [options]`: one stage of the pipeline, measured alone."""

from __future__ import annotations

import importlib
import sys

__all__ = ["STAGES", "main"]

STAGES = {"enrich": "benchmarks.enrich"}
"""Each module has `run(argv)`, which measures and prints."""


def main(argv: list[str]) -> int:
    """Run one stage; 2 if there is none of that name."""
    if not argv or argv[0] not in STAGES:
        print(f"usage: python -m benchmarks.pipeline {{{','.join(STAGES)}}} [--help]")
        return 2
    importlib.import_module(STAGES[argv[0]]).run(argv[1:])
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
