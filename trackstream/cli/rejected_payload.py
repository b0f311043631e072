"""The original of something refused, as somebody can read it."""

from __future__ import annotations

import json

import msgspec

from trackstream import codec
from trackstream.core.resending import inflated
from trackstream.core.texts import clean

__all__ = ["readable"]

_HEX_BYTES_IN_A_LINE = 32


def readable(payload: bytes) -> tuple[str, str]:
    """What it is (`json`, a record's name, `text` or `hex`), and the text, laid out over lines.

    Half an emoji, which UTF-8 cannot say, is U+FFFD.
    """
    body = inflated(payload)
    try:
        return "json", clean(json.dumps(json.loads(body), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        pass
    try:
        record = codec.decode(payload)
    except codec.UndecodableError:
        pass
    else:
        return type(record).__name__, msgspec.json.format(msgspec.json.encode(record)).decode()
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if text and all(one.isprintable() or one in "\r\n\t" for one in text):
        return "text", text
    return "hex", payload.hex(" ", -_HEX_BYTES_IN_A_LINE).replace(" ", "\n")
