"""An event's `context`: what the sender knows of its app, device and page.

    app      version                        os        name, version
    device   model, manufacturer, type      screen    width, height
    page     url, referrer, title           sdk       text, or name and version
    locale, timezone, consent (true and false by purpose), ip, user_agent

Whatever else is in it, at either level, is kept as it stands in `extra`; addresses are not.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import msgspec

from trackstream.core.reasons import Reason
from trackstream.core.records import Context
from trackstream.core.texts import json_text

if TYPE_CHECKING:
    from trackstream.core.fields import Fields

__all__ = ["MAX_PIXELS", "MAX_URL_CHARS", "context_of", "noted", "sender_of"]

MAX_URL_CHARS = 8_192
MAX_PIXELS = 100_000
"""Of a screen."""

_KNOWN = frozenset(
    {
        "app", "consent", "device", "ip", "locale", "os", "page", "screen", "sdk", "timezone",
        "user_agent",
    }
)  # fmt: skip
_ADDRESSES = frozenset({"ip", "ipaddress", "clientip", "remoteip", "remoteaddr", "xforwardedfor"})
_KNOWN_WITHIN = {
    "app": frozenset({"version"}),
    "os": frozenset({"name", "version"}),
    "device": frozenset({"model", "manufacturer", "type"}),
    "screen": frozenset({"width", "height"}),
    "page": frozenset({"url", "referrer", "title"}),
}


def context_of(fields: Fields | None, unknown: dict[str, Any]) -> Context | None:
    """The context; None when there is nothing to say. Problems go where `fields` put them.

    Args:
        fields: the `context` object.
        unknown: fields from elsewhere in the event that nothing knows, kept in `extra`, too.
    """
    if fields is None:
        return None
    parts = {name: fields.object(name) for name in _KNOWN_WITHIN}
    app, os, device, screen, page = parts.values()
    extra = fields.rest(_KNOWN)
    for name, part in parts.items():
        inner = part.rest(_KNOWN_WITHIN[name]) if part else None
        if inner:
            extra[name] = inner
    extra.update(unknown)
    _leave_out_addresses(extra)
    text = fields.json("extra", extra) if extra else None
    return Context(
        app_version=app.text("version", 128) if app else None,
        os_name=os.text("name", 64) if os else None,
        os_version=os.text("version", 64) if os else None,
        device_model=device.text("model", 128) if device else None,
        device_manufacturer=device.text("manufacturer", 128) if device else None,
        device_type=device.text("type", 64) if device else None,
        locale=fields.text("locale", 64),
        timezone=fields.text("timezone", 64),
        screen_width=screen.whole("width", MAX_PIXELS) if screen else None,
        screen_height=screen.whole("height", MAX_PIXELS) if screen else None,
        page_url=page.text("url", MAX_URL_CHARS) if page else None,
        page_referrer=page.text("referrer", MAX_URL_CHARS) if page else None,
        page_title=page.text("title", 2_048) if page else None,
        sdk=_sdk(fields),
        consent=fields.flags("consent"),
        extra=text,
    )


def noted(context: Context | None, name: str, problems: dict[str, str]) -> Context:
    """The context with what is wrong with an accepted event, by field, kept in its `extra`.

    Args:
        context: The event's own.
        name: Under which it is kept, such as `$definition`.
        problems: Reasons by field.
    """
    context = context or Context()
    extra = msgspec.json.decode(context.extra) if context.extra else {}
    return msgspec.structs.replace(context, extra=json_text({**extra, name: problems}))


def _leave_out_addresses(extra: dict[str, Any]) -> None:
    """Nobody reads them there, and no rule of privacy would find them."""
    for name, value in list(extra.items()):
        part = type(value) is dict and any(map(_is_address, value))
        left = {key: one for key, one in value.items() if not _is_address(key)} if part else value
        if _is_address(name) or (part and not left):
            del extra[name]
        else:
            extra[name] = left


def _is_address(name: str) -> bool:
    return name.lower().replace("_", "").replace("-", "") in _ADDRESSES


def sender_of(fields: Fields | None) -> tuple[str | None, str | None]:
    """The address and user agent that the context states, for senders who speak for others."""
    if fields is None:
        return None, None
    user_agent = fields.text("user_agent", 1_024)
    text = fields.text("ip", 64)
    if text is None:
        return None, user_agent
    try:
        return str(ipaddress.ip_address(text)), user_agent
    except ValueError:
        fields.problem(Reason.INVALID_VALUE, "ip", "is not an IPv4 or IPv6 address")
        return None, user_agent


def _sdk(fields: Fields) -> str | None:
    if isinstance(fields.raw("sdk"), dict):
        part = fields.object("sdk")
        names = [part.text("name", 128), part.text("version", 64)] if part else []
        return "/".join(one for one in names if one) or None
    return fields.text("sdk", 200)
