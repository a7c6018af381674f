from __future__ import annotations

import psycopg
import pytest

from tests.acceptance.conftest import Cli

APP = """
from datetime import date, timedelta
from typing import NamedTuple
import penstock as ps
from penstock.model.quality import Issue

class FeedDay(NamedTuple):
    org_id: int
    day: date

def days():
    for org in (6, 7):
        for number in range(4):
            yield FeedDay(org, date(2024, 1, 1) + timedelta(number))

etl = ps.Pipeline("etl", FeedDay, gaps=days, date="day", org="org_id", lane="org_id", schedule="0 6 * * *",
                  timezone="Europe/Berlin")

@etl.step
async def load(unit: FeedDay, ctx: ps.Context[FeedDay]) -> None:
    if unit == FeedDay(6, date(2024, 1, 4)):
        raise ps.InvalidData("no such day")
    ctx.measure(total=10, valid=9, issues=[Issue(type="missing_fields", count=1)])

app = ps.App("feeds", [etl])
"""


@pytest.fixture
def feeds(bare: Cli, database_url: str) -> Cli:
    bare.write("app.py", APP)
    bare.set("PENSTOCK_DATABASE_URL", database_url)
    bare.set("PENSTOCK_APP", "app.py")
    return bare


RANGE = ("--start", "2024-01-01", "--end", "2024-01-03")


def test_a_range_is_filled_here_and_is_cheap_to_repeat(feeds: Cli) -> None:
    told = feeds("backfill", "etl", *RANGE, "--lanes", "4", "org_id=7")
    assert told.status == 0
    assert "etl, plan 1: 3 gaps" in told.err
    assert feeds("backfill", *RANGE, "org_id=7", "--json").json["counts"] == {}
    assert feeds("backfill", *RANGE, "org_id=7", "--force", "--json").json["counts"] == {"completed": 3}


def test_what_fails_shows_in_the_status(feeds: Cli) -> None:
    told = feeds("backfill", "--start", "2024-01-04", "--end", "2024-01-04", "--json")
    assert (told.status, told.json["counts"]) == (1, {"completed": 1, "failed": 1})


def test_handed_over_it_waits_for_whoever_works(feeds: Cli) -> None:
    told = feeds("backfill", *RANGE, "--parallel", "2", "--detach", "--json")
    assert (told.status, told.json["runs"], told.json["parallel"], told.json["state"]) == (0, 6, 2, "running")
    assert "penstock apply 2" in feeds("backfill", "--start", "2024-01-04", "--end", "2024-01-04", "--detach").out
    assert feeds("apply", "1", "--json").json["counts"] == {"completed": 7, "failed": 1}
    assert feeds("backfill", *RANGE, "--detach").out == "etl has all of these days: nothing to do.\n"


@pytest.mark.parametrize(
    "words", [["--start", "2024-01-01"], ["--end", "2024-01-01"], [*RANGE, "--lanes", "0"], [*RANGE, "nothing=1"]]
)
def test_a_backfill_that_is_not_said_right(feeds: Cli, words: list[str]) -> None:
    told = feeds("backfill", *words)
    assert (told.status, told.out) == (2, "")


def test_a_range_the_wrong_way_round(feeds: Cli) -> None:
    told = feeds("backfill", "--start", "2024-01-03", "--end", "2024-01-01")
    assert told.status != 0
    assert "is after" in told.err


def test_quality(feeds: Cli) -> None:
    assert feeds("quality").out == "No step has measured anything in the last 24 hours.\n"
    feeds("backfill", *RANGE)
    told = feeds("quality", "--json").json
    assert (told["total_records"], told["valid_records"], told["quality_score"]) == (60, 54, 90.0)
    assert told["issues"]["missing_fields"] == 6
    assert "54 of 60 records are valid: 90.00 %." in feeds("quality").out


def test_schedules(feeds: Cli, database_url: str) -> None:
    (told,) = feeds("schedule", "list", "--json").json
    assert (told["pipeline"], told["schedule"], told["timezone"], told["last_at"]) == (
        "etl", "0 6 * * *", "Europe/Berlin", None,
    )  # fmt: skip
    assert "0 6 * * *" in feeds("schedule", "list").out
    assert feeds("schedule", "tick").out == "Nothing is due.\n"
    with psycopg.connect(database_url) as connection:
        connection.execute("update penstock.schedules set next_at = now() - interval '2 days'")
    assert feeds("schedule", "tick").out == "1 pipeline planned.\n"
    assert feeds("schedule", "tick", "--json").json["planned"] == 0
    assert feeds("apply", "1", "--json").json["counts"] == {"completed": 7, "failed": 1}


def test_no_schedules(cli: Cli) -> None:
    assert "No pipeline has a schedule" in cli("schedule", "list").out
