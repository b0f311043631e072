"""`trackstream funnels live`: how far today's entries have come by now, asked of a worker."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import click

from trackstream.cli.base import Problem, example
from trackstream.cli.output import json_option, moment, show

if TYPE_CHECKING:
    from datetime import datetime

    from trackstream.settings import Settings

__all__ = ["live", "percent"]

_TIMEOUT_S = 10.0


@click.command(
    "live",
    epilog=example(
        "trackstream funnels live checkout",
        "trackstream funnels live checkout --day 2025-07-10 --json",
    ),
    short_help="Count who has come how far by now, from the stream.",
)
@click.argument("name")
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Of entry, in UTC; one of the last 8.  [default: today]",
)
@click.option("--app", "app_id", help="Whose; else TRACKSTREAM_APP_ID.")
@click.option(
    "--worker-url",
    help="Any worker; else that of `trackstream up` here, else the settings' host and port.",
)
@json_option
def live(
    name: str, day: datetime | None, app_id: str | None, worker_url: str | None, *, as_json: bool
) -> None:
    """Count who has come how far in the funnel NAME by now, of those who entered it on a day.

    The workers count while events arrive, so this is there within seconds and asks no database.
    It counts from when the funnel was set on, and who uses two devices counts twice: `trackstream
    funnels show` is exact, takes any days, and has medians, too.
    """
    from trackstream.cli.running import settings_beside

    settings = settings_beside()
    asked = {"app_id": app_id or settings.app_id}
    if day is not None:
        asked["day"] = day.date().isoformat()
    base = worker_url or _worker_url(settings)
    found = _get(settings, base, f"/funnels/{quote(name, safe='')}/live?{urlencode(asked)}")
    rows = found["steps"]
    if not as_json:
        shares = ("of_previous", "of_first")
        rows = [{**row, **{share: percent(row[share]) for share in shares}} for row in rows]
    columns = ["step", "event", "count", "of_previous", "of_first"]
    show(rows, as_json=as_json, columns=columns, empty="")
    if _begins_on(found["day"], found["since_ms"]):
        click.echo(f"Counted since {moment(found['since_ms'])} UTC, when it was set.", err=True)
    for one in found["silent"]:
        click.echo(f"The worker {one} does not answer: its counts are missing.", err=True)


def percent(share: float | None) -> str:
    """A share as people read it; nothing for None."""
    return "" if share is None else f"{share:.1%}"


def _begins_on(day: str, since_ms: int) -> bool:
    """Whether what came earlier on that day is missing."""
    from datetime import UTC, datetime

    return since_ms > datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000


def _worker_url(settings: Settings) -> str:
    from trackstream.cli.running import found

    running = found(settings.data_dir)
    if not isinstance(running, str):
        return running.worker_url
    if not settings.worker_port:
        raise Problem("give --worker-url: the settings say any free port for the worker")
    return f"http://{settings.worker_host}:{settings.worker_port}"


def _get(settings: Settings, base: str, path: str) -> Any:
    """JSON of a worker; where it asks who wants to know, with the settings' key."""
    if urlsplit(base).scheme not in {"http", "https"}:
        raise Problem(f"{base} is no http or https URL")
    url = base.rstrip("/") + path
    try:
        try:
            return _read(url, {})
        except urllib.error.HTTPError as error:
            if error.code != 401 or settings.key_id is None or settings.secret is None:
                raise
            error.close()
            pair = b64encode(f"{settings.key_id}:{settings.secret}".encode()).decode()
            return _read(url, {"Authorization": f"Basic {pair}"})
    except urllib.error.HTTPError as error:
        with error:
            raise Problem(_detail(error.read()) or f"the worker at {base}: {error}") from error
    except (OSError, ValueError) as error:
        raise Problem(
            f"the worker at {base} does not answer: {error}", "is one running? --worker-url"
        ) from error


def _read(url: str, headers: dict[str, str]) -> Any:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - checked by the caller
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - as above
        return json.loads(answer.read())


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return ""
