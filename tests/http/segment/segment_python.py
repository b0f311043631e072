"""segment-analytics-python as its users use it: `segment_python.py URL WRITE_KEY COUNT`."""

import sys
from typing import Any

from segment.analytics.client import Client

USER = "u-python"


def main(url: str, write_key: str, count: int) -> None:
    errors: list[Any] = []
    client = Client(
        write_key, host=url, gzip=count > 0, on_error=lambda error, _: errors.append(error)
    )
    for number in range(count):
        client.track(USER, "Numbered", {"n": number})
    if not count:
        context = {"campaign": {"name": "spring"}, "ip": "203.0.113.7"}
        client.identify(USER, {"plan": "pro"})
        client.track(USER, "Order Completed", {"revenue": 49.99, "currency": "EUR"}, context)
        client.page(USER, "docs", "Home", {"url": "https://a.example/"})
        client.screen(USER, "app", "Cart")
        client.group(USER, "g-1", {"seats": 3})
        client.alias("anon-python", USER)
    client.shutdown()
    if errors:
        sys.exit(f"given up: {errors}")


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
