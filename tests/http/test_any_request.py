"""Whatever is sent to the routes that the description names, the answer is one that it names.

`TRACKSTREAM_TEST_API_EXAMPLES` is the number of requests to each route, 10 unless it says another.
"""

from __future__ import annotations

import asyncio
import copy
import os
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.http.service import NOW_MS, SERVER_KEY, WRITE_KEY, ListSink, Registered
from tests.waiting import PATIENCE_S
from trackstream.core.records import Credit
from trackstream.core.signing import signed_headers
from trackstream.http.authentication import WRITE_KEY_HEADER
from trackstream.http.collector import create_collector
from trackstream.http.openapi import described
from trackstream.settings import Settings
from trackstream.storage.cache import RedisTouchCache
from trackstream.storage.errors import NotFoundError
from trackstream.storage.explain import Explanation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackstream.storage.user_agents import UaParser

EXAMPLES = int(os.environ.get("TRACKSTREAM_TEST_API_EXAMPLES", "10"))
CHECKS: list[Any] = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(described("1.0"))
OPERATIONS = [one.ok() for one in SCHEMA.get_all_operations() if isinstance(one, Ok)]
KNOWN = {
    "slug": "sale",
    "cid": "cmp001",
    "write_key": WRITE_KEY.key_id,
    "id": "1",
    "subject": "trackstream.Event",
    "version": "latest",
}
"""Parameters that nobody guesses."""
MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


class Signed(requests.auth.AuthBase):
    """Signs what is really sent."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        if not isinstance(body, str | bytes):
            raise TypeError("a stream cannot be signed")
        parts = urlsplit(request.url or "")
        request.headers.update(
            signed_headers(
                *(SERVER_KEY.key_id, SERVER_KEY.secret or ""),
                method=request.method or "",
                path=f"{parts.path}?{parts.query}" if parts.query else parts.path,
                body=body.encode() if isinstance(body, str) else body,
                now_s=NOW_MS // 1000,
                nonce=os.urandom(8).hex(),
            )
        )
        return request


class Served:
    """A collector on a loop of its own, so that a client that blocks can ask it."""

    def __init__(self, user_agents: UaParser) -> None:
        self.sink = ListSink()
        application = create_collector(
            settings=Settings(),
            directory=Registered(),
            sink=self.sink,
            cache=RedisTouchCache(None),
            user_agents=user_agents,
            clock_ms=lambda: NOW_MS,
            explain=_explain,
        )
        self._server = TestServer(application)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.session = requests.Session()

    def start(self) -> str:
        self._thread.start()
        self._run(self._server.start_server(auto_decompress=False))
        return str(self._server.make_url("/")).rstrip("/")

    def stop(self) -> None:
        self.session.close()
        self._run(self._server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)


def _explain(name: str, *, app_id: str) -> list[Explanation]:
    if len(name) % 2:
        raise NotFoundError(f"there is no {name}")
    credit = Credit(model="last", touch_id="t", campaign_id=None, share_millionths=1)
    return [
        Explanation(
            app_id=app_id,
            conversion_id=name,
            kind="install",
            event="install",
            event_id="e",
            person="p",
            subject="user:u",
            at_ms=NOW_MS,
            country=None,
            revenue=None,
            currency=None,
            revisions=[],
            credits=[credit],
        )
    ]


@pytest.fixture(scope="module")
def served(user_agents: UaParser) -> Iterator[tuple[Served, str]]:
    served = Served(user_agents)
    url = served.start()
    yield served, url
    served.stop()


@pytest.mark.xdist_group("any_request")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_the_answer_is_one_that_is_described(operation: Any, served: tuple[Served, str]) -> None:
    there, url = served
    modes = MODES if operation.body or operation.query else MODES[:1]
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=cases,
        who=st.sampled_from(["write key", "write key", "signed", "nobody"]),
        up=st.sampled_from([True, True, True, False]),
        known=st.booleans(),
    )
    def check(case: Any, who: str, *, up: bool, known: bool) -> None:
        there.sink.down = not up
        for parameters in (case.path_parameters, case.query) if known else ():
            for name in set(parameters or ()) & KNOWN.keys():
                parameters[name] = KNOWN[name]
        headers = {WRITE_KEY_HEADER: WRITE_KEY.key_id} if who == "write key" else {}
        auth = Signed() if who == "signed" else None
        response = case.call(
            base_url=url,
            session=there.session,
            headers=headers,
            auth=auth,
            allow_redirects=False,
            timeout=PATIENCE_S,
        )
        assert response.status_code < 500 or response.status_code == 503
        case.validate_response(response, checks=CHECKS)

    check()


@pytest.mark.xdist_group("any_request")
@pytest.mark.parametrize("status", ["422", "409"])
def test_an_answer_that_is_not_described_is_seen(status: str, served: tuple[Served, str]) -> None:
    there, url = served
    there.sink.down = False
    document = copy.deepcopy(described("1.0"))
    del document["paths"]["/v1/event"]["post"]["responses"][status]
    operation = schemathesis.openapi.from_dict(document)["/v1/event"]["POST"]
    case = operation.Case(body={}, media_type="application/json")
    headers = {WRITE_KEY_HEADER: WRITE_KEY.key_id}
    response = case.call(base_url=url, session=there.session, headers=headers)
    assert response.status_code == 422
    seen = pytest.raises(FailureGroup, match="Undocumented status code")
    with seen if status == "422" else nullcontext():
        case.validate_response(response, checks=CHECKS)
