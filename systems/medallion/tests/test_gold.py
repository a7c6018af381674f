"""Pacing beside budgets, ratios, and who is told."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest

from medallion.feeds import Campaign, set_campaigns
from systems.medallion.tests.world import World, line

FIRST, LAST = date(2024, 12, 1), date(2024, 12, 10)


async def budget(world: World, feed: UUID, *campaigns: Campaign) -> None:
    async with world.client() as client, client.connection() as conn:
        await set_campaigns(conn, feed, campaigns)


@pytest.mark.parametrize(
    ("spent", "pace", "status"),
    [("30.00", "0.600000", "under"), ("50.00", "1.000000", "on_track"), ("60.00", "1.200000", "over")],
)
async def test_spend_is_compared_with_what_was_expected_by_the_last_day(
    world: World, spent: str, pace: str, status: str
) -> None:
    feed = await world.feed()
    await budget(world, feed, Campaign("C1", "Spring", Decimal(100), FIRST, LAST))
    world.drop("2024-12-05.csv", line("2024-12-05", spend=spent), line("2024-11-30", spend="999.00"))
    await world.through()
    (row,) = world.rows("select * from gold.pacing_metrics")
    assert (row["as_of"], row["days_elapsed"], row["days_total"]) == (date(2024, 12, 5), 5, 10)
    assert (row["spent"], row["expected"], row["remaining"]) == (Decimal(spent), 50, 100 - Decimal(spent))
    assert (str(row["pace"]), row["status"]) == (pace, status)
    assert row["daily_rate_needed"] == (100 - Decimal(spent)) / 5
    assert row["campaign"] == "Name of C1"


async def test_flights_that_have_not_begun_or_are_over(world: World) -> None:
    feed = await world.feed()
    await budget(
        world,
        feed,
        Campaign("C1", "Past", Decimal(10), date(2024, 11, 1), date(2024, 11, 30)),
        Campaign("C2", "Next", Decimal(10), date(2025, 1, 1), date(2025, 1, 31)),
    )
    world.drop("2024-12-05.csv", line("2024-12-05"))
    await world.through()
    rows = {row["campaign_id"]: row for row in world.rows("select * from gold.pacing_metrics")}
    assert (rows["C1"]["status"], rows["C1"]["pace"], rows["C1"]["daily_rate_needed"]) == ("ended", 0, None)
    assert (rows["C2"]["status"], rows["C2"]["pace"], rows["C2"]["expected"]) == ("not_started", None, 0)
    assert rows["C2"]["campaign"] == "Next"


async def test_an_earlier_day_that_is_restated_changes_the_pacing_of_today(world: World) -> None:
    feed = await world.feed()
    await budget(world, feed, Campaign("C1", None, Decimal(100), FIRST, LAST))
    world.drop("2024-12-04.csv", line("2024-12-04", spend="10.00"))
    world.drop("2024-12-05.csv", line("2024-12-05", spend="10.00"))
    await world.through()
    world.drop("2024-12-04.csv", line("2024-12-04", spend="35.00"))
    await world.through()
    (row,) = world.rows("select as_of, spent from gold.pacing_metrics")
    assert row == {"as_of": date(2024, 12, 5), "spent": Decimal(45)}


async def test_a_ratio_without_a_divisor_is_none(world: World) -> None:
    await world.feed()
    world.drop("2024-12-20.csv", line(impressions=0, clicks=0, conversions=0, spend="0"))
    await world.through()
    assert world.rows("select ctr, cpc, cpa, roas from gold.campaign_daily") == [
        {"ctr": None, "cpc": None, "cpa": None, "roas": None}
    ]


async def test_whoever_listens_is_told_once_it_is_there(world: World) -> None:
    feed = await world.feed()
    world.drop("2024-12-20.csv", line())
    with psycopg.connect(world.url, autocommit=True) as listener:
        listener.execute("listen medallion")
        await world.through()
        (told,) = list(listener.notifies(timeout=10, stop_after=1))
    body = json.loads(told.payload)
    assert body["feed_id"] == str(feed)
    assert (body["first_day"], body["last_day"]) == ("2024-12-20", "2024-12-20")
    assert body["tables_updated"] == ["campaign_daily", "pacing_metrics"]
    assert body["run_id"] == str(world.one("select id from penstock.v1_runs where pipeline = 'ETLWorkflow'"))
