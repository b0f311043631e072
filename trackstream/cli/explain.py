"""`trackstream explain`."""

from __future__ import annotations

import click

from trackstream.cli.base import example
from trackstream.cli.database import database

__all__ = ["explain"]


@click.command(
    epilog=example("trackstream explain demo:install-1", "trackstream explain install-1 --json")
)
@click.argument("conversion_id")
@click.option("--app", "app_id", help="Only this app's, if an event id is in several.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
def explain(conversion_id: str, app_id: str | None, *, as_json: bool) -> None:
    """Tell how a conversion was attributed, and why.

    CONVERSION_ID is a conversion's id, or the id of the event that it was. Shows the decision,
    every click and impression that was considered with what was decided of it, and how the
    decision changed as more became known.
    """
    from trackstream.storage.explain import explain as read

    with database() as (engine, _):
        found = read(engine, conversion_id, app_id=app_id)
    if as_json:
        import json

        import msgspec

        click.echo(json.dumps(msgspec.to_builtins(found), ensure_ascii=False))
        return
    from trackstream.cli.explanation import tell

    for number, one in enumerate(found):
        if number:
            click.echo()
        tell(one)
