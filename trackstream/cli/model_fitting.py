"""What `trackstream models fit` does: journeys in, a fitted model out."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from trackstream.analysis import own_models, path_file
from trackstream.analysis.fitting import Wanted, fit
from trackstream.analysis.paths import Paths
from trackstream.analysis.results import NothingToLearnError
from trackstream.cli.base import Problem
from trackstream.cli.database import database
from trackstream.core.models import BUILT_IN, ModelError, PathCount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import TextIO

    from trackstream.analysis.results import Fitted
    from trackstream.core.models import ConvertedPath

__all__ = ["Request", "run"]

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, checked as far as it can be without looking at the journeys."""

    paths: str | None
    first: datetime | None
    last: datetime | None
    app_id: str | None
    event: str | None
    currency: str | None
    wanted: Wanted
    output: str | None
    save: bool

    @classmethod
    def checked(
        cls,
        *,
        model: str,
        order: int | None,
        half_life: float | None,
        parameters: str | None,
        samples: int | None,
        seed: int,
        **rest: Any,
    ) -> Self:
        """Of the options.

        Raises:
            UsageError: they do not fit together.
        """
        if order is not None and model != "markov":
            raise click.UsageError("--order is for --model markov")
        if samples is not None and model != "shapley":
            raise click.UsageError("--samples is for --model shapley")
        if half_life is not None and model not in {"time_decay", "priority"}:
            raise click.UsageError("--half-life is for --model time_decay and priority")
        found = _parameters(parameters)
        if half_life is not None:
            found["half_life_ms"] = half_life * _DAY_MS
        wanted = Wanted(model=model, order=order or 1, pairs=samples, seed=seed, parameters=found)
        request = cls(wanted=wanted, **rest)
        stored = request.first is not None, request.last is not None
        if (request.paths is not None) == any(stored) or any(stored) != all(stored):
            raise click.UsageError("give either --paths, or --from and --to")
        if request.first and request.last and request.last < request.first:
            raise click.UsageError("--to is before --from")
        if request.paths is not None and (request.event or request.currency):
            raise click.UsageError("--event and --currency are for --from and --to")
        return request


def _parameters(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise click.UsageError(f"--parameters is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.UsageError("--parameters is not a JSON object")
    return found


def run(request: Request) -> tuple[Fitted, list[str]]:
    """Fit, and keep the result if that was asked for.

    Returns:
        The result, and what else there is to say of it.

    Raises:
        Problem: the model or the journeys cannot be used.
    """
    own = own_models.load()
    notes: list[str] = []
    conversions: list[ConvertedPath] | None = None
    currency = None
    if request.paths is not None:
        paths = _of_file(request.paths)
    else:
        paths, conversions, currency = _of_storage(request, notes)
    try:
        result = fit(request.wanted, paths, own=own.models, conversions=conversions)
    except ModelError as error:
        known = {*BUILT_IN, *own_models.LEARNT, *own.models}
        why = [] if request.wanted.model in known else own.problems
        raise Problem(f"{request.wanted.model}: {error}", *why) from error
    except NothingToLearnError as error:
        raise Problem(str(error), *notes) from error
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"numpy", "scipy"}:
            raise
        raise Problem(
            f"{request.wanted.model} needs numpy and scipy, which are not installed",
            "install the extra: pip install 'trackstream[models]'",
        ) from error
    if request.save:
        notes.append(f"kept as {_keep(request, result, currency)}")
    return result, notes


def _of_file(name: str) -> Paths:
    try:
        with _opened(name) as file:
            return Paths(path_file.read(file))
    except path_file.PathFileError as error:
        raise Problem(*(f"{name}: {one}" for one in error.problems)) from error
    except OSError as error:
        raise Problem(f"cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Problem(f"cannot read {name}: it is not UTF-8 ({error})") from error


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == "-":
        yield sys.stdin
        return
    with Path(name).open(encoding="utf-8", newline="") as file:
        yield file


def _of_storage(
    request: Request, notes: list[str]
) -> tuple[Paths, list[ConvertedPath], str | None]:
    from trackstream.storage.model_paths import Period, read

    assert request.first is not None  # noqa: S101 - `checked` has seen to it
    assert request.last is not None  # noqa: S101 - likewise
    with database() as (engine, settings):
        stored = read(
            engine,
            Period(
                app_id=request.app_id or settings.app_id,
                begin=request.first.replace(tzinfo=UTC),
                end=request.last.replace(tzinfo=UTC) + timedelta(days=1),
                event=request.event,
            ),
        )
    touched = [one for one in stored.converted if one.path]
    organic = len(stored.converted) - len(touched)
    if organic:
        notes.append(f"left out: {organic} organic conversions, which no touch led to")
    currency = _currency(touched, request.currency)
    touched = [
        one if one.currency == currency else one._replace(revenue_micros=0, currency=currency)
        for one in touched
    ]
    counts = (
        PathCount(tuple(touch.channel for touch in one.path), 1, one.revenue_micros, 0)
        for one in touched
    )
    return Paths([*counts, *stored.unconverted]), touched, currency


def _currency(converted: list[ConvertedPath], wanted: str | None) -> str | None:
    """The currency of the value; amounts of several cannot be added up.

    Raises:
        Problem: there are several, and none was asked for.
    """
    if wanted is not None:
        return wanted.upper()
    there = {one.currency for one in converted if one.revenue_micros}
    if len(there) > 1:
        listed = ", ".join(sorted(one or "(none)" for one in there))
        raise Problem(
            f"there is revenue in several currencies: {listed}",
            "say with --currency which to count; conversions count in any case",
        )
    return next(iter(there), None)


def _keep(request: Request, result: Fitted, currency: str | None) -> str:
    from trackstream.storage.model_results import ModelResult, ModelResultRow, keep

    source = "stored" if request.paths is None else Path(request.paths).name
    with database() as (engine, settings):
        return keep(
            engine,
            ModelResult(
                app_id=request.app_id or settings.app_id,
                model=result.model,
                parameters=result.parameters,
                source=source,
                first_day=request.first.date() if request.first else None,
                last_day=request.last.date() if request.last else None,
                event=request.event,
                currency=currency,
                total_nulls=result.totals.nulls,
                rows=[
                    ModelResultRow(
                        channel=row.channel,
                        share=row.share,
                        conversions_millionths=row.conversions_millionths,
                        value_micros=row.value_micros,
                        effect=row.effect,
                        standard_error=row.standard_error,
                    )
                    for row in result.rows
                ],
            ),
        )
