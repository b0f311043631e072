"""rudder-sdk-python as its users use it: `rudder_python.py URL WRITE_KEY [unnamed]`.

With the last word there is one call more, which has no name.
"""

import sys
from typing import Any

from rudderstack.analytics.client import Client

USER = "u-rudder"


def main(url: str, write_key: str, *more: str) -> None:
    errors: list[Any] = []
    client = Client(write_key, host=url, on_error=lambda error, _: errors.append(error))
    client.identify(USER, {"plan": "pro"})
    client.track(USER, "Order Completed", {"total": 49.99, "currency": "EUR"})
    client.page(USER, "docs", "Home", {"url": "https://a.example/"})
    client.screen(USER, "app", "Cart")
    client.group(USER, "g-1", {"seats": 3})
    client.alias("anon-rudder", USER)
    if more:
        client.track(USER, "")
    client.shutdown()
    if errors:
        sys.exit(f"given up: {errors}")


main(*sys.argv[1:])
