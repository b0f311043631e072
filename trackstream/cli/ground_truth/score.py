"""What came out, beside what is true: counts, precision and recall, and what must be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trackstream.cli.ground_truth.journeys import EDGES, FRAUDS, KINDS
from trackstream.core.identifiers import is_probabilistic
from trackstream.core.rules import FRAUD_RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackstream.cli.ground_truth.book import Book
    from trackstream.core.matching.decide import Decision

__all__ = ["COLUMNS", "Scored", "scored"]

COLUMNS = (
    "measured",
    "case",
    "what",
    "true",
    "found",
    "right",
    "wrong",
    "missed",
    "precision",
    "recall",
    "must",
)
_FRAUD = "fraud:"


@dataclass(slots=True)
class Scored:
    """The table, and the broken musts.

    Attributes:
        rows: One dictionary for each, with `COLUMNS`.
        broken: A line for each conversion that is not as it must be.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def scored(book: Book, decided: Mapping[str, Decision]) -> Scored:
    """Compare.

    Args:
        book: What is true.
        decided: The last decision of each conversion, by its id.
    """
    result = Scored()
    _deterministic(book, decided, result)
    _edges(book, decided, result)
    _probabilistic(book, decided, result)
    _frauds(book, decided, result)
    return result


def _deterministic(book: Book, decided: Mapping[str, Decision], result: Scored) -> None:
    """Where a device, a person or a click id leads to the answer: all must be right."""
    true, right, missed = Counter[str](), Counter[str](), Counter[str]()
    for conversion_id, truth in book.truths.items():
        kind = book.converted[conversion_id].journey
        true[kind] += 1
        one = decided.get(conversion_id)
        if one is None:
            missed[kind] += 1
            result.broken.append(f"{conversion_id}: no attribution")
            continue
        touch_id = one.touch.touch_id if one.touch else None
        if (one.method, touch_id) == (truth.method, truth.touch_id):
            right[kind] += 1
        else:
            result.broken.append(
                f"{conversion_id}: {one.method} by {touch_id or 'nothing'}, but true is "
                f"{truth.method} by {truth.touch_id or 'nothing'}"
            )
    for count in (true, right, missed):
        count["all"] = count.total()
    for kind in (*KINDS, "all"):
        if true[kind]:
            wrong = true[kind] - right[kind] - missed[kind]
            row = _row("deterministic", kind, _what(kind), true[kind], right[kind], wrong)
            result.rows.append({**row, "missed": missed[kind], "must": "all right"})


def _edges(book: Book, decided: Mapping[str, Decision], result: Scored) -> None:
    """People's own touches before their own conversions: none may be rejected as fraud."""
    true, rejected = Counter[str](), Counter[str]()
    for conversion_id, one in decided.items():
        converted = book.converted[conversion_id]
        for candidate in one.candidates:
            touch_id = candidate.touch.touch_id
            if (
                book.owners.get(touch_id) != converted.person
                or (conversion_id, touch_id) in book.frauds
            ):
                continue
            kind = converted.journey if converted.journey in EDGES else "others"
            true[kind] += 1
            if candidate.verdict.startswith(_FRAUD):
                rejected[kind] += 1
                result.broken.append(f"{conversion_id}: {touch_id} rejected, {candidate.verdict}")
    for count in (true, rejected):
        count["all"] = count.total()
    for kind in (*EDGES, "others", "all"):
        kept = true[kind] - rejected[kind]
        row = _row("legitimate", kind, _what(kind), true[kind], kept, rejected[kind])
        if true[kind]:
            result.rows.append({**row, "must": "none rejected"})


def _probabilistic(book: Book, decided: Mapping[str, Decision], result: Scored) -> None:
    """Matches by network and looks: how many are right, and how many of the true ones are found."""
    shares: dict[str, Counter[str]] = {}
    for conversion_id, one in decided.items():
        kind = book.converted[conversion_id].journey
        truth = book.by_network.get(conversion_id)
        found = (
            one.touch.touch_id
            if one.touch and one.identifier and is_probabilistic(one.identifier)
            else None
        )
        for name in ("all", kind):
            count = shares.setdefault(name, Counter())
            count["true"] += truth is not None
            count["found"] += found is not None
            count["right"] += found is not None and found == truth
    for name in (*KINDS, "all"):
        count = shares.get(name, Counter())
        if count["true"] or (count["found"] and name != "all"):
            result.rows.append(_rates("probabilistic", name, _what(name), count))


def _frauds(book: Book, decided: Mapping[str, Decision], result: Scored) -> None:
    """Each rule: how many of what it rejects is fraud, how many of its frauds it rejects.

    What is neither is left out: somebody else's honest click, which a shared network led to and
    which gets no credit either way.
    """
    counts = {rule: Counter[str]() for rule in FRAUD_RULES}
    for rule in book.frauds.values():
        counts[rule]["true"] += 1
    for conversion_id, one in decided.items():
        person = book.converted[conversion_id].person
        for candidate in one.candidates:
            if not candidate.verdict.startswith(_FRAUD):
                continue
            rule = candidate.verdict.removeprefix(_FRAUD)
            touch_id = candidate.touch.touch_id
            label = book.frauds.get((conversion_id, touch_id))
            owner = book.owners.get(touch_id)
            if label == rule:
                counts[rule]["found"] += 1
                counts[rule]["right"] += 1
            elif label is None and owner == person:
                counts[rule]["found"] += 1
    for rule, count in counts.items():
        if count["true"]:
            result.rows.append(_rates("fraud", rule, _AGAINST[rule], count))


def _rates(measured: str, case: str, what: str, count: Counter[str]) -> dict[str, Any]:
    wrong = count["found"] - count["right"]
    row = _row(measured, case, what, count["true"], count["right"], wrong)
    return {
        **row,
        "found": count["found"],
        "missed": count["true"] - count["right"],
        "precision": _share(count["right"], count["found"]),
        "recall": _share(count["right"], count["true"]),
    }


def _row(measured: str, case: str, what: str, true: int, right: int, wrong: int) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS) | {
        "measured": measured,
        "case": case,
        "what": what,
        "true": true,
        "right": right,
        "wrong": wrong,
    }


def _what(kind: str) -> str:
    if kind == "others":
        return "what is ordinary, and the frauds' victims"
    return KINDS[kind].what if kind in KINDS else ""


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _against() -> dict[str, str]:
    kinds = {
        "click_after_install_began": (
            *("injection", "injection_kept", "injection_told_by_servers"),
        ),
        "click_to_install_too_short": ("injection_unseen", "injection_kept"),
        "bot": ("crawler",),
        "emulator": ("emulators",),
        "data_centre": ("data_centre",),
        "blocked_ip": ("listed_network",),
        "blocked_user_agent": ("click_program",),
        "blocked_sub_publisher": ("shady_publisher",),
        "click_flooding": ("flooded_device",),
        "click_used_before": ("stolen_click_id", "install_farm"),
        "flooding_source": ("spamming_source",),
    }
    return {rule: "; ".join(FRAUDS[one].what for one in named) for rule, named in kinds.items()}


_AGAINST = _against()
