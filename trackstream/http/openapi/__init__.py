"""The collector's description (OpenAPI 3.1), made of what it validates, refuses and routes by."""

from __future__ import annotations

from functools import cache
from typing import Any

from trackstream.http.openapi.answers import SCHEMAS, SECURITY
from trackstream.http.openapi.routes import ROUTES, paths

__all__ = ["ROUTES", "described"]

_ABOUT = """Takes events, installs, clicks and impressions, and says how conversions were decided.

Whatever is refused is answered with a problem document (RFC 9457) whose `reason` is of one closed
list; a 2xx is answered only once what came is safe. GET also answers HEAD. Bodies may be compressed
with gzip or deflate. What is no HTTP is answered 400, a head that is too large 431, and what
expects something else than 100-continue 417."""


@cache
def described(version: str) -> dict[str, Any]:
    """The whole document, to be read only.

    Args:
        version: the product's.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "TrackStream collector",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "events", "description": "Our own events."},
            {"name": "segment", "description": "Segment's HTTP API."},
            {"name": "touches", "description": "Tracking links and pixels."},
            {"name": "answers", "description": "What was decided, and why."},
            {"name": "schemas", "description": "Avro schemas at the Schema Registry's paths."},
            {"name": "operations", "description": "Health, metrics and this description."},
        ],
        "paths": paths(),
        "components": {"schemas": SCHEMAS, "securitySchemes": SECURITY},
    }
