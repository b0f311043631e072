"""`trackstream replay`: what if the rules had been others?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trackstream.cli.base import Problem, example
from trackstream.cli.database import database
from trackstream.cli.output import show
from trackstream.cli.period import days, period_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from trackstream.core.models import Weigh
    from trackstream.core.replay import Difference
    from trackstream.core.rules import Rules
    from trackstream.settings import Settings
    from trackstream.storage.replay_changes import Changes
    from trackstream.storage.rules import RulesStore

__all__ = ["replay"]

_SENT_AT_ONCE = 200
_NO_CAMPAIGN = "(none)"


@click.command(
    short_help="Decide again under other rules, and show what would differ.",
    epilog=example(
        "trackstream replay --from 2025-07-01 --to 2025-07-31 --rules stricter.toml",
        "trackstream replay --from 2025-07-01 --to 2025-07-31 --rules stricter.toml --write",
        "",
        "where stricter.toml may hold:",
        "",
        'click_window = "3d"',
    ),
)
@period_options("Conversions")
@click.option(
    "--rules",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A rules file (TOML); else the rules that count for the app now.",
)
@click.option("--app", "app_id", help="Whose; else TRACKSTREAM_APP_ID.")
@click.option("--write", is_flag=True, help="Have the workers decide anew what differs.")
@click.option("--yes", is_flag=True, help="With --write: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of one object.")
def replay(
    first: datetime,
    last: datetime,
    file: Path | None,
    app_id: str | None,
    *,
    write: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Make the stored decisions again under other rules, and show what would differ.

    Every decision is stored with the touches that were considered and the conversions before it:
    it is made again of these, in the order of time, so that what is inherited follows. Nothing is
    written, unless --write asks for it: then the workers are asked to decide again what differs,
    which they publish as the next revisions. From then on these conversions are decided by those
    rules, also when more becomes known of them; what counts for new ones stays as it is.

    Rules that say what is gathered (conversion_events, reengagement_events, depth and the bounds)
    have no effect on what was gathered.
    """
    import asyncio
    import time

    from trackstream.cli.running import needed
    from trackstream.storage.replay import Wanted, run
    from trackstream.storage.replay_changes import Changes
    from trackstream.storage.rules import RulesStore

    begin, end = days(first, last)
    models = _models()
    with database() as (engine, settings):
        if write:
            needed(settings, "kafka_url")
        whose = app_id or settings.app_id
        store = RulesStore(engine, models=models)
        content = None if file is None else _text(file)
        rules = _rules(store, whose, content, file)
        _warn(rules)
        wanted = Wanted(
            app_id=whose,
            begin=begin,
            end=end,
            rules=rules,
            models=models,
            at_ms=int(time.time() * 1000),
        )
        with Changes() as changes:
            with _Progress() as progress:
                difference = run(engine, wanted, changes, on_progress=progress)
            _tell(difference, rules, as_json=as_json)
            if write and difference.changed:
                if not yes:
                    _confirm(difference.changed, rules)
                if content is not None:
                    _keep(store, whose, content, rules)
                _let_all_know(rules)
                asyncio.run(_ask_again(settings, changes))
                click.echo(f"{difference.changed} written: workers decide them anew.", err=True)


def _models() -> dict[str, Weigh]:
    from trackstream.analysis import own_models
    from trackstream.core.credits import MODELS

    return {**MODELS, **own_models.load().models}


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{file} cannot be read: {error}") from error


def _rules(store: RulesStore, app_id: str, content: str | None, file: Path | None) -> Rules:
    """Those of the file, else the app's own, else the defaults."""
    from trackstream.core.rules import DEFAULT
    from trackstream.core.rules_file import RulesError
    from trackstream.storage.errors import NotFoundError

    try:
        if content is not None:
            return store.as_set(app_id, content)
        shown = store.show(app_id)
    except RulesError as error:
        raise Problem(*(f"{file}: {problem}" for problem in error.problems)) from error
    except NotFoundError as error:
        raise Problem(str(error)) from error
    return shown.rules if shown else DEFAULT


def _warn(rules: Rules) -> None:
    from trackstream.core.replay import GATHERING
    from trackstream.core.rules import DEFAULT

    names = [one for one in GATHERING if getattr(rules, one) != getattr(DEFAULT, one)]
    if names:
        click.echo(f"without effect on what was gathered: {', '.join(names)}", err=True)


class _Progress:
    """A bar on standard error, where that is a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self._bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("replaying", total=None)

    def __enter__(self) -> Callable[[int, int], None]:
        self._bar.start()
        return lambda done, total: self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _tell(difference: Difference, rules: Rules, *, as_json: bool) -> None:
    campaigns = [
        {"campaign_id": one, "before": difference.before[one], "after": difference.after[one]}
        for one in sorted({*difference.before, *difference.after}, key=lambda one: one or "")
    ]
    methods = [
        {"method": before, "then": after, "conversions": count}
        for (before, after), count in sorted(difference.methods.items())
    ]
    if as_json:
        row = {
            "rules_version": rules.version,
            "replayed": difference.replayed,
            "changed": difference.changed,
            "only_credits": difference.only_credits,
            "not_replayable": difference.untold,
            "campaigns": campaigns,
            "methods": methods,
            "examples": difference.examples,
        }
        show([row], as_json=True, columns=[], empty="")
        return
    click.echo(
        f"{difference.changed} of {difference.replayed} decisions differ under {rules.version}."
    )
    if difference.untold:
        click.echo(f"{difference.untold} were published without what it takes to decide again.")
    if difference.only_credits:
        click.echo(f"{difference.only_credits} of these in multi-touch credits alone.")
    if not difference.changed:
        return
    click.echo()
    show(
        [_signed(one) for one in campaigns if one["before"] != one["after"]],
        as_json=False,
        columns=["campaign_id", "before", "after", "change"],
        empty="No campaign has more or fewer of them.",
    )
    if methods:
        click.echo()
        show(methods, as_json=False, columns=["method", "then", "conversions"], empty="")
    click.echo(f"\nThe first: {', '.join(difference.examples)}")
    click.echo(f"How it was decided: trackstream explain {difference.examples[0]}")


def _signed(campaign: dict[str, Any]) -> dict[str, Any]:
    change = campaign["after"] - campaign["before"]
    name = _NO_CAMPAIGN if campaign["campaign_id"] is None else campaign["campaign_id"]
    return {**campaign, "campaign_id": name, "change": f"{change:+}"}


def _confirm(count: int, rules: Rules) -> None:
    question = f"Have the workers decide {count} conversions anew, by {rules.version}?"
    if not click.confirm(question, err=True):
        raise Problem("nothing was written")


def _keep(store: RulesStore, app_id: str, content: str, rules: Rules) -> None:
    from trackstream.storage.errors import NotFoundError

    try:
        store.keep(app_id, content, rules)
    except NotFoundError as error:
        raise Problem(str(error)) from error


def _let_all_know(rules: Rules) -> None:
    """Wait until every worker knows the rules, which may just have been set."""
    import time

    from trackstream.core.rules import DEFAULT
    from trackstream.storage.rules import EFFECTIVE_AFTER_S

    if rules.version != DEFAULT.version:
        click.echo(f"All workers know the rules in {EFFECTIVE_AFTER_S} s.", err=True)
        time.sleep(EFFECTIVE_AFTER_S)


async def _ask_again(settings: Settings, changes: Changes) -> None:
    from itertools import islice

    from trackstream.codec import encode
    from trackstream.ports import Undelivered
    from trackstream.storage.log_sink import KafkaSink

    sink = KafkaSink(settings)
    done = 0
    waiting = iter(changes)
    try:
        await sink.start()
        while some := list(islice(waiting, _SENT_AT_ONCE)):
            await sink.send(
                [("candidates", one.conversion_id.encode(), encode(one)) for one in some]
            )
            done += len(some)
    except Undelivered as error:
        raise Problem(
            f"{done} were written, then: {error}",
            "run it again: what is decided anew already is then as it would be",
        ) from error
    finally:
        await sink.stop()
