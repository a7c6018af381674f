"""Silver: rows typed, validated and without duplicates; what is filtered is kept with its reason."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import polars as pl

import penstock as ps
from medallion.ad_rows import COLUMNS, KEY, AdRow
from medallion.bronze import Landing, hold
from medallion.feeds import Feed, feed_by_id
from medallion.formats import canonical, format_of
from medallion.queries import queries
from medallion.records import from_records
from penstock import data

_FILE = "layers.sql"
_SAMPLE = 5


class Made(NamedTuple):
    """What silver made of a landing's rows; `rejected` has line, rule and type."""

    good: pl.DataFrame
    rejected: pl.DataFrame

    @property
    def first_date(self) -> date | None:
        """The earliest day of a good row."""
        return self.good["date"].min()  # type: ignore[return-value]

    @property
    def last_date(self) -> date | None:
        """The latest."""
        return self.good["date"].max()  # type: ignore[return-value]


async def load_silver(ctx: ps.Context[Any], db: ps.Transaction, landing_id: int) -> int:
    """Make silver of a landing's bronze rows; returns how many are valid.

    Raises:
        InvalidData: The report has not the columns of the feed's format.
    """
    landing = await hold(db, landing_id)
    feed = await feed_by_id(await db.connection(), landing.feed_id)
    bronze = await data.query(
        db, "select line, record, fault from bronze.rows where landing_id = %(id)s order by line", id=landing_id
    )
    made = await asyncio.to_thread(make, bronze, landing, feed)
    await db.execute(queries(_FILE)["empty_silver"], {"id": landing_id})
    rejected = made.rejected.join(bronze.select("line", "record"), on="line", how="left", maintain_order="left")
    of_landing = pl.lit(landing_id).alias("landing_id")
    await data.load(db, made.good.select(of_landing, *COLUMNS), "silver.ad_rows", mode="append")
    await data.load(db, rejected.select(of_landing, "line", "rule", "type", "record"), "silver.rejected_rows", mode="append")
    await db.execute(
        queries(_FILE)["silver_load"],
        {
            "id": landing_id,
            "rows": bronze.height,
            "valid": made.good.height,
            "filtered": rejected.height,
            "first_date": made.first_date,
            "last_date": made.last_date,
        },
    )
    ctx.count(filtered=rejected.height)
    if rejected.height:
        ctx.log.warning(f"{rejected.height} records filtered due to data quality issues", file=landing.name)
    return made.good.height


def make(bronze: pl.DataFrame, landing: Landing, feed: Feed) -> Made:
    """Typed, valid rows, each once; and those that are none, each with the first rule that it breaks.

    Of rows that are about the same ad of the same day the first counts.

    Args:
        bronze: `line`, `record` and `fault`.
        landing: The report that they are of.
        feed: Whose it is.

    Raises:
        InvalidData: The report has not the columns of the feed's format.
    """
    broken = bronze.filter(pl.col("fault").is_not_null())
    whole = bronze.filter(pl.col("fault").is_null()) if broken.height else bronze
    text = from_records(whole["record"], landing.columns)
    text = text.with_columns(whole["line"].cast(pl.Int64).alias(LINE))
    form = format_of(feed.config.format)
    rows = canonical(text, form, line=LINE, name=landing.name, currency=feed.config.currency)
    good, failure = AdRow.filter(rows, cast=True)
    again = good.select(pl.struct(KEY).is_first_distinct().not_()).to_series()
    rejected = [
        broken.select(pl.col("line").cast(pl.Int64), pl.col("fault").alias("rule"), pl.lit("invalid_types").alias("type")),
        _reasons(failure.details()),
        good.filter(again).select("line", pl.lit("the same ad and day is there already").alias("rule"), type=pl.lit("duplicates")),
    ]  # fmt: skip
    return Made(good.filter(~again).select(COLUMNS), pl.concat(rejected, how="vertical").sort("line"))


def _reasons(details: pl.DataFrame) -> pl.DataFrame:
    """For each row the first rule that it breaks: a wrong type before what follows of it."""
    rules = [name for name in details.columns if name not in AdRow.column_names()]
    rules.sort(key=_rank)
    broken = [pl.when(pl.col(rule).cast(pl.String) == "invalid").then(pl.lit(rule)) for rule in rules]
    picked = details.select(pl.col("line").cast(pl.Int64), pl.coalesce(broken).alias("rule"))
    return picked.with_columns(pl.col("rule").map_elements(type_of, return_dtype=pl.String).alias("type"))


def _rank(rule: str) -> int:
    return ("invalid_types", "missing_fields", "out_of_range", "inconsistent").index(type_of(rule))


def type_of(rule: str) -> str:
    """What kind of fault it is to break this rule."""
    _, _, check = rule.partition("|")
    if check == "dtype" or rule == "date_is_a_day":
        return "invalid_types"
    if check == "nullability":
        return "missing_fields"
    return "out_of_range" if check else "inconsistent"


def issues_of(rejected: pl.DataFrame) -> Sequence[Issue]:
    """The rejected rows by rule, with some of each to look at."""
    found = rejected.group_by("type", "rule", maintain_order=True).agg(
        pl.len().alias("count"), pl.struct("line", "record").head(_SAMPLE).alias("sample")
    )
    return [
        Issue(type=row["type"], rule=row["rule"], count=row["count"], sample=row["sample"])
        for row in found.sort("count", "rule", descending=[True, False]).iter_rows(named=True)
    ]
