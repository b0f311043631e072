"""How rows travel: as CSV by COPY into a temporary table, and from there by one INSERT.

COPY is the fastest way in, but it knows neither conflicts nor conversions. The temporary table
holds plain types (milliseconds, millionths); PostgreSQL converts, which keeps this process free
for decoding. Empty text means absent: both become NULL, in columns that may be.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from sqlalchemy import Date, LargeBinary, Numeric, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Column

__all__ = ["Staged", "as_csv", "moment"]

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it so


def as_csv(rows: Iterable[tuple[Any, ...]]) -> bytes:
    """Rows as COPY reads them. NUL, which PostgreSQL's text cannot hold, becomes U+FFFD."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)  # so that both are quoted in a field
    text = out.getvalue()
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return text.encode()


class Staged:
    """The temporary table before a table, and the statements that use it.

    Args:
        table: Where rows go in the end.
        columns: Its columns, in the order of the values in a row; those that PostgreSQL fills in
            by itself may be missing.

    Attributes:
        create: Makes the temporary table, which empties itself at each commit.
        copy: Takes rows in CSV.
        columns: The names, as in an INSERT.
        values: The expressions over the temporary table that give them.
        name: The temporary table.
    """

    def __init__(self, table: Table, columns: tuple[str, ...]) -> None:
        filled = {column.name for column in table.columns if column.server_default is not None}
        unknown = (set(columns) ^ set(table.columns.keys())) - (filled - set(columns))
        if unknown:
            raise ValueError(f"{table.name}: {sorted(unknown)} in one and not in the other")
        self.table = table
        self.name = f"stage_{table.name}"
        self.columns = ", ".join(columns)
        self.values = ", ".join(converted(table.c[name]) for name in columns)
        typed = ", ".join(f"{name} {_staged_type(table.c[name])}" for name in columns)
        self.create = f"CREATE TEMP TABLE {self.name} ({typed}) ON COMMIT DELETE ROWS"
        required = ", ".join(name for name in columns if _is_required_text(table.c[name]))
        self.copy = (
            f"COPY {self.name} ({self.columns}) FROM STDIN "
            f"(FORMAT csv, FORCE_NOT_NULL ({required}))"
        )


def moment(milliseconds: str) -> str:
    """The expression of the moment; exact in any year, which a division by 1000.0 is not."""
    return f"(to_timestamp({milliseconds} / 1000) + {milliseconds} % 1000 * interval '1 ms')"


def converted(column: Column[Any]) -> str:
    """The expression that makes a column's value of the staged one."""
    name, kind = column.name, column.type
    if isinstance(kind, TIMESTAMP):
        return moment(name)
    if isinstance(kind, Numeric) and kind.scale == 6:
        return f"{name} * 0.000001"
    if isinstance(kind, Date):
        return f"DATE '1970-01-01' + {name}"
    if isinstance(kind, ARRAY):
        return f"ARRAY(SELECT jsonb_array_elements_text({name}))"
    return str(name)


def _staged_type(column: Column[Any]) -> str:
    kind = column.type
    if isinstance(kind, TIMESTAMP) or (isinstance(kind, Numeric) and kind.scale == 6):
        return "bigint"
    if isinstance(kind, Date):
        return "integer"
    if isinstance(kind, ARRAY):
        return "jsonb"
    return str(kind.compile(_DIALECT))


def _is_required_text(column: Column[Any]) -> bool:
    kind = column.type.python_type
    return kind is str and not column.nullable and not isinstance(column.type, LargeBinary)
