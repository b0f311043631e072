"""A rules file (TOML, already parsed) as `Rules`, checked as a whole with every problem at once.

```toml
click_window = "7d"            # s, m, h, d; at most 30 d for clicks, 7 d for views
waterfall = ["click_deterministic", "view_deterministic"]
conversion_events = ["purchase", "subscribe"]

[channel_weights]
search = 2.0

[fraud.actions]
geo_mismatch = "off"           # reject, flag or off

[fraud.blocklists]
ips = ["203.0.113.0/24"]
```
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import tomllib
from typing import TYPE_CHECKING, Any

import msgspec

from trackstream.core.credits import MODELS, model_problems
from trackstream.core.rules import (
    DAY_MS,
    DEEPEST,
    FRAUD_RULES,
    MATCH_TYPES,
    OF_THE_SERVICE,
    Blocklists,
    FraudRules,
    Rules,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from trackstream.core.models import Weigh

__all__ = ["UNSET", "RulesError", "blocking", "rules_from", "rules_of_text"]

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}
_MOST_MS = {
    "click_window": 30 * DAY_MS,
    "click_probabilistic_window": 7 * DAY_MS,
    "view_window": 7 * DAY_MS,
    "view_probabilistic_window": 7 * DAY_MS,
}
_YEARS_MS = 3660 * DAY_MS
_MOST_REMEMBERED = 1000
"""What is remembered of one identifier or visitor is one record of a changelog."""
UNSET = frozenset({"version", "fraud", *OF_THE_SERVICE})
"""Not for the file: computed, or a setting of the whole service."""


class RulesError(ValueError):
    """A rules file that cannot be used.

    Attributes:
        problems: one line for each, naming the key.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def rules_of_text(text: str, *, base: Rules, models: Mapping[str, Weigh] = MODELS) -> Rules:
    """The rules that the text of a TOML file states over `base`; see `rules_from`.

    Raises:
        RulesError: with every problem of the file, or with the place where it is not TOML.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, too
        raise RulesError([f"not TOML: {error}"]) from error
    return rules_from(table, base=base, models=models)


def rules_from(
    table: Mapping[str, Any], *, base: Rules, models: Mapping[str, Weigh] = MODELS
) -> Rules:
    """The rules that the parsed TOML file states over `base`.

    The version is made from the content, so that the same rules have the same name everywhere.

    Args:
        table: the parsed file.
        base: what holds for all that the file does not name.
        models: multi-touch models that the file may name.

    Raises:
        RulesError: with every problem of the file.
    """
    problems: list[str] = []
    plain = {key: value for key, value in table.items() if key != "fraud"}
    changed = _fields(plain, Rules, UNSET, "", problems)
    fraud = table.get("fraud", {})
    if isinstance(fraud, dict):
        changed["fraud"] = _fraud(fraud, base.fraud, problems)
    else:
        problems.append("fraud takes a table")
    problems += _checked(changed)
    weights = _bad_weights(changed)
    if weights:
        problems.append(f"channel_weights: {', '.join(weights)} takes a number, 0 or more")
        del changed["channel_weights"]
    made = msgspec.structs.replace(base, **changed)
    problems += model_problems(made, models)
    if problems:
        raise RulesError(problems)
    return _named(made)


def blocking(rules: Rules, sources: Iterable[str]) -> Rules:
    """The rules with these sources blocked besides their own, under the name of this content."""
    lists = rules.fraud.blocklists
    every = tuple(sorted({*lists.sources, *sources}))
    if every == lists.sources:
        return rules
    lists = msgspec.structs.replace(lists, sources=every)
    fraud = msgspec.structs.replace(rules.fraud, blocklists=lists)
    return _named(msgspec.structs.replace(rules, fraud=fraud))


def _named(made: Rules) -> Rules:
    content = msgspec.json.encode(msgspec.structs.replace(made, version=""), order="deterministic")
    digest = hashlib.blake2b(content, digest_size=6).hexdigest()
    return msgspec.structs.replace(made, version=f"rules-{digest}")


def _fraud(table: Mapping[str, Any], base: FraudRules, problems: list[str]) -> FraudRules:
    plain = {key: value for key, value in table.items() if key not in {"actions", "blocklists"}}
    changed = _fields(plain, FraudRules, frozenset({"actions", "blocklists"}), "fraud.", problems)
    actions = table.get("actions", {})
    lists = table.get("blocklists", {})
    if not isinstance(actions, dict) or not isinstance(lists, dict):
        problems.append("fraud.actions and fraud.blocklists take tables")
        return base
    for name, action in actions.items():
        if name not in FRAUD_RULES:
            problems.append(f"fraud.actions.{name} is not a rule: {', '.join(FRAUD_RULES)}")
        if action not in {"reject", "flag", "off"}:
            problems.append(f"fraud.actions.{name} takes reject, flag or off")
    changed["actions"] = {**base.actions, **actions}
    named = _fields(lists, Blocklists, frozenset(), "fraud.blocklists.", problems)
    problems += [
        f"fraud.blocklists.ips: {one} is no address or network"
        for one in named.get("ips", ())
        if not _is_network(one)
    ]
    changed["blocklists"] = msgspec.structs.replace(base.blocklists, **named)
    return msgspec.structs.replace(base, **changed)


def _fields(
    table: Mapping[str, Any],
    struct: type[msgspec.Struct],
    excluded: frozenset[str],
    path: str,
    problems: list[str],
) -> dict[str, Any]:
    """The table's keys as the struct's fields; a field `x_ms` is written as duration `x`."""
    types = {one.name: one.type for one in msgspec.structs.fields(struct)}
    by_key = {name.removesuffix("_ms"): name for name in types if name not in excluded}
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = by_key.get(key)
        if name is None:
            problems.append(f"{path}{key} is not a rule")
            continue
        read: Callable[[str, Any], Any] = _duration if name.endswith("_ms") else _plain(types[name])
        try:
            found[name] = read(key, value)
        except ValueError as error:
            problems.append(f"{path}{key} {error}")
    return found


def _plain(kind: Any) -> Callable[[str, Any], Any]:
    def read(_key: str, value: Any) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error

    return read


def _duration(key: str, value: Any) -> int:
    found = re.fullmatch(r"(\d{1,9})(ms|s|m|h|d)", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('takes a duration such as "30m", "24h" or "7d"')
    length = int(found[1]) * _UNITS_MS[found[2]]
    most = _MOST_MS.get(key, _YEARS_MS)
    if length > most:
        raise ValueError(f"takes at most {most // DAY_MS}d")
    return length


def _checked(changed: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    unknown = [one for one in changed.get("waterfall", ()) if one not in MATCH_TYPES]
    if unknown:
        problems.append(f"waterfall: {', '.join(unknown)} is not among {', '.join(MATCH_TYPES)}")
    if len(set(changed.get("waterfall", ()))) != len(changed.get("waterfall", ())):
        problems.append("waterfall names a match type twice")
    problems += [
        f"{name} takes a number from 0 to 1"
        for name in ("min_confidence", "ambiguity_margin")
        if not 0 <= changed.get(name, 0) <= 1
    ]
    problems += [
        f"{name} takes a number from 1 to {_MOST_REMEMBERED}"
        for name in (
            *("max_asked", "max_touches", "max_links", "max_probes", "max_sessions"),
            "max_recent_events",
        )
        if not 1 <= changed.get(name, 1) <= _MOST_REMEMBERED
    ]
    if not 0 <= changed.get("depth", 0) <= DEEPEST:
        problems.append(f"depth takes a number from 0 to {DEEPEST}")
    return problems


def _bad_weights(changed: Mapping[str, Any]) -> list[str]:
    weights = changed.get("channel_weights", {})
    return [name for name, weight in weights.items() if not 0 <= weight < 1e18]


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
