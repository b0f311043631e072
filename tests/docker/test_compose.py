"""The image and the compose file agree with the project and with each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from trackstream.settings import documented

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker" / "compose.yaml"
ALWAYS = {"migrate", "collect", "worker", "warehouse", "postbacks"}
OURS = ALWAYS | {"archive"}
THEIRS = {"kafka", "postgres", "valkey"}
SECRETS = {"POSTGRES_PASSWORD": "secret", "MASTER_KEY": "00" * 32}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "docker" / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def test_it_has_every_part(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == OURS | THEIRS


def test_what_is_kept_twice_is_asked_for(compose: dict[str, Any]) -> None:
    asked_for = {name for name, service in compose["services"].items() if "profiles" in service}
    assert asked_for == OURS - ALWAYS
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    assert re.search(r"^ARG EXTRAS=.*\barchive\b", dockerfile, flags=re.MULTILINE)


def test_every_variable_is_a_setting(compose: dict[str, Any]) -> None:
    known = {variable for variable, _, _ in documented()}
    for name in OURS:
        named = set(compose["services"][name]["environment"])
        assert named <= known, f"{name}: {sorted(named - known)}"
        assert {"TRACKSTREAM_KAFKA_URL", "TRACKSTREAM_POSTGRES_URL"} <= named
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    assert set(re.findall(r"TRACKSTREAM_\w+(?==)", dockerfile)) <= known


def test_servers_that_last_come_back_and_say_how_they_are(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped"), name
        if name not in {"migrate", "warehouse", "postbacks", "archive"}:  # these serve nobody
            assert service["healthcheck"]["test"], name


def test_data_is_in_volumes_that_are_declared(compose: dict[str, Any]) -> None:
    mounted = {
        volume.split(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
    }
    assert mounted == set(compose["volumes"])
    assert all(compose["services"][name]["volumes"] for name in THEIRS)


def test_only_the_collector_is_published(compose: dict[str, Any]) -> None:
    published = {name for name, service in compose["services"].items() if "ports" in service}
    assert published == {"collect"}
    assert compose["networks"]["backend"] == {"internal": True}


def test_whatever_is_waited_for_exists_and_can_be(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for other, how in service.get("depends_on", {}).items():
            awaited = compose["services"][other]
            if how["condition"] == "service_healthy":
                assert "healthcheck" in awaited, (name, other)
            else:
                assert awaited["restart"] == "no", (name, other)


def test_every_variable_of_the_compose_file_is_in_its_readme() -> None:
    readme = (ROOT / "docker" / "README.md").read_text()
    for variable in set(re.findall(r"\$\{(\w+)", COMPOSE.read_text())):
        assert f"| `{variable}` |" in readme


def test_the_image_does_not_run_as_root(instructions: list[tuple[str, str]]) -> None:
    last = dict(instructions)
    assert last["USER"] == "10001:10001"
    assert last["ENTRYPOINT"] == '["trackstream"]'
    assert last["FROM"] == "python:3.12-slim"


def test_the_image_copies_what_exists_and_is_not_ignored(
    instructions: list[tuple[str, str]],
) -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in rules
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        source
        for word, rest in instructions
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert copied == allowed
    for source in copied:
        assert (ROOT / source).exists(), source


def test_compose_itself_accepts_the_file() -> None:
    docker = shutil.which("docker")
    command = [docker or "docker", "compose", "-f", str(COMPOSE), "config", "--services"]
    found = docker and subprocess.run(
        [docker, "compose", "version"], capture_output=True, check=False
    )
    if not found or found.returncode:
        pytest.skip("docker compose is not installed")
    done = subprocess.run(
        command, env={**os.environ, **SECRETS}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == ALWAYS | THEIRS
