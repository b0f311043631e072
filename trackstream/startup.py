"""What `faust -A trackstream` finds: the app of this environment, or a readable complaint."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from trackstream.settings import Settings, SettingsError

if TYPE_CHECKING:
    from trackstream.application import Application

__all__ = ["check_names", "load_app"]

_SHARED_NAMES = ("agents", "tables", "schemas")


def check_names() -> None:
    """Make sure that our top-level packages are ours: other distributions use the names, too.

    To be called before anything imports them.

    Raises:
        SettingsError: One of them would be imported from somewhere else.
    """
    ours = Path(__file__).resolve().parent.parent
    problems = []
    for name in _SHARED_NAMES:
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec and spec.origin else None
        place = Path(origin).resolve().parent.parent if origin else None
        if place != ours:
            owners = importlib.metadata.packages_distributions().get(name, [])
            others = " and ".join(sorted({*owners} - {"trackstream"})) or "no distribution"
            problems.append(
                f"the package {name!r} is found in {place or 'no file'}, which is not "
                f"trackstream's ({others} owns it): give trackstream an environment of its own"
            )
    if problems:
        raise SettingsError(problems)


def load_app() -> Application:
    """The Faust app with the settings of this environment, on uvloop.

    Raises:
        SystemExit: It cannot be made; the message names every problem, one a line.
    """
    try:
        settings = Settings.load()
        check_names()
        from trackstream.application import create_app, use_uvloop
        from trackstream.storage.errors import StorageError

        try:
            app = create_app(settings)
        except StorageError as error:
            raise SettingsError([str(error)]) from error
    except SettingsError as error:
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        raise SystemExit(f"trackstream cannot start:\n{lines}") from None
    use_uvloop()
    return app
