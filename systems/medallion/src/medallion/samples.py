"""Advertising reports made by us: the same on every machine, and dirty on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import polars as pl

ROWS: Final = 125_000
DAYS: Final = 5
CAMPAIGNS: Final = 300
FIRST_DAY: Final = date(2024, 12, 19)
_SEED: Final = 20_241_223
_MODULUS: Final = 2_147_483_647


@dataclass(frozen=True, kw_only=True)
class Dirt:
    """How many rows of all are spoiled, and how."""

    missing_fields: int = 250
    invalid_types: int = 125
    out_of_range: int = 75
    duplicates: int = 150

    @property
    def total(self) -> int:
        """All of them: no row is spoiled twice."""
        return self.missing_fields + self.invalid_types + self.out_of_range + self.duplicates


DIRT: Final = Dirt()


def report(
    day: int, *, rows: int = ROWS // DAYS, days: int = DAYS, dirt: Dirt = DIRT, restated: bool = False
) -> pl.DataFrame:
    """The report of one day, every column text, as a DSP would send it.

    Args:
        day: Its number, from 0.
        rows: How many rows it has.
        days: Among how many days the dirt is divided.
        dirt: What is spoiled in all days together.
        restated: With other figures for every campaign's spend: the report sent again.
    """
    number = pl.int_range(rows, dtype=pl.Int64, eager=True) + day * rows
    chance = {name: _mixed(number, salt) for salt, name in enumerate(("impressions", "clicks", "conversions", "spend"))}
    frame = pl.DataFrame({"n": number, **chance}).with_columns(campaign=pl.col("n") % CAMPAIGNS + 1)
    impressions = pl.col("impressions") % 9_000 + 1_000
    clicks = impressions * (pl.col("clicks") % 40) // 1_000
    cents = impressions * (200 + pl.col("spend") % 600) // 1_000 + (1 if restated else 0)
    frame = frame.select(
        pl.lit((FIRST_DAY + timedelta(days=day)).isoformat()).alias("date"),
        (pl.lit("C") + pl.col("campaign").cast(pl.String).str.zfill(4)).alias("campaign_id"),
        (pl.lit("Campaign ") + pl.col("campaign").cast(pl.String)).alias("campaign"),
        (pl.lit("L") + pl.col("n").cast(pl.String).str.zfill(7)).alias("line_item_id"),
        (pl.lit("banner ") + (pl.col("n") % 48).cast(pl.String)).alias("creative"),
        impressions.cast(pl.String).alias("impressions"),
        clicks.cast(pl.String).alias("clicks"),
        (clicks * (pl.col("conversions") % 12) // 100).cast(pl.String).alias("conversions"),
        _money(cents).alias("spend"),
        _money(cents * (80 + pl.col("conversions") % 140) // 100).alias("revenue"),
        pl.lit("USD").alias("currency"),
    )
    return _spoiled(frame, dirt, days)


def write_reports(folder: Path, *, rows: int = ROWS, days: int = DAYS, dirt: Dirt = DIRT) -> list[Path]:
    """A file per day; what lies there already with the same content is left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for day in range(days):
        path = folder / f"{(FIRST_DAY + timedelta(days=day)).isoformat()}.csv"
        content = report(day, rows=rows // days, days=days, dirt=dirt).write_csv().encode()
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)
        paths.append(path)
    return paths


def _mixed(numbers: pl.Series, salt: int) -> pl.Series:
    """Numbers without a visible pattern: two rounds of a linear congruential generator, which every machine knows."""
    state = (numbers * 16_807 + _SEED + salt * 7_919) % _MODULUS
    return (state * 48_271 + salt) % _MODULUS


def _money(cents: pl.Expr) -> pl.Expr:
    return pl.concat_str((cents // 100).cast(pl.String), pl.lit("."), (cents % 100).cast(pl.String).str.zfill(2))


def _spoiled(frame: pl.DataFrame, dirt: Dirt, days: int) -> pl.DataFrame:
    """The first rows of each tenth are spoiled; a duplicate is the row above it again."""
    rows = frame.height
    row = pl.int_range(rows)
    places = iter(range(dirt.total // days + 8))
    step = max(3, rows // (dirt.total // days + 8))

    def some(count: int) -> list[int]:
        return [next(places) * step + 1 for _ in range(count // days)]

    missing, invalid, beyond = some(dirt.missing_fields), some(dirt.invalid_types), some(dirt.out_of_range)
    again = some(dirt.duplicates)
    names = [name for name in frame.columns if name not in ("campaign_id", "clicks", "spend")]
    frame = frame.with_columns(
        pl.when(row.is_in(missing)).then(pl.lit("")).otherwise(pl.col("campaign_id")).alias("campaign_id"),
        pl.when(row.is_in(invalid)).then(pl.lit("n/a")).otherwise(pl.col("clicks")).alias("clicks"),
        pl.when(row.is_in(beyond)).then(pl.lit("-") + pl.col("spend")).otherwise(pl.col("spend")).alias("spend"),
        *(pl.col(name) for name in names),
    )
    copied = row.is_in(again)
    return frame.with_columns(
        pl.when(copied).then(pl.col(name).shift(1)).otherwise(pl.col(name)).alias(name) for name in frame.columns
    )
