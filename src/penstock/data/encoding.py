"""Rows as the text that COPY reads: each column as its target's type reads it, null and the empty text told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from penstock.data.tables import Column
from penstock.data.wording import NULL, text_of
from penstock.model.errors import InvalidData

SLICE = 50_000
"""So many rows are encoded at once, off the event loop."""
_SPECIAL = ["\\", "\n", "\r", "\t"]
_ESCAPED = ["\\\\", "\\n", "\\r", "\\t"]
_WHOLE = ("int2", "int4", "int8")


def frame_of(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Column], table: str) -> pl.DataFrame:
    """Mappings as a frame of text; a key that a row lacks is null there.

    Raises:
        InvalidData: A value has no form that its column could read; it names column, value and row.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    series: list[pl.Series] = []
    for name in names:
        if name not in columns:  # refused later, with all others that are not
            series.append(pl.Series(name, [None] * len(rows), dtype=pl.String))
            continue
        series.append(_worded(name, [row.get(name) for row in rows], columns[name], table, 0))
    return pl.DataFrame(series)


def _worded(name: str, values: Sequence[Any], column: Column, table: str, before: int) -> pl.Series:
    texts: list[str | None] = []
    for number, value in enumerate(values, before + 1):
        try:
            text = text_of(value, column)
            if text is not None:
                text.encode()
        except ValueError as error:
            why = "it is not Unicode" if isinstance(error, UnicodeError) else str(error)
            raise misfit(table, column, value, number, why) from None
        texts.append(text)
    return pl.Series(name, texts, dtype=pl.String)


def encode(frame: pl.DataFrame, columns: Mapping[str, Column], table: str, before: int) -> bytes:
    """The frame's rows in COPY's text format.

    Args:
        frame: The rows.
        columns: What each column goes into.
        table: The table's name, for messages.
        before: How many rows of this load came before, so that rows are counted through.

    Raises:
        InvalidData: A value has no form that its column could read; it names column, value and row.
    """
    ready = pl.DataFrame([_encoded(frame[name], columns[name], table, before) for name in frame.columns])
    return ready.write_csv(include_header=False, separator="\t", quote_style="never", null_value=NULL).encode()


def _encoded(series: pl.Series, column: Column, table: str, before: int) -> pl.Series:
    kind, name = series.dtype, series.name

    def refuse(bad: pl.Series, why: str) -> None:
        """Name the first value for which `bad` is true."""
        at = bad.fill_null(value=False).arg_true()
        if len(at):
            raise misfit(table, column, series[at[0]], before + at[0] + 1, why)

    if kind == pl.Null:
        return series.cast(pl.String)
    if kind.is_nested() or kind == pl.Object or (column.is_json and kind != pl.String):
        return _escaped(_worded(name, series.to_list(), column, table, before), refuse)
    if isinstance(kind, pl.Datetime):
        return _moments(series, column, refuse)
    if kind.is_float() and column.base in _WHOLE:
        # A column of integers that has nulls comes as floats from many a source.
        refuse(~series.is_finite() | (series != series.floor()) | (series.abs() >= 2.0**63), "it is no whole number")
        return series.cast(pl.Int64)
    if isinstance(kind, pl.Duration):
        return series.dt.total_microseconds().cast(pl.String) + pl.Series([" microseconds"])
    if kind == pl.Binary:
        return pl.Series([r"\\x"]) + series.bin.encode("hex")
    if kind == pl.String or isinstance(kind, pl.Categorical | pl.Enum):
        return _escaped(series.cast(pl.String), refuse)
    return series


def _moments(series: pl.Series, column: Column, refuse: Callable[[pl.Series, str], None]) -> pl.Series:
    """Points in time, in UTC: one without a zone is in UTC, and a column without a zone holds UTC."""
    kind = series.dtype
    if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if column.base == "date":
        refuse(series != series.dt.truncate("1d"), "it has a time of day, and the column holds a date")
        return series.dt.date()
    text = series.dt.to_string("%Y-%m-%d %H:%M:%S%.6f")
    return text + pl.Series(["+00"]) if column.base == "timestamptz" else text


def _escaped(series: pl.Series, refuse: Callable[[pl.Series, str], None]) -> pl.Series:
    if series.str.contains("\0", literal=True).any():
        refuse(series.str.contains("\0", literal=True), "PostgreSQL's texts hold no NUL character")
    if series.str.contains_any(_SPECIAL).any():
        return series.str.replace_many(_SPECIAL, _ESCAPED)
    return series


def misfit(table: str, column: Column, value: Any, row: int, why: str) -> InvalidData:
    """The error that names a value which does not fit."""
    shown = repr(value)
    if len(shown) > 80:  # noqa: PLR2004 - a message stays readable
        shown = shown[:79] + "…"
    return InvalidData(
        f"{table}: row {row:,} has {column.name}={shown}, which does not fit into {column.type}: {why}. "
        "Nothing was loaded."
    )
