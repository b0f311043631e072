"""`docs/settings.md`, made of the settings: `python -m trackstream.cli.settings_page`."""

from __future__ import annotations

import click

from trackstream.settings import documented

__all__ = ["page"]

_HEAD = """\
# Settings

Each is an environment variable. What is not set there comes from a TOML file: the one that
`TRACKSTREAM_CONFIG` names, else `trackstream.toml` in the data directory if it is there. Its keys
are the names below in lower case, without the prefix:

```toml
kafka_url = "kafka://broker-1:9092,broker-2:9092"
collector_port = 80
```

A name that is not a setting is an error, and all errors are reported together. `trackstream
settings` shows what each setting is now.

<!-- Made by `python -m trackstream.cli.settings_page`; a test compares. -->

| variable | default | what it is |
| --- | --- | --- |
"""


def page() -> str:
    """The page, as Markdown."""
    rows = [
        f"| `{variable}` | {f'`{default}`' if default else ''} | {what.replace('|', '/')} |"
        for variable, default, what in documented()
    ]
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    click.echo(page(), nl=False)
