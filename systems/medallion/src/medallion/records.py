"""Records of bronze: a report's rows as text, one CSV record each, whatever the file was."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPECIAL = r'[",\r\n]'


def as_records(frame: pl.DataFrame) -> pl.Series:
    """Each row as one CSV record with commas; only what has to be is quoted, and what is missing is empty."""
    fields = [_quoted(name) for name in frame.columns]
    return frame.select(pl.concat_str(fields, separator=",").alias("record")).to_series()


def from_records(records: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
    """The rows again, all text, in the same order."""
    if records.is_empty():
        return pl.DataFrame({name: [] for name in columns}, schema=dict.fromkeys(columns, pl.String))
    text = "\n".join(records)
    return pl.read_csv(
        io.BytesIO(text.encode()),
        has_header=False,
        new_columns=list(columns),
        infer_schema=False,
        truncate_ragged_lines=False,
    )


def _quoted(name: str) -> pl.Expr:
    value = pl.col(name).cast(pl.String).fill_null("")
    return (
        pl.when(value.str.contains(_SPECIAL))
        .then(pl.concat_str(pl.lit('"'), value.str.replace_all('"', '""', literal=True), pl.lit('"')))
        .otherwise(value)
    )
