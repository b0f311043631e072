"""`python -m benchmarks NAME [options]`: runs one of the benchmarks in this folder."""

from __future__ import annotations

import sys

from benchmarks import attribution, broker, collector, fuzz, pipeline

_NAMES = {
    "pipeline": "collector, enrich and warehouse: events per second and CPU per event",
    "collector": "what a request costs, beside aiohttp's bare hello",
    "attribution": "an install's whole way: installs per second, latency, bytes of state",
    "models": "attribution models over many journeys: seconds and memory",
    "fuzz": "malformed requests: whether the collector goes on, and what they leave in memory",
    "broker": "the embedded broker: messages in and out, latency",
}


def main(argv: list[str]) -> int:
    """Run the one that is named; the exit code, 2 if there is none of that name."""
    name, options = (argv[0], argv[1:]) if argv else ("", [])
    if name == "pipeline":
        return pipeline.main(options)
    if name in {"collector", "attribution"}:
        run = collector.run if name == "collector" else attribution.run
        run(options)
        return 0
    if name == "fuzz":
        return 0 if fuzz.run(options).serving else 1
    if name == "models":
        from benchmarks import models  # needs numpy, which the others do not

        models.run(options)
        return 0
    if name == "broker" and not options:
        broker.run()
        return 0
    print("usage: python -m benchmarks NAME [options]\n", file=sys.stderr)
    for one, what in _NAMES.items():
        print(f"  {one:<11} {what}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
