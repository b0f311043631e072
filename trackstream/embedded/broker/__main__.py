"""`python -m trackstream.embedded.broker`: run the broker until SIGINT or SIGTERM.

When it is ready it prints one line on standard output,
`{"ready": true, "host": "127.0.0.1", "port": 9092}`; it logs to standard error. It exits with 0
after a signal, with 1 (and one line on standard error) if it cannot start.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trackstream.embedded.broker.errors import BrokerStartError
from trackstream.embedded.broker.server import serve
from trackstream.embedded.broker.settings import BrokerSettings
from trackstream.embedded.broker.topic_config import ConfigError, parse_topic_config

if TYPE_CHECKING:
    from collections.abc import Sequence


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trackstream.embedded.broker",
        description="A small durable Kafka-protocol broker for one machine.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    defaults = BrokerSettings(Path())
    add = parser.add_argument
    add("--data-dir", type=Path, required=True, help="where everything is kept")
    add("--host", default=defaults.host, help="address to listen on")
    add("--port", type=int, default=defaults.port, help="port to listen on; 0: any free one")
    add("--advertised-host", help="address that clients are told, if it is another one")
    add(
        "--default-partitions",
        type=_positive,
        default=defaults.default_partitions,
        help="partitions of topics that are created without a number",
    )
    add(
        "--auto-create-topics",
        action=argparse.BooleanOptionalAction,
        default=defaults.auto_create_topics,
        help="whether topics come into being when clients name them",
    )
    add(
        "--topic-default",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a Kafka topic setting for topics that do not have their own; may be repeated",
    )
    add(
        "--fsync-interval-ms",
        type=_not_negative,
        default=defaults.fsync_interval_ms,
        help="how long a power cut may look back; 0: not at all, each acknowledgement waits",
    )
    add(
        "--maintenance-interval-ms",
        type=_positive,
        default=defaults.maintenance_interval_ms,
        help="how often retention and compaction are looked at",
    )
    add(
        "--max-request-bytes",
        type=_positive,
        default=defaults.max_request_bytes,
        help="requests beyond this size close their connection",
    )
    add(
        "--group-initial-rebalance-delay-ms",
        type=_not_negative,
        default=defaults.group_initial_rebalance_delay_ms,
        help="how long an empty group waits for more than its first member",
    )
    add(
        "--group-min-session-timeout-ms",
        type=_positive,
        default=defaults.group_min_session_timeout_ms,
        help="shortest session timeout that members may ask for",
    )
    add(
        "--producer-id-expiration-ms",
        type=_positive,
        default=defaults.producer_id_expiration_ms,
        help="how long an idle producer's sequence numbers are remembered",
    )
    add("--log-level", default="info", choices=["debug", "info", "warning", "error"], help="least")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _not_negative(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def _settings(arguments: argparse.Namespace) -> BrokerSettings:
    topic_defaults = {}
    for item in arguments.topic_default:
        name, _, value = item.partition("=")
        topic_defaults[name] = value
    parse_topic_config(topic_defaults)
    names = vars(arguments)
    return BrokerSettings(
        topic_defaults=topic_defaults,
        **{
            name: names[name]
            for name in BrokerSettings.__dataclass_fields__
            if name in names and name != "topic_defaults"
        },
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the broker; return the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    logging.basicConfig(
        level=arguments.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        settings = _settings(arguments)
    except ConfigError as error:
        parser.error(str(error))

    def ready(port: int) -> None:
        print(json.dumps({"ready": True, "host": settings.host, "port": port}), flush=True)  # noqa: T201 - the contract with whoever started us

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve(settings, ready))
    except BrokerStartError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - for a person at a terminal
        return 1
    return 0


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


if __name__ == "__main__":
    sys.exit(main())
