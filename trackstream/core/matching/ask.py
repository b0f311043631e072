"""What an enriched event sends to the identity log: links, and probes if it is a conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.core.clocks import latest_at_ms
from trackstream.core.consent import may_be_guessed
from trackstream.core.identifiers import CLICK, DEVICES, event_identifiers, fingerprint
from trackstream.core.records import Context, Conversion, Link, Probe

if TYPE_CHECKING:
    from trackstream.core.records import Event, RawEvent
    from trackstream.core.rules import Rules

__all__ = [
    "INSTALL_EVENTS",
    "conversion_of",
    "is_conversion",
    "link_to_click",
    "links_between",
    "probes_of",
]

INSTALL_EVENTS = frozenset({"install", "first_open"})


def is_conversion(event: str, rules: Rules) -> bool:
    """Whether events of this name are conversions: installs, and those that the rules declare."""
    return event in INSTALL_EVENTS or event in rules.conversion_events


def conversion_of(
    raw: RawEvent, event: Event, *, sent_at_ms: int | None, rules: Rules
) -> Conversion | None:
    """The conversion that this event is under these rules, or None.

    `sent_at_ms` is when its device says that it sent the event, by its own clock.

    An install also carries a fingerprint, if the rules allow: it is the only conversion that is
    matched probabilistically.
    """
    kind = _kind(raw, event.event, rules)
    if kind is None:
        return None
    installed = kind == "install"
    own = event_identifiers(raw)
    os_name = event.os_name
    if installed and may_be_guessed(raw.context, rules):
        coarse = fingerprint(event.ip, os_name)
        own = [*own, coarse] if coarse else own
    return Conversion(
        conversion_id=f"{event.app_id}:{event.event_id}",
        app_id=event.app_id,
        kind=kind,
        event=event.event,
        event_id=event.event_id,
        at_ms=event.timestamp_ms,
        received_at_ms=event.received_at_ms,
        subject=event.subject,
        person=event.person,
        identifiers=own,
        click_id=raw.referral.click_id if raw.referral else None,
        campaign_id=raw.referral.campaign_id if raw.referral else None,
        web=_is_web(own),
        install_begin_at_ms=_began_ms(raw, event),
        ip=event.ip,
        os_name=os_name,
        os_version=event.os_version,
        device_model=event.device_model,
        language=raw.context.locale if raw.context else None,
        timezone=raw.context.timezone if raw.context else None,
        screen=_screen(raw.context),
        country=event.country,
        bot=event.bot,
        revenue_micros=event.revenue_micros,
        currency=event.currency,
        latest_at_ms=latest_at_ms(event, sent_at_ms),
        server_times=raw.referral.server_times if raw.referral else False,
        asn=event.asn,
    )


def _is_web(identifiers: list[str]) -> bool:
    """Whether it has a browser's identifier, and none of a device that an app would tell."""
    return any(one.startswith("cookie:") for one in identifiers) and not any(
        one.startswith(DEVICES) for one in identifiers
    )


def _screen(context: Context | None) -> str | None:
    if context is None or context.screen_width is None or context.screen_height is None:
        return None
    small, large = sorted((context.screen_width, context.screen_height))
    return f"{small}x{large}"


def _began_ms(raw: RawEvent, event: Event) -> int | None:
    """When the store began to install; by the device's clock, it is corrected as its event's is."""
    began_ms = raw.referral.install_begin_at_ms if raw.referral else None
    if raw.referral and raw.referral.server_times:
        return began_ms
    return began_ms and began_ms + event.timestamp_ms - event.client_timestamp_ms


def _kind(raw: RawEvent, name: str, rules: Rules) -> str | None:
    """`install`, `reengagement` (the app opened through a link), `event`, or no conversion."""
    if name in INSTALL_EVENTS:
        return "install"
    if name in rules.reengagement_events:
        led = raw.referral and (raw.referral.click_id or raw.referral.campaign_id)
        return "reengagement" if led else None
    return "event" if name in rules.conversion_events else None


def probes_of(conversion: Conversion) -> list[Probe]:
    """One probe for each of the conversion's own identifiers."""
    return [
        Probe(app_id=conversion.app_id, identifier=one, conversion=conversion, depth=0)
        for one in conversion.identifiers
    ]


def links_between(a: str, b: str, *, app_id: str, at_ms: int) -> list[Link]:
    """A link in each direction for two identifiers of a person that an event carries."""
    return [
        Link(app_id=app_id, identifier=a, other=b, at_ms=at_ms),
        Link(app_id=app_id, identifier=b, other=a, at_ms=at_ms),
    ]


def link_to_click(identifier: str, click_id: str, *, app_id: str, at_ms: int) -> Link:
    """A link to a click that an event names, from what else it carries.

    There is none back: a click's id is handed on, so it leads from nobody to anybody.
    """
    return Link(app_id=app_id, identifier=identifier, other=f"{CLICK}{click_id}", at_ms=at_ms)
