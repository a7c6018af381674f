"""Real reports, through the same pipeline. What is dirty in them was counted by others; see data/PROVENANCE.md."""

from __future__ import annotations

import gzip
import os
from datetime import date
from pathlib import Path

import polars as pl

from systems.medallion.tests.world import World


def unpacked(adtech: Path, name: str, into: Path, at: int = 1) -> pl.DataFrame:
    """A report in the drop folder, and its rows as text for comparison."""
    content = gzip.decompress((adtech / name).read_bytes())
    into.write_bytes(content)
    os.utime(into, (at, at))
    return pl.read_csv(content, infer_schema=False)


async def test_dates_without_a_year_duplicates_and_impossible_conversions(world: World, adtech: Path) -> None:
    await world.feed(format="online_advertising")
    given = unpacked(adtech, "online_advertising_performance_2020Q2.csv.gz", world.inbox / "performance_2020Q2.csv")
    await world.through()
    counts = {
        row["rules"]: row["n"] for row in world.rows("select rules, count(*) n from silver.rejections group by 1")
    }
    # Of the five that are there twice, one is impossible too, both times.
    assert counts == {
        "primary_key": 4,
        "conversions_within_clicks": 327,
        "conversions_within_clicks, primary_key": 2,
        "clicks_within_impressions": 2,
    }
    assert given.height - given.unique().height == 5
    assert world.one("select count(*) from bronze.rows") == given.height == 15_408
    assert world.one("select count(*) from silver.ad_rows") == 15_408 - 4 - 329 - 2
    assert given.filter(pl.col("displays") == "0").height == 22
    assert world.one("select count(*) from silver.ad_rows where impressions = 0") == 21, "one had clicks all the same"
    assert world.one("select count(*) from silver.ad_rows where ad like '%% | '") == world.one(
        "select count(*) from silver.ad_rows join bronze.rows using (landing_id, line) where record like '%%#N/A%%'"
    )
    assert world.rows("select min(date) a, max(date) z, count(distinct date) n from silver.ad_rows") == [
        {"a": date(2020, 4, 1), "z": date(2020, 6, 30), "n": 91}
    ]
    assert world.one("select day from bronze.landings") == date(2020, 6, 30)
    clean = (
        given.unique(maintain_order=True)
        .with_columns(pl.col("displays", "clicks", "cost", "post_click_conversions").cast(pl.Float64))
        .filter(pl.col("post_click_conversions") <= pl.col("clicks"), pl.col("clicks") <= pl.col("displays"))
    )
    assert world.one("select sum(clicks)::bigint from gold.campaign_daily") == clean["clicks"].sum()
    assert abs(float(world.one("select sum(spend) from gold.campaign_daily")) - float(clean["cost"].sum())) < 0.01
    assert (
        world.one("select count(*) from gold.campaign_daily")
        == clean.unique(["month", "day", "campaign_number"]).height
    )


async def test_a_snapshot_that_restates_324_of_1638_keys(world: World, adtech: Path) -> None:
    await world.feed(format="google_political_weekly")
    a = unpacked(adtech, "google_political_weekly_spend_2018_snapshotA.csv.gz", world.inbox / "2018-08-05_A.csv", 1)
    await world.through()
    assert world.one("select count(*) from gold.campaign_daily") == a.height == 1_659
    first = world.spend()
    b = unpacked(adtech, "google_political_weekly_spend_2018_snapshotB.csv.gz", world.inbox / "2018-09-02_B.csv", 2)
    await world.through()
    last = world.spend()
    shared = set(first) & {
        (date.fromisoformat(day), key) for key, day in b.select("Advertiser_ID", "Week_Start_Date").rows()
    }
    assert (len(shared), sum(first[key] != last[key] for key in shared)) == (1_638, 324)
    assert len(last) == 1_659 + 2_823 - 1_638, "what the second leaves out stays as the first has it"
    values = {
        (date.fromisoformat(day), key): float(spend)
        for key, day, spend in b.select("Advertiser_ID", "Week_Start_Date", "Spend_USD").rows()
    }
    assert {key: last[key] for key in values} == values
    assert world.one("select count(*) from bronze.rows") == 1_659 + 2_823, "both are kept"
    both = a.join(b, on=["Advertiser_ID", "Week_Start_Date", "Election_Cycle"], suffix="_B")
    names = both.select("Advertiser_Name", "Advertiser_Name_B")
    assert names.filter(pl.col("Advertiser_Name") != pl.col("Advertiser_Name_B")).height == 41
    renamed = names.select(pl.all().str.strip_chars()).filter(pl.col("Advertiser_Name") != pl.col("Advertiser_Name_B"))
    found = world.one(
        "select count(*) from silver.ad_rows x join silver.ad_rows y on y.landing_id > x.landing_id"
        " and (y.date, y.campaign_id, y.ad) = (x.date, x.campaign_id, x.ad) and y.campaign <> x.campaign"
    )
    assert found == renamed.height == 20, "the other 21 got or lost a blank"


async def test_a_snapshot_under_the_same_name_replaces_the_earlier_one_whole(world: World, adtech: Path) -> None:
    await world.feed(format="google_political_weekly")
    inbox = world.inbox / "2018-09-02.csv"
    for at, name in enumerate(("A", "B"), start=1):
        given = unpacked(adtech, f"google_political_weekly_spend_2018_snapshot{name}.csv.gz", inbox, at)
        await world.through()
        assert world.one("select count(*) from gold.campaign_daily") == given.height
    assert world.one("select count(*) from bronze.rows") == 1_659 + 2_823


async def test_days_first_dates_and_conversions_without_clicks(world: World, adtech: Path) -> None:
    await world.feed(format="facebook_conversions")
    given = unpacked(adtech, "kag_facebook_conversions.csv.gz", world.inbox / "2023-08-31_facebook.csv")
    await world.through()
    assert world.rejected() == []
    assert world.one("select count(*) from silver.ad_rows") == given.height == 1_143
    assert world.one("select count(*) from silver.ad_rows where clicks = 0") == 207
    assert world.rows("select min(day) a, max(day) z, count(distinct campaign_id) n from gold.campaign_daily") == [
        {"a": date(2023, 8, 1), "z": date(2023, 8, 31), "n": 3}
    ]
    assert (
        abs(
            float(world.one("select sum(spend) from gold.campaign_daily"))
            - float(given["Spent"].cast(pl.Float64).sum())
        )
        < 0.01
    )


async def test_a_packed_report_is_taken_as_it_is(world: World, adtech: Path) -> None:
    await world.feed(format="facebook_conversions")
    (world.inbox / "2023-08-31.csv.gz").write_bytes((adtech / "kag_facebook_conversions.csv.gz").read_bytes())
    await world.through()
    assert world.one("select count(*) from silver.ad_rows") == 1_143
