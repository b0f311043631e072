"""Somebody's own models: what other distributions give under the entry point group.

A distribution names them in its metadata:

    [options.entry_points]
    trackstream.models =
        halves = my_package.attribution:halves
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from trackstream.core.models import BUILT_IN, Weigh

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "LEARNT", "OwnModels", "load"]

GROUP = "trackstream.models"

LEARNT = ("markov", "shapley")
"""Models that are learnt from paths, whose names are taken as those of the built-in ones are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnModels:
    """What there is, and what is wrong with the rest."""

    models: dict[str, Weigh] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Where each comes from, as its entry point says: module:function."""
    problems: list[str] = field(default_factory=list)
    """One line for each entry point that cannot be used."""


def load(found: Iterable[EntryPoint] | None = None) -> OwnModels:
    """Import the models of installed distributions; whatever is wrong with one, the others work.

    Args:
        found: the entry points, if not those of what is installed.
    """
    own = OwnModels()
    taken = set(BUILT_IN) | set(LEARNT)
    ordered = entry_points(group=GROUP) if found is None else found
    for point in sorted(ordered, key=lambda one: (one.name, one.value)):
        why = _problem(point, taken)
        if why is None:
            try:
                model = point.load()
            # An import runs whatever its author wrote, and may even want to exit.
            except (Exception, SystemExit) as error:  # noqa: BLE001 - see above
                why = f"cannot be imported: {type(error).__name__}: {error}"
            else:
                if callable(model):
                    own.models[point.name] = model
                    own.sources[point.name] = point.value
                    taken.add(point.name)
                    continue
                why = f"is no function but {type(model).__name__}"
        own.problems.append(f"own model {point.name} ({point.value}) {why}")
    return own


def _problem(point: EntryPoint, taken: set[str]) -> str | None:
    if point.name in BUILT_IN or point.name in LEARNT:
        return "has the name of a built-in model"
    return "has a name that another one has" if point.name in taken else None
