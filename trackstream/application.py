"""The composition root of the worker: settings in, a Faust app with everything attached out."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import socket
from typing import TYPE_CHECKING, NoReturn

import msgspec
import uvloop
from yarl import URL

import agents
import tables
from agents.metrics import Metrics
from agents.steps import Context
from agents.stream import BatchStream
from trackstream.analysis import own_models
from trackstream.core import rules
from trackstream.core.credits import MODELS
from trackstream.http.worker.serving import listen
from trackstream.ports import Deps
from trackstream.settings import Settings, SettingsError
from trackstream.storage.database import make_engine
from trackstream.storage.funnels_book import CachedFunnels, NoFunnels
from trackstream.storage.geo import MaxMindGeo, default_city_database
from trackstream.storage.rules_book import CachedRules, DefaultRules
from trackstream.storage.topics import bootstrap_servers, largest_message_bytes
from trackstream.storage.user_agents import UaParser
from trackstream.worker_app import Application

if TYPE_CHECKING:
    from pathlib import Path

    from trackstream.core.models import Weigh

__all__ = ["Application", "create_app", "rules_of", "run_worker", "use_uvloop"]

_log = logging.getLogger(__name__)

_COMMIT_INTERVAL_S = 1.0
_REQUEST_TIMEOUT_S = 40.0
_HEARTBEAT_AT_MOST_S = 3.0
"""A member hears by its heartbeats that another comes or goes, and nobody works until all have."""
_MAX_BATCH_BYTES = 512 * 1024


def rules_of(settings: Settings) -> rules.Rules:
    """The default rules, with what the settings change; named after it, for decisions name them."""
    changed = {
        "session_gap_ms": settings.session_gap_s * 1000,
        "answer_deadline_ms": settings.answer_deadline_s * 1000,
    }
    if all(getattr(rules.DEFAULT, name) == value for name, value in changed.items()):
        return rules.DEFAULT
    version = (
        f"{rules.DEFAULT.version}+gap{settings.session_gap_s}+wait{settings.answer_deadline_s}"
    )
    return msgspec.structs.replace(rules.DEFAULT, version=version, **changed)


def create_app(
    settings: Settings,
    *,
    rules_book: CachedRules | DefaultRules | None = None,
    funnels_book: CachedFunnels | NoFunnels | None = None,
) -> Application:
    """Everything wired together; nothing is connected or started.

    Args:
        settings: What is wired, and where it listens.
        rules_book: The rules of apps, instead of those that PostgreSQL has.
        funnels_book: Likewise their funnels.

    Raises:
        SettingsError: A setting that the worker needs is missing.
        LookupDatabaseError: A database of places or networks cannot be used.
    """
    given = rules_book is not None and funnels_book is not None
    problems = _problems(settings, books_given=given)
    if problems:
        raise SettingsError(problems)
    session_s = float(settings.worker_session_timeout_s)
    app = Application(
        f"{settings.topic_prefix}worker",
        broker=[f"kafka://{host}" for host in bootstrap_servers(settings.kafka_url)],
        broker_client_id="trackstream-worker",
        autodiscover=False,
        datadir=str(settings.data_dir / "worker"),
        loghandlers=[],
        Stream=BatchStream,
        # reading
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=largest_message_bytes(settings),
        broker_commit_interval=_COMMIT_INTERVAL_S,
        broker_session_timeout=session_s,
        broker_heartbeat_interval=min(session_s / 5, _HEARTBEAT_AT_MOST_S),
        broker_request_timeout=max(_REQUEST_TIMEOUT_S, session_s + 10),
        # a rebalance waits for the batch in hand, or its writes would land after the new owner's
        stream_wait_empty=True,
        # writing
        producer_acks=-1,
        producer_max_batch_size=_MAX_BATCH_BYTES,
        producer_max_request_size=2 * largest_message_bytes(settings),
        # less than a session: what is written after another has taken over would undo its work
        producer_request_timeout=session_s * 0.8,
        # topics
        topic_partitions=settings.topic_partitions,
        topic_replication_factor=settings.topic_replication_factor,
        topic_allow_declare=False,  # all are made before: see storage/topics.py
        topic_disable_leader=True,
        reply_create_topic=False,
        table_standby_replicas=0,
        # web
        web_bind=settings.worker_host,
        web_host=_reachable(settings.worker_host),
        web_port=settings.worker_port or _free_port(settings.worker_host),
        web_tables_enabled=False,
        web_router_enabled=False,
        web_stats_enabled=False,
        worker_redirect_stdouts=False,
    )
    app.settings = settings
    app.metrics = Metrics()
    base = rules_of(settings)
    app.rules_book = rules_book or CachedRules(make_engine(settings.postgres_url), base=base)
    app.funnels_book = funnels_book or CachedFunnels(make_engine(settings.postgres_url))
    app.state_tables = tables.define(
        app,
        rules=base,
        block_cache_mib=settings.rocksdb_block_cache_mib,
        memory_days=settings.state_memory_days,
    )
    agents.attach(
        Context(
            app=app,
            tables=app.state_tables,
            deps=Deps(
                geo=MaxMindGeo(
                    settings.geo_city_database or default_city_database(),
                    settings.geo_asn_database,
                ),
                user_agents=UaParser(),
                version=importlib.metadata.version("trackstream"),
            ),
            rules=app.rules_book,
            funnels=app.funnels_book,
            models=_models(),
            topic_prefix=settings.topic_prefix,
            metrics=app.metrics,
            largest_bytes=largest_message_bytes(settings),
        ),
        tick_interval_s=float(settings.tick_interval_s),
    )
    return app


def _problems(settings: Settings, *, books_given: bool) -> list[str]:
    """Why no worker can be made of these settings, one a line."""
    problems = []
    if not settings.kafka_url:
        problems.append("TRACKSTREAM_KAFKA_URL is not set: kafka://host:port")
    if not settings.postgres_url and not books_given:
        # With the default rules it would decide otherwise than its fellow workers, for good.
        problems.append(
            "TRACKSTREAM_POSTGRES_URL is not set: postgresql://user:password@host/database, "
            "which has the apps' rules and funnels"
        )
    if settings.worker_collects and settings.tls_certificate:
        problems.append("TRACKSTREAM_WORKER_COLLECTS: has no TLS (TRACKSTREAM_TLS_CERTIFICATE)")
    return problems


def _models() -> dict[str, Weigh]:
    own = own_models.load()
    for problem in own.problems:
        _log.warning("%s", problem)
    return {**MODELS, **own.models}


def use_uvloop() -> None:
    """Have every event loop made from now on be uvloop's: receiving costs a third less."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def run_worker(
    settings: Settings, *, web_port: int | None = None, data_dir: Path | None = None
) -> NoReturn:
    """Run the worker in this process until SIGINT or SIGTERM, then exit 0; 1 after a crash.

    Args:
        settings: As for `create_app`.
        web_port: Instead of the settings' worker_port; so that two workers fit on a machine.
        data_dir: Where its tables are kept, instead of `data_dir/worker`; one worker each.

    Raises:
        SettingsError: As for `create_app`, or it cannot listen where the settings say.
    """
    use_uvloop()
    app = create_app(settings)
    if web_port is not None:
        app.conf.web_port = web_port
        app.conf.canonical_url = URL.build(scheme="http", host=app.conf.web_host, port=web_port)
    if data_dir is not None:
        app.conf.datadir = data_dir
    # Faust would tell of a port that is taken by a traceback, after it has read from Kafka.
    listen(app.conf.web_bind, app.conf.web_port).close()
    level = settings.log_level.upper()
    app.Worker(loglevel=level, loop=asyncio.new_event_loop()).execute_from_commandline()


def _reachable(host: str) -> str:
    """The name under which other workers reach this one: an address to bind to may be no name."""
    return socket.gethostname() if host in {"", "0.0.0.0", "::"} else host


def _free_port(host: str) -> int:
    """Any free port: workers tell each other theirs before they listen, so it is chosen now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
