"""Pushing schemas, to a registry that has the rules of Confluent's for modes and ids."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

import schemas
from trackstream.cli import main

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Registry:
    """Subjects with schemas under ids; an id can only be given while a subject is imported."""

    def __init__(self) -> None:
        self.by_subject: dict[str, dict[str, int]] = {}
        self.importing: set[str] = set()
        self.authorizations: set[str] = set()
        self.application = web.Application()
        self.application.add_routes(
            [
                web.post("/subjects/{subject}", self._look_up),
                web.post("/subjects/{subject}/versions", self._register),
                web.put("/mode/{subject}", self._set_mode),
            ]
        )

    async def _look_up(self, request: web.Request) -> web.Response:
        self.authorizations.add(request.headers.get("Authorization", ""))
        there = self.by_subject.get(request.match_info["subject"], {})
        schema = (await request.json())["schema"]
        if schema not in there:
            return _error(404, 40403, "Schema not found")
        return web.json_response({"id": there[schema]})

    async def _register(self, request: web.Request) -> web.Response:
        subject, body = request.match_info["subject"], await request.json()
        if "id" in body and subject not in self.importing:
            return _error(422, 42205, f"Subject {subject} is not in import mode")
        taken = {key: one for own in self.by_subject.values() for one, key in own.items()}
        if taken.get(body["id"], body["schema"]) != body["schema"]:
            return _error(422, 42207, f"Overwrite new schema with id {body['id']} is not permitted")
        self.by_subject.setdefault(subject, {})[body["schema"]] = body["id"]
        return web.json_response({"id": body["id"]})

    async def _set_mode(self, request: web.Request) -> web.Response:
        subject, mode = request.match_info["subject"], (await request.json())["mode"]
        if mode == "IMPORT":
            if self.by_subject.get(subject):
                return _error(422, 42205, "Cannot import since found existing subjects")
            self.importing.add(subject)
        else:
            self.importing.discard(subject)
        return web.json_response({"mode": mode})


def _error(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"error_code": code, "message": message}, status=status)


@pytest.fixture
async def registry() -> AsyncIterator[tuple[Registry, str]]:
    registry = Registry()
    async with TestServer(registry.application) as server:
        yield registry, str(server.make_url("")).rstrip("/")


async def push(url: str) -> tuple[int, list[dict[str, Any]], str]:
    import asyncio

    arguments = ["schemas", "push", url, "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    return result.exit_code, json.loads(result.stdout or "[]"), result.stderr


async def test_schemas_are_registered_once_under_their_own_ids(
    registry: tuple[Registry, str],
) -> None:
    there, url = registry
    manifest = schemas.load()
    code, rows, err = await push(url)
    assert (code, err) == (0, "")
    assert [row["result"] for row in rows] == ["registered"] * len(manifest.schemas)
    assert there.by_subject == {
        one.subject: {json.dumps(one.schema): one.id} for one in manifest.schemas
    }
    assert not there.importing
    code, rows, _ = await push(url)
    assert code == 0
    assert {row["result"] for row in rows} == {"there"}


async def test_another_id_is_refused(registry: tuple[Registry, str]) -> None:
    there, url = registry
    one = schemas.load().latest("Attribution")
    there.by_subject[one.subject] = {json.dumps(one.schema): 77}
    code, rows, err = await push(url)
    assert (code, rows) == (1, [])
    assert f"under the id 77, but messages are written with {one.id}" in err


async def test_an_id_that_is_taken_is_said_and_the_mode_is_put_back(
    registry: tuple[Registry, str],
) -> None:
    there, url = registry
    first = schemas.load().schemas[0]
    there.by_subject["somebody.else"] = {'"string"': first.id}
    code, _, err = await push(url)
    assert code == 1
    assert f"the registry refuses {first.subject} with the id {first.id}: 422 Overwrite" in err
    assert not there.importing


async def test_user_and_password_are_sent_as_such(registry: tuple[Registry, str]) -> None:
    there, url = registry
    code, _, err = await push(url.replace("http://", "http://me:secret@"))
    assert code == 0, err
    assert there.authorizations == {f"Basic {b64encode(b'me:secret').decode()}"}
