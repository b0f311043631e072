"""Sources whose installs come when no person makes them: flat over the window, or at once.

Somebody who clicks and wants the app installs it soon: of the times from click to install most are
within hours. Who sends clicks for people that never saw an ad (click flooding) gets the credit of
those who install anyway, at any time: its times are spread evenly over the window. Who sends the
click when an install is seen to begin (click injection) has installs within the first seconds,
where nobody has downloaded anything.

What is compared is the time from click to first open, of the installs that a source was credited
with, against those of all other sources of the app, with clicks of the same match type and window.
A source is *flooding* if both of these are beyond chance:

- its installs come later than the others': the one-sided two-sample Kolmogorov-Smirnov statistic
  D+ = sup(F_others - F_source), with Smirnov's asymptotic p = exp(-2 D+^2 mn / (m + n));
- it is flat, which late alone is not: more than `far_share` of its installs are in the second half
  of the window (a flat source has half of them there, whoever installs late for a slow download or
  on the next evening next to none): exact binomial tail.

It is *injection* if more than `spike_share` of its installs are within `spike_ms`: exact binomial
tail. Only those count that surely are, see `counted_ms`. Each of the shares is compared with the
others' if theirs is higher. Flooding being both, the greater p is its p (intersection-union test).
All p are adjusted over all sources (false discovery rate), since who looks at a thousand sources
finds odd ones by chance.

Sources: N. V. Smirnov, "Table for estimating the goodness of fit of empirical distributions",
Annals of Mathematical Statistics 19 (1948); R. L. Berger, "Multiparameter hypothesis testing and
acceptance sampling", Technometrics 24 (1982); Y. Benjamini and Y. Hochberg, "Controlling the false
discovery rate", Journal of the Royal Statistical Society B 57 (1995). That flooding is flat in
click-to-install time and injection a spike is what the measurement partners publish.
"""

from __future__ import annotations

from bisect import bisect_left
from math import exp, lgamma, log
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trackstream.core.fraud import STORE_PRECISION_MS
from trackstream.core.rules import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trackstream.core.records import Conversion

__all__ = [
    "FRAUDULENT",
    "Group",
    "Judged",
    "Limits",
    "adjusted",
    "binomial_tail",
    "counted_ms",
    "judge",
    "later_by",
]

FRAUDULENT = frozenset({"flooding", "injection"})
"""Verdicts for which a source is marked."""


class Group(NamedTuple):
    """Whose times are comparable: those of one match type and window."""

    match_type: str
    window_ms: int


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to be judged, and to be found guilty."""

    min_installs: int = 30
    """Of the source, and of the others together; with fewer nothing is said."""
    alpha: float = 0.01
    """The share of wrong verdicts among those that are found, at most."""
    min_distance: float = 0.2
    """Less is no matter, however certain."""
    far_share: float = 0.2
    """Where all installs are spread evenly it is a half; here, then, two fifths of them are."""
    spike_share: float = 0.05
    spike_ms: int = 10_000


_DEFAULT = Limits()


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One source in one group, in figures."""

    source: str
    match_type: str
    window_ms: int
    installs: int
    others: int
    median_ms: int
    day_share: float
    """Of installs later than 24 h after the click."""
    far_share: float
    """Of installs in the second half of the window."""
    spike_share: float
    """Of installs within the first seconds."""
    distance: float
    """How much later than the others: D+, between 0 and 1."""
    p_flooding: float
    p_injection: float
    """Adjusted over all sources; 1 where nothing can be said."""
    verdict: str
    """`flooding`, `injection`, `late` (and not flat), `ordinary`, `few_installs`, `no_others`."""


def judge(
    groups: Mapping[Group, Mapping[str, Sequence[int]]], *, limits: Limits | None = None
) -> list[Judged]:
    """Judge every source of an app.

    Args:
        groups: by group and source, the times from click to install in milliseconds, as
            `counted_ms` has them, in any order.
            They should be those of clicks whose window has passed: a campaign that has just begun
            cannot have late installs, and one that has ended has no others.
        limits: the defaults if not given.

    Returns:
        One for each group and source, the surest first.
    """
    limits = limits or _DEFAULT
    first = [one for group, sources in groups.items() for one in _group(group, sources, limits)]
    p_values = adjusted([p for one in first for p in (one.p_flooding, one.p_injection)])
    found = [
        _with_verdict(
            msgspec.structs.replace(
                one, p_flooding=p_values[2 * i], p_injection=p_values[2 * i + 1]
            ),
            limits,
        )
        for i, one in enumerate(first)
    ]
    found.sort(key=lambda one: (one.verdict not in FRAUDULENT, min(_ps(one)), one.source))
    return found


def counted_ms(took_ms: int, conversion: Conversion | None, limits: Limits = _DEFAULT) -> int:
    """A time from click to install as it is judged: no less than `spike_ms`, if it may be honest.

    That is a fast download, which the store says began after the click; or one of a device whose
    clock may be slow. By the default rules no others get credit, so without this a source that
    has people with fast networks would be taken to inject.

    Args:
        took_ms: from click to install, by the install's time.
        conversion: the install; None: no more is known of it, and it may be honest.
        limits: how fast is fast.
    """
    if took_ms >= limits.spike_ms:
        return took_ms
    if conversion is None:
        return limits.spike_ms
    at_ms, latest_at_ms = conversion.at_ms, conversion.latest_at_ms
    if latest_at_ms is None:
        latest_at_ms = conversion.received_at_ms or at_ms
    slack_ms = max(0, latest_at_ms - at_ms)
    if took_ms + slack_ms >= limits.spike_ms:
        return limits.spike_ms
    began_ms = conversion.install_begin_at_ms
    if began_ms is None:
        return max(took_ms, 0)
    within_ms = STORE_PRECISION_MS - 1 + (0 if conversion.server_times else slack_ms)
    cleared = at_ms - took_ms <= began_ms + within_ms
    return limits.spike_ms if cleared else max(took_ms, 0)


def _group(group: Group, sources: Mapping[str, Sequence[int]], limits: Limits) -> Iterable[Judged]:
    pool = sorted(time for times in sources.values() for time in times)
    for source, times in sources.items():
        if times:
            yield _source(source, group, sorted(times), pool, limits)


def _source(
    source: str, group: Group, mine: Sequence[int], pool: Sequence[int], limits: Limits
) -> Judged:
    """The figures of one source, its p not yet adjusted and its verdict open."""
    count, others = len(mine), len(pool) - len(mine)
    begin_far_ms = group.window_ms / 2
    far = count - bisect_left(mine, begin_far_ms)
    spike = _within(mine, limits)
    distance = later_by(mine, pool)
    p_flooding = p_injection = 1.0
    if min(count, others) >= limits.min_installs:
        others_far = others - (bisect_left(pool, begin_far_ms) - bisect_left(mine, begin_far_ms))
        others_spike = _within(pool, limits) - spike
        p_later = exp(-2 * distance**2 * count * others / (count + others))
        p_flat = binomial_tail(count, max(limits.far_share, others_far / others), far)
        p_flooding = max(p_later, p_flat)
        p_injection = binomial_tail(count, max(limits.spike_share, others_spike / others), spike)
    return Judged(
        source=source,
        match_type=group.match_type,
        window_ms=group.window_ms,
        installs=count,
        others=others,
        median_ms=(mine[(count - 1) // 2] + mine[count // 2]) // 2,
        day_share=1 - bisect_left(mine, DAY_MS + 1) / count,
        far_share=far / count,
        spike_share=spike / count,
        distance=distance,
        p_flooding=p_flooding,
        p_injection=p_injection,
        verdict="",
    )


def _within(times: Sequence[int], limits: Limits) -> int:
    """Of sorted times, those within the first seconds; a slow clock makes less than 0."""
    return bisect_left(times, limits.spike_ms) - bisect_left(times, 0)


def _with_verdict(one: Judged, limits: Limits) -> Judged:
    later = exp(-2 * one.distance**2 * one.installs * one.others / (one.installs + one.others))
    if one.installs < limits.min_installs:
        verdict = "few_installs"
    elif one.others < limits.min_installs:
        verdict = "no_others"
    elif one.p_injection <= limits.alpha:
        verdict = "injection"
    elif one.distance < limits.min_distance:
        verdict = "ordinary"
    elif one.p_flooding <= limits.alpha:
        verdict = "flooding"
    else:
        verdict = "late" if later <= limits.alpha else "ordinary"
    return msgspec.structs.replace(one, verdict=verdict)


def _ps(one: Judged) -> tuple[float, float]:
    return one.p_flooding, one.p_injection


def later_by(mine: Sequence[int], pool: Sequence[int]) -> float:
    """D+: by how much the others' share of installs so far is ahead of the source's, at most.

    Args:
        mine: the source's times, sorted.
        pool: the times of all, the source's among them, sorted.
    """
    count, others = len(mine), len(pool) - len(mine)
    if not count or not others:
        return 0.0
    most = 0.0
    for time in mine:
        # it is furthest ahead just before one of the source's own installs
        before = bisect_left(mine, time)
        most = max(most, (bisect_left(pool, time) - before) / others - before / count)
    return most


def binomial_tail(count: int, share: float, at_least: int) -> float:
    """The chance of `at_least` or more of `count` where each is one with chance `share`.

    Exact above the expected number; at or below it 1, which says as little.
    """
    if at_least <= count * share:
        return 1.0
    if share <= 0:
        return 0.0
    term = exp(
        lgamma(count + 1)
        - lgamma(at_least + 1)
        - lgamma(count - at_least + 1)
        + at_least * log(share)
        + (count - at_least) * log(1 - share)
    )
    total = 0.0
    for k in range(at_least, count + 1):
        total += term
        term *= (count - k) / (k + 1) * share / (1 - share)
        if term < total * 1e-17:
            break
    return min(total, 1.0)


def adjusted(p_values: Sequence[float]) -> list[float]:
    """The p values after Benjamini and Hochberg: to compare with the false discovery rate."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    found = [1.0] * len(p_values)
    least = 1.0
    for place, i in enumerate(order):
        rank = len(p_values) - place
        least = min(least, p_values[i] * (len(p_values) / rank))
        found[i] = least
    return found
