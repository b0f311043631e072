"""Registering schemas under their own ids with a Confluent Schema Registry or one like it.

A registry gives ids itself, unless a subject is in IMPORT mode; it can only be put there while it
has no other schemas. Source: Confluent Schema Registry, API reference, "Mode".
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import schemas
from trackstream.cli.base import Problem

if TYPE_CHECKING:
    from schemas import Published

__all__ = ["pushed"]

_TYPE = "application/vnd.schemaregistry.v1+json"
_TIMEOUT_S = 15.0


class _RefusedError(Exception):
    """The registry has answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status


def pushed(url: str) -> list[dict[str, Any]]:
    """Register all that are missing.

    Args:
        url: the registry's, perhaps with user and password.

    Returns:
        One row for each schema; `result` is `registered` or `there`.

    Raises:
        Problem: the registry does not answer, refuses, or has given the id to another schema.
    """
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise Problem(f"{url!r} is not the URL of a registry: it takes http://host:port")
    base = url.rstrip("/")
    return [_push(base, one) for one in schemas.load().schemas]


def _push(base: str, one: Published) -> dict[str, Any]:
    row = {"id": one.id, "subject": one.subject, "version": one.version}
    subject = f"{base}/subjects/{quote(one.subject, safe='')}"
    mode = f"{base}/mode/{quote(one.subject, safe='')}"
    try:
        known = _call("POST", subject, {"schema": json.dumps(one.schema)})
    except _RefusedError as error:
        if error.status != 404:
            raise Problem(f"the registry refuses {one.subject}: {error}") from error
    else:
        if known["id"] != one.id:
            raise Problem(
                f"the registry has {one.subject} under the id {known['id']}, but messages are "
                f"written with {one.id}: use a registry, or a context of it, of our own"
            )
        return {**row, "result": "there"}
    try:
        _call("PUT", mode, {"mode": "IMPORT"})
        try:
            _call(
                "POST",
                f"{subject}/versions",
                {"schema": json.dumps(one.schema), "id": one.id, "version": one.version},
            )
        finally:
            _call("PUT", mode, {"mode": "READWRITE"})
    except _RefusedError as error:
        raise Problem(
            f"the registry refuses {one.subject} with the id {one.id}: {error}"
        ) from error
    return {**row, "result": "registered"}


def _call(method: str, url: str, document: dict[str, Any]) -> dict[str, Any]:
    parts = urlsplit(url)
    headers = {"Content-Type": _TYPE, "Accept": _TYPE}
    if parts.username:
        from base64 import b64encode

        pair = f"{parts.username}:{parts.password or ''}".encode()
        headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(  # noqa: S310 # http and https only, by `pushed`
        url, data=json.dumps(document).encode(), method=method, headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 # as above
            found = json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            raise _RefusedError(error.code, _message(error.read())) from error
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise Problem(f"the registry at {parts.hostname} does not answer: {error}") from error
    return found if isinstance(found, dict) else {}


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200]
