"""An explanation, told for somebody who wants to know why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from trackstream.cli.output import moment, print_rich

if TYPE_CHECKING:
    from trackstream.core.records import Candidate, Touch
    from trackstream.storage.explain import Explanation, Revision

__all__ = ["duration", "tell"]

_VERDICTS = {
    "chosen": "chosen",
    "older": "a newer one counts",
    "lower_class": "a stronger kind of match counts",
    "outside_window": "longer ago than its window",
    "after_conversion": "after the conversion",
    "probabilistic_off": "fingerprints are off",
    "not_in_waterfall": "the app's rules leave this kind of match out",
    "low_confidence": "too unlike to be the same device",
    "ambiguous": "two devices are alike, so neither is chosen",
    "less_alike": "another device is more alike",
    "not_named": "the app was not opened by it",
    "another_device": "of another device, which installed itself",
    "fraud:click_after_install_began": "the download was already running",
    "fraud:click_to_install_too_short": "no app is downloaded and opened that fast",
    "fraud:bot": "a crawler's",
    "fraud:emulator": "the device is an emulator",
    "fraud:data_centre": "the device is a machine in a data centre",
    "fraud:blocked_ip": "the address is on the app's list",
    "fraud:blocked_user_agent": "the user agent is on the app's list",
    "fraud:blocked_sub_publisher": "the sub-publisher is on the app's list",
    "fraud:click_flooding": "more clicks within an hour than a person makes",
    "fraud:click_used_before": "another device has installed with this click",
    "fraud:flooding_source": "the source is marked: `trackstream fraud list`",
    "fraud:many_devices": "more devices at its network than the app's rules allow",
    "fraud:geo_mismatch": "clicked and converted in different countries",
    "reinstall": "a reinstall keeps the attribution of the install before",
    "inherited": "the event has the attribution of its install or re-engagement",
}
"""What `core.matching.decide` calls its verdicts; one that is not here is shown as it is."""

_KINDS = {"install": "install", "reengagement": "re-engagement"}

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))


def tell(found: Explanation) -> None:
    """Print it to standard output."""
    decision = found.revisions[-1]
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(found, decision):
        facts.add_row(Text(f"  {name}"), Text(value, overflow="fold"))
    parts: list[Text | Table] = [
        _line(f"{found.event}  {found.conversion_id}", style="bold"),
        facts,
        _line(""),
        *map(_line, _reasons(found, decision)),
    ]
    if decision.candidates:
        parts += [_line("\nWhat was considered, in order of time:"), _timeline(found, decision)]
    if len({one.touch_id for one in found.credits}) > 1:
        parts += [_line("\nHow each model shares the credit:"), _credits(found)]
    if len(found.revisions) > 1:
        parts += [_line("\nHow the decision changed:"), _revisions(found)]
    print_rich(*parts)


def duration(span_ms: int) -> str:
    """A length of time in its two largest units: `2 d 3 h`, `4 min`, `350 ms`."""
    if span_ms < 1_000:
        return f"{span_ms} ms"
    parts = []
    for unit, unit_ms in _UNITS:
        count, span_ms = divmod(span_ms, unit_ms)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def _line(text: str, *, style: str = "") -> Text:
    return Text(text, style=style, overflow="fold")


def _facts(found: Explanation, decision: Revision) -> list[tuple[str, str]]:
    sure = "" if decision.confidence >= 1 else f", confidence {decision.confidence:g}"
    facts = [
        ("kind", found.kind),
        ("app", found.app_id),
        ("when", f"{moment(found.at_ms)} UTC"),
        ("person", found.person),
        ("subject", found.subject.partition("|")[2] or found.subject),
        ("country", found.country or ""),
        ("revenue", _money(found)),
        ("method", f"{decision.method}{sure}"),
        ("campaign", (decision.touch.campaign_id or "") if decision.touch else ""),
        ("decided", f"{moment(decision.decided_at_ms)} UTC, revision {decision.revision}"),
        ("rules", decision.rules_version),
    ]
    return [(name, value) for name, value in facts if value]


def _money(found: Explanation) -> str:
    if found.revenue is None:
        return ""
    amount = found.revenue.rstrip("0").rstrip(".") if "." in found.revenue else found.revenue
    return f"{amount} {found.currency or ''}".strip()


def _reasons(found: Explanation, decision: Revision) -> list[str]:
    touch = decision.touch
    lines = []
    if decision.method in {"inherited", "reinstall"}:
        what = {
            "inherited": "The event takes over the attribution of the",
            "reinstall": "This device had the app before: it keeps the attribution of the",
        }[decision.method]
        kind = _KINDS.get(decision.inherited_kind or "", "conversion")
        lines.append(f"{what} {kind} {decision.inherited_from}.")
        if touch is None:
            lines.append("That one was organic: nobody's.")
        else:
            lines.append(f"That one was brought by {_named(touch)}.")
    elif touch is None:
        lines.append("Organic: it came by itself, as far as is known.")
        if decision.candidates:
            lines.append("No click or impression that was found could have brought it, see below.")
        else:
            known = dict.fromkeys((found.subject.partition("|")[2], found.person))
            lines.append(
                "No click or impression is known of it: looked at were its click id, if any, "
                f"{', '.join(one for one in known if one)}, its other ids, what is linked to "
                "them, and, for an install, its network and system."
            )
    else:
        window = duration(decision.window_ms) if decision.window_ms else "no"
        lines.append(f"It was brought by {_named(touch)}, {_ago(found, touch)}.")
        lines.append(
            f"Found by {_found_by(decision.identifier)}; such touches count for {window}, "
            "and the last of them is chosen."
        )
    if decision.unanswered:
        lines.append(
            f"Decided without an answer about {', '.join(decision.unanswered)}; "
            "it is decided again when one comes."
        )
    return lines


def _found_by(identifier: str | None) -> str:
    if identifier and identifier.startswith("fp:"):
        return "network and system, which others may share"
    return identifier or "nothing that is known"


def _named(touch: Touch) -> str:
    link = {
        "campaign": touch.campaign_id,
        "channel": touch.channel,
        "network": touch.network,
        "ad group": touch.ad_group,
    }
    said = ", ".join(f"{name} {value}" for name, value in link.items() if value)
    return f"a click of {said}" if touch.kind == "click" else f"an impression of {said}"


def _ago(found: Explanation, touch: Touch) -> str:
    span_ms = found.at_ms - touch.at_ms
    if span_ms < 0:
        return f"{duration(-span_ms)} after"
    return f"{duration(span_ms)} before"


def _timeline(found: Explanation, decision: Revision) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=True, header_style="")
    for column in ("time", "", "touch", "campaign", "match", "found by", "verdict"):
        table.add_column(column, overflow="fold")
    considered = sorted(decision.candidates, key=lambda one: (one.touch.at_ms, one.touch.touch_id))
    marked = False
    for one in considered:
        if one.touch.at_ms > found.at_ms and not marked:
            marked = True
            table.add_row(moment(found.at_ms, exact=True), "", Text(found.event, style="bold"))
        table.add_row(*_considered(found, one))
    if not marked:
        table.add_row(moment(found.at_ms, exact=True), "", Text(found.event, style="bold"))
    return table


def _considered(found: Explanation, one: Candidate) -> list[Text]:
    sure = "" if one.confidence >= 1 else f" {one.confidence:g}"
    verdict = _VERDICTS.get(one.verdict)
    style = "bold" if one.verdict == "chosen" else ""
    return [
        Text(text, style=style, overflow="fold")
        for text in (
            moment(one.touch.at_ms, exact=True),
            _ago(found, one.touch),
            one.touch.kind,
            one.touch.campaign_id or "",
            one.match_type + sure,
            one.identifier,
            (one.verdict if verdict in {None, one.verdict} else f"{one.verdict}: {verdict}")
            + (f" (flagged: {', '.join(one.flags)})" if one.flags else ""),
        )
    ]


def _credits(found: Explanation) -> Table:
    """A row for each model, a column for each touch that any model credits, in order of time."""
    credited = {one.touch_id for one in found.credits}
    touches = [
        one.touch for one in found.revisions[-1].candidates if one.touch.touch_id in credited
    ]
    touches.sort(key=lambda one: (one.at_ms, one.touch_id))
    shares = {(one.model, one.touch_id): one.share_millionths for one in found.credits}
    table = Table(box=None, padding=(0, 2), pad_edge=True, header_style="")
    table.add_column("model")
    for touch in touches:
        table.add_column(
            f"{touch.campaign_id or touch.kind}\n{moment(touch.at_ms)}", justify="right"
        )
    for model in dict.fromkeys(one.model for one in found.credits):
        each = (shares.get((model, touch.touch_id), 0) for touch in touches)
        table.add_row(model, *(f"{share / 10_000:.1f} %" if share else "" for share in each))
    return table


def _revisions(found: Explanation) -> Table:
    table = Table(box=None, padding=(0, 2), show_header=False)
    for one in found.revisions:
        campaign = one.touch.campaign_id if one.touch else None
        was = f"was {one.previous_method}" if one.previous_method else ""
        table.add_row(
            str(one.revision),
            moment(one.decided_at_ms, exact=True),
            one.method,
            Text(campaign or "", overflow="fold"),
            was,
        )
    return table
