"""Avro of records that are alike: what they have in common is written once.

Of a click's thirty fields six are its own; the others are its link's, its browser's and its ad's,
and come again with each click on that ad.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackstream.avro import Out, Write, compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Draw = Callable[["_Drawing", Any], None]

__all__ = ["Outline", "Outlines"]

_ABSENT, _PRESENT = b"\x00", b"\x02"
"""Numbers of the branches of a union of null and something else."""


class Outline:
    """A record's bytes with gaps, for values to be written into.

    Args:
        begin: the bytes before the first gap.
        gaps: what writes each gap's value, and the bytes that follow.
    """

    __slots__ = ("_begin", "_gaps")

    def __init__(self, begin: bytes, gaps: list[tuple[Write, bytes]]) -> None:
        self._begin = begin
        self._gaps = gaps

    def filled(self, values: Sequence[Any]) -> bytes:
        """The whole record.

        Args:
            values: one for each gap, also for those inside a record that is absent here.
        """
        out = [self._begin]
        for (put, after), value in zip(self._gaps, values, strict=True):
            put(out, value)
            out.append(after)
        return b"".join(out)


class Outlines:
    """Makes outlines of the records of one schema.

    Args:
        schema: as `avro.compiled` takes it; no type may be named in one field and used in another.
        gaps: names of the fields that differ, in the schema's order, `campaign.click_ids` for one
            inside an optional record.
        header: bytes before each record.

    Raises:
        ValueError: the schema has no such fields, or has them in another order.
    """

    def __init__(self, schema: Any, gaps: Sequence[str], *, header: bytes = b"") -> None:
        self._header = header
        found: list[str] = []
        self._write = _parted(schema["fields"], "", frozenset(gaps), found)
        if found != list(gaps):
            raise ValueError(f"the schema has {found}, not {list(gaps)}")

    def of(self, record: Any) -> Outline:
        """The outline of all records that are as this one, but for the fields that differ."""
        drawing = _Drawing(self._header)
        self._write(drawing, record)
        begin, *ends = drawing.texts()
        return Outline(begin, list(zip(drawing.puts, ends, strict=True)))


class _Drawing:
    """An outline as it is made."""

    def __init__(self, header: bytes) -> None:
        self.puts: list[Write] = []
        self.parts: list[Out] = [[header]]

    def gap(self, put: Write) -> None:
        self.puts.append(put)
        self.parts.append([])

    def texts(self) -> list[bytes]:
        return [b"".join(part) for part in self.parts]


def _parted(fields: list[Any], before: str, gaps: frozenset[str], found: list[str]) -> Draw:
    """What draws these fields of a record; `found` is told which are gaps, in their order."""
    steps: list[Draw] = []
    fixed: list[Any] = []
    for field in fields:
        name, kind = field["name"], field["type"]
        path = f"{before}{name}"
        if path in gaps:
            found.append(path)
            step = _gap(compiled(kind))
        elif any(gap.startswith(f"{path}.") for gap in gaps):
            first = len(found)
            inner = _parted(kind[1]["fields"], f"{path}.", gaps, found)
            step = _within(name, inner, len(found) - first)
        else:
            fixed.append(field)
            continue
        steps += [_fixed(fixed), step]
        fixed = []
    steps.append(_fixed(fixed))

    def draw(drawing: _Drawing, record: Any) -> None:
        for step in steps:
            step(drawing, record)

    return draw


def _gap(put: Write) -> Draw:
    return lambda drawing, _: drawing.gap(put)


def _fixed(fields: list[Any]) -> Draw:
    write = compiled({"type": "record", "name": "Fixed", "fields": fields})
    return lambda drawing, record: write(drawing.parts[-1], record)


def _within(name: str, draw: Draw, count: int) -> Draw:
    """What draws an optional record that has so many gaps."""

    def draw_within(drawing: _Drawing, record: Any) -> None:
        value = getattr(record, name)
        if value is None:
            drawing.parts[-1].append(_ABSENT)
            for _ in range(count):
                drawing.gap(_nothing)
        else:
            drawing.parts[-1].append(_PRESENT)
            draw(drawing, value)

    return draw_within


def _nothing(_out: Out, _value: object) -> None:
    """The gap of a record that is absent."""
