"""A shortcut leads where the router leads, or nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import make_mocked_request

from trackstream.http.shortcuts import SHORTCUTS

if TYPE_CHECKING:
    from tests.http.service import Service

PATHS = [
    "/v1/click",
    "/v1/click?cid=c",
    "/c/sale",
    "/c/sale?x=1/2",
    "/v1/event",
    "/v1/batch",
    "/v1/install",
    "/v1/track",
    "/c/",
    "/c",
    "/c/a/b",
    "/c/a%62",
    "/c/..",
    "/c/{slug}",
    "/c/s{",
    "/v1/click/",
    "//c/sale",
    "/v1//click",
    "/v1/click#x",
    "/V1/click",
    "/metrics",
    "/v1/projects/k/settings",
    "/v1/attributions/i/explain",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", PATHS)
async def test_both_find_the_same_handler(service: Service, method: str, path: str) -> None:
    application = service.application
    request = make_mocked_request(method, path, app=application)
    found = application[SHORTCUTS].find(request)
    routed = await application.router.resolve(request)
    assert found in {None, routed.handler}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/click?cid=c"), ("GET", "/c/sale?utm_source=a"), ("POST", "/v1/event")],
)
def test_what_is_asked_most_has_one(service: Service, method: str, path: str) -> None:
    request = make_mocked_request(method, path, app=service.application)
    assert service.application[SHORTCUTS].find(request) is not None
