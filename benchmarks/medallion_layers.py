"""125,000 advertising rows through bronze, silver and gold, beside a bare script of Polars and COPY, in turn."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import polars as pl
import psycopg

from benchmarks.figures import Figure
from benchmarks.server import database
from medallion.feeds import FeedConfig, NewFeed, create_feeds, create_org
from medallion.pipelines import app, etl, ingestion
from medallion.preparing import prepare
from medallion.samples import ROWS, write_reports

ROUNDS = 5
SECONDS_AIM, RATIO_AIM = 1.0, 1.5
FIGURES = ("impressions", "clicks", "conversions", "spend", "revenue")
BARE = """
create schema bare;
create table bare.rows (line int primary key, record text not null);
create table bare.ad_rows (like silver.ad_rows including all);
create table bare.rejected_rows (line int primary key, record text not null);
create table bare.campaign_daily (day date, campaign_id text, campaign text, impressions bigint, clicks bigint,
  conversions numeric(18, 6), spend numeric(18, 6), revenue numeric(18, 6), rows bigint,
  primary key (day, campaign_id));
"""


def measure(server: str, *, quick: bool) -> list[Figure]:
    """One file of a day, and the same rows as five files of five days, which are one run."""
    rows = 25_000 if quick else ROWS
    figures: list[Figure] = []
    for days in (1, 5):
        ours: list[float] = []
        bare: list[float] = []
        for _ in range(2 if quick else ROUNDS):
            with database(server) as url, tempfile.TemporaryDirectory() as folder:
                files = write_reports(Path(folder) / "inbox", rows=rows, days=days)
                ours.append(asyncio.run(_layers(url, Path(folder))))
                bare.append(_bare(url, files))
                _check_same(url)
        what = f"{rows:,} rows, {days} {'day' if days == 1 else 'days'}"
        ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
        figures += [
            Figure("medallion", f"{what}: three layers", median(ours), "s", None if quick else SECONDS_AIM),
            Figure("medallion", f"{what}: the bare script", median(bare), "s"),
            Figure("medallion", f"{what}: layers / bare", median(ratios), "×", RATIO_AIM),
        ]
    return figures


async def _layers(url: str, folder: Path) -> float:
    """Seconds from the plan to the run's end; the reports have landed before."""
    os.environ.update(
        PENSTOCK_DATABASE_URL=url,
        PENSTOCK_HOME=str(folder),
        PENSTOCK_LOG_LEVEL="ERROR",
        MEDALLION_LANDING_DIR=str(folder / "landings"),
        MEDALLION_SETTLE_SECONDS="0",
    )
    async with app.client() as client:
        await prepare(client)
        async with client.connection() as conn:
            org = await create_org(conn, "Benchmark")
            config = FeedConfig(folder=folder / "inbox")
            await create_feeds(conn, org, [NewFeed(name="Drop", source="drop", config=config)])
        assert (await client.run(ingestion)).ok
        begun = time.perf_counter()
        done = await client.run(etl)
        seconds = time.perf_counter() - begun
        assert done.counts == {"completed": 1}, done
    return seconds


def _bare(url: str, files: list[Path]) -> float:
    """What somebody would write who needs no record, no reasons and no second try."""
    with psycopg.connect(url) as connection:
        connection.execute(BARE.encode())
        connection.commit()
        begun = time.perf_counter()
        first = 2
        for file in files:
            text = pl.read_csv(file, infer_schema=False, row_index_name="line", row_index_offset=first)
            first += text.height
            names = [name for name in text.columns if name != "line"]
            record = pl.concat_str([pl.col(name).fill_null("") for name in names], separator=",").alias("record")
            _copy(connection, text.select("line", record), "bare.rows")
            typed = text.with_columns(
                pl.col("date").str.to_date(strict=False),
                *(pl.col(name).cast(pl.Int64, strict=False) for name in FIGURES[:2]),
                *(pl.col(name).cast(pl.Float64, strict=False) for name in FIGURES[2:]),
                ad=pl.concat_str("line_item_id", "creative", separator=" | "),
            )
            fits = pl.all_horizontal(
                pl.col("date", "campaign_id", *FIGURES).is_not_null(), pl.col("campaign_id") != "",
                pl.col(*FIGURES) >= 0, pl.col("clicks") <= pl.col("impressions"),
                pl.col("conversions") <= pl.col("clicks"), pl.col("currency") == "USD",
            )  # fmt: skip
            valid = typed.filter(fits)
            good = valid.filter(pl.struct("date", "campaign_id", "ad").is_first_distinct())
            kept = good.select(
                pl.lit(1).alias("landing_id"), "line", "date", "campaign_id", "campaign", "ad", *FIGURES, "currency"
            )
            _copy(connection, kept, "bare.ad_rows")
            bad = text.join(good.select("line"), on="line", how="anti")
            _copy(connection, bad.select("line", record), "bare.rejected_rows")
            daily = good.group_by("date", "campaign_id").agg(
                pl.col("campaign").max(), pl.col(*FIGURES).sum(), pl.len().alias("rows")
            )
            _copy(connection, daily, "bare.campaign_daily")
        connection.commit()
        return time.perf_counter() - begun


def _copy(connection: psycopg.Connection[tuple[object, ...]], frame: pl.DataFrame, table: str) -> None:
    with connection.cursor().copy(f"copy {table} from stdin (format csv)".encode()) as copy:
        copy.write(frame.write_csv(include_header=False).encode())


def _check_same(url: str) -> None:
    """Both made the same of it, but for what floats do in the sixth digit."""
    tables = ("silver.ad_rows", "bare.ad_rows", "bronze.rows")
    count = f"select {', '.join(f'(select count(*) from {table})' for table in tables)}"
    sums = (
        "select count(*) from gold.campaign_daily g full join bare.campaign_daily b using (day, campaign_id)"
        " where g.rows is distinct from b.rows or g.clicks is distinct from b.clicks or abs(g.spend - b.spend) > 0.001"
    )
    with psycopg.connect(url) as connection:
        ours, theirs, received = connection.execute(count.encode()).fetchone() or (0, 0, 0)
        assert ours == theirs > 0.99 * received, (ours, theirs, received)
        assert connection.execute(sums.encode()).fetchone() == (0,)
