"""The description says what the collector does."""

import itertools
from html.parser import HTMLParser
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.http.service import Service
from trackstream.core import contexts, validation
from trackstream.core.reasons import Reason
from trackstream.http.openapi import ROUTES, described
from trackstream.http.openapi.events import EXAMPLE

DOCUMENT = described("1.0")
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]


def test_it_is_valid_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    names = [one.name for one in ROUTES]
    assert len(names) == len(set(names))


def test_every_route_is_described_and_no_other(service: Service) -> None:
    routes = {
        (one.method.lower(), one.resource.canonical)
        for one in service.application.router.routes()
        if one.resource is not None and one.method != "HEAD"
    }
    assert {(one.method, one.path) for one in ROUTES} == routes


def test_every_field_that_the_validation_knows_is_described() -> None:
    event = SCHEMAS["Event"]["properties"]
    assert event.keys() == validation._KNOWN
    assert event["campaign"]["properties"].keys() == validation._KNOWN_CAMPAIGN
    assert event["referral"]["properties"].keys() == validation._KNOWN_REFERRAL
    context = event["context"]["properties"]
    assert context.keys() == contexts._KNOWN
    for name, known in contexts._KNOWN_WITHIN.items():
        assert context[name]["properties"].keys() == known
    assert event["event"]["maxLength"] == validation.MAX_NAME_CHARS
    assert context["page"]["properties"]["url"]["maxLength"] == contexts.MAX_URL_CHARS
    assert SCHEMAS["Event"]["required"] == ["event", "timestamp"]
    assert SCHEMAS["Install"]["required"] == ["timestamp"]
    assert SCHEMAS["Reason"]["enum"] == sorted(Reason)


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"event": "x" * 201}, False),
        ({"event": None}, False),
        ({"user_id": 7}, False),
        ({"timestamp": True}, False),
        ({"properties": []}, False),
        ({"context": {"screen": {"width": 100_001}}}, False),
        ({"context": {"sdk": "js"}}, True),
        ({"context": {"sdk": {"name": "js", "more": 1}}}, True),
        ({"context": {"sdk": 1}}, False),
        ({"context": {"consent": {"ads": "yes"}}}, False),
        ({"more": {"of": "it"}}, True),
    ],
)
def test_the_schema_of_an_event_refuses_what_is_refused(
    change: dict[str, Any], *, valid: bool
) -> None:
    schema = {**DOCUMENT, "$ref": "#/components/schemas/Event"}
    assert jsonschema_rs.is_valid(schema, {**EXAMPLE, **change}) is valid


async def test_the_examples_are_taken(service: Service) -> None:
    for path, schema, status in (
        ("/v1/event", "Event", 201),
        ("/v1/install", "Install", 201),
        ("/v1/track", "SegmentTrack", 200),
    ):
        (example,) = SCHEMAS[schema]["examples"]
        assert (await service.post(path, example)).status == status


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: set[str] = set()
        self.tags: set[str] = set()
        self.headings: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        if given.get("id"):
            self.ids.add(given["id"] or "")
        if "href" in given:
            self.targets.add(given["href"] or "")
        assert "src" not in given
        if tag in {"h1", "h2", "h3"}:
            self.headings.append(int(tag[1]))


async def test_the_page_stands_alone_and_can_be_jumped_through(service: Service) -> None:
    response = await service.client.get("/docs")
    text = await response.text()
    page = _Page()
    page.feed(text)
    assert "script" not in page.tags
    assert {"main", "nav", "header", "title"} <= page.tags
    assert page.targets - {"openapi.json"} <= {f"#{one}" for one in page.ids}
    assert page.headings[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(page.headings))
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    for route in ROUTES:
        assert f"{route.path}</code>" in text
    served = await (await service.client.get("/openapi.json")).json()
    assert served["paths"].keys() == DOCUMENT["paths"].keys()
