"""Tracking links and pixels: a touch for the log, a redirect or an image for the visitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
from aiohttp import web

from trackstream.core.campaigns import marks, query_of
from trackstream.core.consent import guess_window_ms
from trackstream.core.identifiers import scoped
from trackstream.core.redirects import destination_of, location_of
from trackstream.core.touch_query import click_id_of
from trackstream.core.touches import Visit, identifiers_of, language_of, print_of, subject_among
from trackstream.http.answers import Answer
from trackstream.http.client import client_ip, cookie_of, header, is_prefetch, objects
from trackstream.http.cookies import Cookies
from trackstream.http.ids import new_cookie_id
from trackstream.http.links import link_of
from trackstream.http.problems import Refusal, Verdict, problem_response
from trackstream.http.repeats import Noted, sight_of
from trackstream.http.robots import deliver_robots, robots_message
from trackstream.http.steps import Message, Parts, deliver, not_yet, run_steps
from trackstream.http.touch_bytes import TouchBytes
from trackstream.ports import TrackingLink
from trackstream.storage.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


__all__ = ["CLICK_ID_HEADER", "touch_handler"]

CLICK_ID_HEADER = "X-Trackstream-Click-Id"
"""The click's id; only there when the click is in the log."""

PIXEL = (
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff"  # header, one pixel, two colours
    b"!\xf9\x04\x01\0\0\0\0"  # the first of them is transparent
    b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"  # the image
)
"""A transparent GIF of one pixel, 43 bytes."""

_CLICK_TIMEOUT_S = 2.0
"""How long a visitor waits for the log; then the redirect goes out and the click is lost."""
_MAX_HEADER_CHARS = 1_024


T = TypeVar("T")


class Shared(msgspec.Struct, frozen=True, eq=False):
    """What all clicks and impressions of a handler have in common."""

    patience: Patience
    """Of visitors who have clicked."""
    touch_bytes: TouchBytes
    cookies: Cookies


class Sighting(msgspec.Struct, eq=False):
    """One click or impression on its way through the steps."""

    request: web.Request
    kind: Literal["click", "impression"]
    now_ms: int
    query: dict[str, str]
    marks: dict[str, str]
    """Those of the query."""
    shared: Shared
    link: TrackingLink | None = None
    visit: Visit | None = None
    new_cookie: str | None = None
    destination: str = ""
    click_id: str = ""
    touch_id: str = ""
    sight: str | None = None
    """Under which it is noted that it came; None: it is not."""
    noted: str = ""
    unrecorded: str | None = None
    """Why there is no touch: `bot`, `prefetch`, `repeat`, or `lost`."""
    messages: list[Message] = []
    response: web.Response | None = None


def touch_handler(
    kind: Literal["click", "impression"], parts: Parts
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of `GET /v1/click` and `/c/{slug}`, or of `GET /v1/impression`."""
    shared = Shared(Patience(_patience_s(parts)), TouchBytes(), Cookies(parts.settings))

    async def handle(request: web.Request) -> web.Response:
        query = query_of(request.raw_path)
        sighting = Sighting(
            request=request,
            kind=kind,
            now_ms=parts.clock_ms(),
            query=query,
            marks=marks(query),
            shared=shared,
        )
        refusal = await run_steps(STEPS, sighting, parts)
        if refusal is not None:
            parts.metrics.refusals.add((refusal.reason,))
            return problem_response(refusal)
        if sighting.response is None:
            raise RuntimeError("the last step answers")
        return sighting.response

    return handle


def _parse(sighting: Sighting, parts: Parts) -> Refusal | None:
    link = link_of(
        sighting.request.raw_path, sighting.query, parts.directory, now_ms=sighting.now_ms
    )
    if isinstance(link, Refusal):
        return not_yet(link, parts)
    sighting.link = link
    return None


def _validate(sighting: Sighting, parts: Parts) -> Verdict:
    """Who came, where to, and whether it counts."""
    request, link = sighting.request, _known(sighting.link)
    user_agent = header(request, "User-Agent", _MAX_HEADER_CHARS)
    agent = parts.user_agents.parse(user_agent)
    sighting.unrecorded = "bot" if agent.bot else "prefetch" if is_prefetch(request) else None
    objecting = objects(request)
    may_track = not objecting and sighting.shared.cookies.allowed(sighting.query)
    cookie_id = cookie_of(request) if may_track else None
    sets_cookie = may_track and sighting.kind == "click" and sighting.shared.cookies.kept
    if sets_cookie and sighting.unrecorded is None:
        cookie_id = sighting.new_cookie = cookie_id or new_cookie_id()
    ip = client_ip(request)
    sighting.visit = Visit(
        at_ms=sighting.now_ms,
        ip=ip,
        user_agent=user_agent,
        agent=agent,
        language=language_of(header(request, "Accept-Language", 64)),
        cookie_id=cookie_id,
        country=parts.geo.place(ip).country if parts.geo else None,
        objects=objecting,
    )
    sighting.destination = destination_of(
        agent.os_name, web_url=link.web_url, android_url=link.android_url, ios_url=link.ios_url
    )
    sighting.click_id = click_id_of(sighting.query) or parts.new_id()
    sighting.touch_id = parts.new_id()
    may_repeat = sighting.kind == "click" and parts.settings.click_repeat_ms > 0
    if may_repeat and sighting.unrecorded is None:
        return _refer_to_earlier(sighting, parts)
    return None


async def _refer_to_earlier(sighting: Sighting, parts: Parts) -> Refusal | None:
    """If it repeats another click, lead to the page of that, with the cookie made for that.

    A cookie that the other came with is its browser's alone: many share a network and a model.
    """
    visit, request = _known(sighting.visit), sighting.request
    own_cookie = cookie_of(request)
    sighting.sight = sight_of(visit.ip, request.raw_path, visit.user_agent)
    made_cookie = visit.cookie_id if own_cookie is None else None
    sighting.noted = Noted(sighting.touch_id, made_cookie, sighting.click_id).text()
    earlier = await parts.cache.earlier_click(
        sighting.sight, sighting.noted, parts.settings.click_repeat_ms
    )
    if earlier is None:
        return None
    sighting.unrecorded = "repeat"
    _, cookie_id, sighting.click_id = Noted.of(earlier)
    if sighting.new_cookie is not None and own_cookie is None:
        sighting.new_cookie = cookie_id  # one made for this click would be of no touch
    return None


def _key(sighting: Sighting, parts: Parts) -> Refusal | None:
    kind, link, visit, query = (
        sighting.kind, _known(sighting.link), _known(sighting.visit), sighting.query,
    )  # fmt: skip
    if sighting.unrecorded == "bot":
        path, new_id = sighting.request.raw_path, sighting.touch_id
        sighting.messages = [
            robots_message(kind, link, visit, path, rejected_id=new_id, version=parts.version)
        ]
    if sighting.unrecorded is not None:
        return None
    identifiers = identifiers_of(kind, visit, query, click_id=sighting.click_id)
    value = sighting.shared.touch_bytes.of(
        kind,
        link,
        visit,
        query,
        sighting.marks,
        touch_id=sighting.touch_id,
        click_id=sighting.click_id,
        identifiers=identifiers,
        destination=sighting.destination if kind == "click" else None,
    )
    app_id = link.app_id
    sighting.messages = [("identity", scoped(app_id, one).encode(), value) for one in identifiers]
    subject = subject_among(identifiers)
    if subject is not None:
        sighting.messages.append(("raw", scoped(app_id, subject).encode(), value))
    return None


def _produce(sighting: Sighting, parts: Parts) -> Verdict:
    return _written(sighting, parts) if sighting.messages else None


async def _written(sighting: Sighting, parts: Parts) -> Refusal | None:
    if sighting.unrecorded == "bot":
        await deliver_robots(sighting.messages, parts, sighting.shared.patience)
        return None
    is_click = sighting.kind == "click"
    refusal = await deliver(
        sighting.messages, parts, patience=sighting.shared.patience if is_click else None
    )
    if refusal is not None:
        sighting.unrecorded = "lost"
        if sighting.sight is not None:
            await parts.cache.forget_click(sighting.sight, sighting.noted)
        parts.metrics.refusals.add((refusal.reason,))
        # A visitor who clicked wants the page, whatever becomes of our records.
        return None if is_click else refusal
    link, visit = _known(sighting.link), _known(sighting.visit)
    if is_click and link.deep_link is not None:
        rules = parts.directory.rules(link.app_id, at_ms=sighting.now_ms)
        await parts.cache.remember_touch(
            link.app_id,
            sighting.click_id,
            print_of(visit),
            link.deep_link,
            guess_ms=guess_window_ms(rules),
        )
    return None


def _patience_s(parts: Parts) -> float:
    """How long a visitor waits: not too short for what Kafka does not take to be spooled."""
    settings = parts.settings
    spooling_s = settings.spool_after_ms / 1000 + 0.5 if settings.spool_max_mib else 0
    return max(_CLICK_TIMEOUT_S, spooling_s)


def _answer(sighting: Sighting, parts: Parts) -> Refusal | None:
    parts.metrics.touches.add((sighting.kind, sighting.unrecorded or "recorded"))
    headers = {"Cache-Control": "no-store"}
    if sighting.kind == "impression":
        sighting.response = Answer(200, {"Content-Type": "image/gif", **headers}, PIXEL)
        return None
    headers["Location"] = location_of(
        sighting.destination, click_id=sighting.click_id, marks=sighting.marks
    )
    if sighting.unrecorded is None:
        headers[CLICK_ID_HEADER] = sighting.click_id
    if sighting.new_cookie is not None:
        headers["Set-Cookie"] = sighting.shared.cookies.header(
            sighting.new_cookie, secure=sighting.request.secure
        )
    sighting.response = Answer(302, headers)
    return None


def _known(value: T | None) -> T:
    if value is None:
        raise RuntimeError("an earlier step sets it")
    return value


STEPS = (
    ("parse", _parse),
    ("validate", _validate),
    ("key", _key),
    ("produce", _produce),
    ("answer", _answer),
)
"""What a click or an impression goes through."""
