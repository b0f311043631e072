"""What a tracking link may lead to, and what the parts of a registration may look like."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from trackstream.core.identifiers import is_app_id
from trackstream.storage.errors import InvalidValueError

__all__ = [
    "check_app_id",
    "check_app_url",
    "check_name",
    "check_origin",
    "check_slug",
    "check_web_url",
]

_SLUG = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\\<>\"`]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST = 2048
_LONGEST_NAME = 256

_NEVER = frozenset(
    {"javascript", "data", "vbscript", "file", "blob", "about", "view-source", "filesystem"}
)
"""Schemes by which a link would act in the visitor's browser instead of leading somewhere."""


def check_app_id(app_id: str) -> str:
    """An app's id: it is part of topics' keys, so it has no separators.

    Raises:
        InvalidValueError: It has other characters, or more than 64.
    """
    if not is_app_id(app_id):
        raise InvalidValueError(
            f"app id {app_id!r}: takes 1 to 64 letters, digits, dots, dashes and underscores"
        )
    return app_id


def check_slug(slug: str) -> str:
    """The part of a link's address after `/c/`.

    Raises:
        InvalidValueError: It has other characters, or more than 64.
    """
    if not _SLUG.fullmatch(slug):
        raise InvalidValueError(
            f"slug {slug!r}: takes 1 to 64 letters, digits, dashes and underscores"
        )
    return slug


def check_name(name: str, text: str) -> str:
    """What names something for people or for reports: a campaign id, a channel, a network.

    It is part of rows that are indexed, whose keys PostgreSQL bounds to a third of a page, and is
    printed in lines.

    Raises:
        InvalidValueError: It is empty, long, or has control characters; `name` says which value.
    """
    if not text or len(text) > _LONGEST_NAME or _CONTROLS.search(text):
        raise InvalidValueError(
            f"{name} {text[:80]!r}: takes 1 to {_LONGEST_NAME} characters, without line breaks and "
            "other control characters"
        )
    return text


def check_web_url(name: str, url: str) -> str:
    """An http or https URL with a host.

    Raises:
        InvalidValueError: It is something else; `name` says which value.
    """
    return _checked(name, url, web_only=True)


def check_app_url(name: str, url: str) -> str:
    """A web URL, a store's (`market:`, `itms-apps:`) or an app's own scheme (`shop://cart/1`).

    Raises:
        InvalidValueError: It is something else; `name` says which value.
    """
    return _checked(name, url, web_only=False)


def check_origin(origin: str) -> str:
    """An origin as browsers send it: `https://shop.example[:port]`, in lower case.

    Raises:
        InvalidValueError: It has a path, or is no web origin.
    """
    lowered = origin.lower().rstrip("/")
    check_web_url("origin", lowered)
    parts = urlsplit(lowered)
    if lowered != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
        raise InvalidValueError(f"origin {origin!r}: takes scheme, host and port alone")
    return lowered


def _checked(name: str, url: str, *, web_only: bool) -> str:
    if len(url) > _LONGEST or _UNSAFE.search(url):
        raise InvalidValueError(
            f"{name} {url[:80]!r}: takes up to {_LONGEST} characters, without spaces, control "
            "characters or other signs that a URL writes in percent"
        )
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port  # parsed when it is asked for
    except ValueError as error:
        raise InvalidValueError(f"{name} {url!r}: {error}") from error
    web = parts.scheme in {"http", "https"}
    if web and not host:
        raise InvalidValueError(f"{name} {url!r}: has no host")
    if not web and (web_only or parts.scheme in _NEVER or not _SCHEME.fullmatch(parts.scheme)):
        takes = "http:// or https://" if web_only else "a web, store or app address"
        raise InvalidValueError(f"{name} {url!r}: takes {takes}")
    if not web and len(url) <= len(parts.scheme) + 1:
        raise InvalidValueError(f"{name} {url!r}: leads nowhere")
    return url
