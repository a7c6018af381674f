"""Rows of a Parquet file, which has its types with it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl

from penstock.data.sources.faults import BadInput
from penstock.data.sources.header import column_names
from penstock.data.sources.opening import Opened
from penstock.data.sources.options import Options
from penstock.data.sources.table import Part, Table


def parquet_table(opened: Opened, options: Options, rows: int | None) -> Table:
    """The file's columns, and its rows, at most so many at once. Raises `BadInput`."""
    place = replace(opened.place, row="row")
    source: Any = place.path if opened.plain else io.BytesIO(opened.stream.read())

    def collected(frame: pl.LazyFrame) -> pl.DataFrame:
        try:
            return frame.collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise BadInput(place, f"not a readable Parquet file ({reason}); fetch it again") from error

    # A path may hold * or =, which are no patterns here.
    scanned = pl.scan_parquet(source, glob=False, hive_partitioning=False)
    height = collected(scanned.select(pl.len())).item()
    names = column_names(collected(scanned.head(0)).columns, options, place, 1 if options.names else None)

    def parts() -> Iterator[Part]:
        step = rows or max(height, 1)
        for begin in range(0, height, step):
            frame = collected(scanned.slice(begin, step))
            lines = pl.int_range(begin + 1, begin + 1 + frame.height, dtype=pl.Int64, eager=True)
            yield Part(frame=frame, lines=lines)
        if height == 0:
            yield Part(frame=collected(scanned.head(0)), lines=pl.Series([], dtype=pl.Int64))

    return Table(place=place, names=names, parts=parts(), text=False)
