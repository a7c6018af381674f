"""Silver: rows typed, validated and without duplicates; what is filtered is kept with its reason."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any, NamedTuple

import polars as pl

import penstock as ps
from medallion.ad_rows import COLUMNS, AdRow, Line, type_of
from medallion.bronze import LINE, Landing, hold
from medallion.feeds import Feed, feed_by_id
from medallion.formats import canonical, format_of
from medallion.queries import queries
from medallion.records import from_records
from penstock import data

_FILE = "layers.sql"


class Made(NamedTuple):
    """What silver made of a landing's rows; `rejected` has line, rules, type and record."""

    good: pl.DataFrame
    rejected: pl.DataFrame

    @property
    def days(self) -> tuple[date | None, date | None]:
        """The first and the last day of a good row."""
        dates: Any = self.good["date"]
        return dates.min(), dates.max()


async def load_silver(ctx: ps.Context[Any], db: ps.Transaction, landing_id: int) -> int:
    """Make silver of a landing's bronze rows; returns how many are valid.

    Raises:
        InvalidData: The report has not the columns of the feed's format.
    """
    landing = await hold(db, landing_id)
    feed = await feed_by_id(await db.connection(), landing.feed_id)
    bronze = (await data.query(db, queries(_FILE)["bronze_rows"], id=landing_id)).sort("line")
    made = await asyncio.to_thread(make, bronze, landing, feed)
    await db.execute(queries(_FILE)["empty_silver"], {"id": landing_id})
    of_landing = pl.lit(landing_id).alias("landing_id")
    await data.load(db, made.good.select(of_landing, *COLUMNS), "silver.ad_rows", mode="append")
    if made.rejected.height:
        # Kept, and no output of the step: `written` counts the valid rows only.
        await _keep_rejected(db, landing_id, made.rejected)
        ctx.log.warning("%d records filtered due to data quality issues", made.rejected.height, file=landing.name)
    first, last = made.days
    await db.execute(
        queries(_FILE)["silver_load"],
        {
            "id": landing_id,
            "rows": bronze.height,
            "valid": made.good.height,
            "filtered": made.rejected.height,
            "first_date": first,
            "last_date": last,
        },
    )
    return made.good.height


def make(bronze: pl.DataFrame, landing: Landing, feed: Feed) -> Made:
    """Typed, valid rows, each once; and those that are none, each with the rules that it breaks.

    Of rows that are about the same ad of the same day the first counts.

    Args:
        bronze: `line`, `record` and `fault`, in the order of the lines.
        landing: The report that they are of.
        feed: Whose it is.

    Raises:
        InvalidData: The report has not the columns of the feed's format.
    """
    whole, broken = bronze.filter(pl.col("fault").is_null()), bronze.filter(pl.col("fault").is_not_null())
    text = from_records(whole["record"], landing.columns).with_columns(whole["line"].alias(LINE))
    form = format_of(feed.config.format)
    rows = canonical(text, form, line=LINE, name=landing.name, currency=feed.config.currency)
    good, bad = data.sift(rows, AdRow, keep="first", table="silver.ad_rows")
    rejected = bad.select(pl.col("line").cast(pl.Int32), "rules")
    if broken.height:
        data.sift(broken, Line, table="bronze.rows")
        lines = broken.select("line", pl.concat_str(pl.lit("whole_record: "), "fault").alias("rules"))
        rejected = pl.concat([rejected, lines])
    types = {rules: type_of(rules.partition(",")[0].partition(":")[0]) for rules in rejected["rules"].unique()}
    kind = pl.col("rules").replace_strict(types, return_dtype=pl.String) if types else pl.lit("", pl.String)
    rejected = rejected.with_columns(kind.alias("type")).join(bronze, on="line", how="left").sort("line")
    return Made(good.select(COLUMNS), rejected.select("line", "rules", "type", "record"))


async def _keep_rejected(db: ps.Transaction, landing_id: int, rejected: pl.DataFrame) -> None:
    connection = await db.connection()
    async with connection.cursor().copy(queries(_FILE)["keep_rejected"].encode()) as copy:
        for row in rejected.iter_rows():
            await copy.write_row((landing_id, *row))
