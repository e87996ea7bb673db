"""The one door to pandas: rows become a table file. Nothing else in evalkit knows that pandas exists."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Literal

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = ["ColumnKind", "csv_from_rows", "parquet_from_rows"]

ColumnKind = Literal["text", "number", "count", "flag"]

_DTYPES = {"text": "string", "number": "float64", "count": "Int64", "flag": "boolean"}


def csv_from_rows(rows: Iterable[Mapping[str, str | float | None]], *, columns: Sequence[str]) -> bytes:
    """Return UTF-8 CSV with a header, one line per row, in the order given.

    Numbers keep every digit (the shortest text that reads back as the same double); None is an empty field. The header
    is there even when there is no row. What a spreadsheet would run as a formula is the caller's to defuse.

    Raises:
        ValueError: when a row has a key that is no column.
    """
    # dtype object: with inferred types an integer column that misses one value would turn into 3.0, 4.0.
    frame = pd.DataFrame(_checked(rows, columns), columns=list(columns), dtype=object)
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text.encode("utf-8", errors="backslashreplace")


def parquet_from_rows(
    rows: Iterable[Mapping[str, str | float | None]],
    *,
    columns: Mapping[str, ColumnKind],
) -> bytes:
    """Return a Parquet table, one line per row, in the order given.

    Every column has the type it is declared with, also in a table without rows: nights can then be read as one. None is
    null. No field is defused: Parquet has no formulas.

    Raises:
        ValueError: when a row has a key that is no column.
        ImportError: when pyarrow, the extra `parquet`, is not installed.
    """
    wide = _checked(rows, columns)
    frame = pd.DataFrame(
        {name: pd.Series([row.get(name) for row in wide], dtype=_DTYPES[kind]) for name, kind in columns.items()}
    )
    target = BytesIO()
    frame.to_parquet(target, engine="pyarrow", index=False)
    return target.getvalue()


def _checked(
    rows: Iterable[Mapping[str, str | float | None]], columns: Collection[str]
) -> list[dict[str, str | float | None]]:
    wide = [dict(row) for row in rows]
    for row in wide:
        if unknown := sorted(row.keys() - set(columns)):
            raise ValueError(f"no column for {unknown[0]!r}; the columns are {', '.join(columns)}")
    return wide
