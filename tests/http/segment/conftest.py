"""What the libraries need: a collector on a real broker, and themselves, installed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import pytest

from tests.conftest import fresh_database
from tests.http.segment.collected import Collected
from tests.http.served import client_of, running, until_ready
from tests.ports import free_port
from trackstream.settings import Settings
from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import Iterator

NODE = Path(__file__).parent / "node"
BUILD = Path(__file__).parents[3] / "build"
AWAY = (
    *("EAI_AGAIN", "ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "EHOSTUNREACH"),
    *("ETIMEDOUT", "ERR_SOCKET_TIMEOUT", "code E403", "code E50"),
)
"""What npm says where there is no network, or where a proxy or the registry does not answer."""
APPS = tuple(f"app-{number}" for number in range(12))


@pytest.fixture(scope="session")
def collected(
    kafka_url: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collected]:
    """A running collector, with an app and a write key for each test."""
    with fresh_database(postgres_url) as database_url:
        settings = Settings(
            data_dir=tmp_path_factory.mktemp("collector"),
            kafka_url=kafka_url,
            postgres_url=database_url,
            topic_prefix=f"seg{os.urandom(6).hex()}.",
            topic_partitions=2,
            master_key="ab" * 32,
            collector_port=free_port(),
        )
        migrate(settings.postgres_url)
        engine = make_engine(settings.postgres_url)
        registry = Registry(engine, MasterKey.load(settings))
        keys = {app_id: _write_key(registry, app_id) for app_id in APPS}
        engine.dispose()
        with running(settings):
            asyncio.run(_ready(settings))
            yield Collected(settings, keys)


def _write_key(registry: Registry, app_id: str) -> str:
    registry.create_app(app_id)
    return registry.create_key(app_id, "write").key_id


async def _ready(settings: Settings) -> None:
    async with client_of(settings) as session:
        await until_ready(session)


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """A folder in which the libraries for Node are installed as the lock file says.

    It is made once for each lock file and kept under `build/`.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Segment's libraries for JavaScript need node and npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"Segment's libraries for JavaScript need node 20, this is {version.strip()}")
    names = ("package.json", "package-lock.json")
    digest = hashlib.sha256(b"".join((NODE / name).read_bytes() for name in names)).hexdigest()
    folder = BUILD / f"segment-node-{digest[:16]}"
    if folder.exists():
        return folder
    BUILD.mkdir(exist_ok=True)
    making = Path(mkdtemp(prefix="segment-node-", dir=BUILD))
    for name in names:
        shutil.copy(NODE / name, making)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    command += ["--fetch-retries=5", "--fetch-retry-maxtimeout=20000"]
    done = subprocess.run(
        command, cwd=making, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        shutil.rmtree(making)
        away = next((one for one in AWAY if one in done.stderr), None)
        if away:
            pytest.skip(f"the registry of Segment's libraries for JavaScript is away: {away}")
        raise AssertionError(done.stderr)
    try:
        making.rename(folder)
    except OSError:  # another test process was first
        shutil.rmtree(making)
    return folder
