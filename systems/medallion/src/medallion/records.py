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
    fields = [_quoted(frame[name]) for name in frame.columns]
    return pl.select(pl.concat_str(fields, separator=",").alias("record")).to_series()


def from_records(records: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
    """The rows again, all text, in the same order."""
    if records.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    text: str = records.str.join("\n").item()
    return pl.read_csv(io.BytesIO(text.encode()), has_header=False, new_columns=list(columns), infer_schema=False)


def _quoted(values: pl.Series) -> pl.Series:
    plain = values.cast(pl.String).fill_null("")
    special = plain.str.contains(_SPECIAL)
    if not special.any():  # as nearly always; looking is cheaper than writing it all anew
        return plain
    doubled = pl.concat_str(pl.lit('"'), plain.str.replace_all('"', '""', literal=True), pl.lit('"'))
    return pl.select(pl.when(special).then(doubled).otherwise(plain)).to_series()
