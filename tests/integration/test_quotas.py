"""Quotas on PostgreSQL: windows as Python has them, costs that SQL reads from the unit's fields, stale admissions."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import psycopg
import pytest

import penstock as ps
from penstock.model.quota import Per, window
from penstock.testing import Database, database

ZONES = ("UTC", "America/Toronto", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo")
PERS: tuple[Per, ...] = ("minute", "hour", "day", "month")


def test_sql_and_python_have_the_same_windows(database_url: str) -> None:
    chance = random.Random(7)
    with psycopg.connect(database_url) as connection:
        connection.execute("set search_path = penstock")
        for number in range(300):
            quota = ps.Quota(
                f"q{number}",
                1,
                per=chance.choice(PERS),
                starts=f"{chance.randrange(24):02}:{chance.choice((0, 15, 30)):02}",
                timezone=chance.choice(ZONES),
            )
            moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(2 * 366 * 86_400))
            ahead = chance.choice((0, 0, 1, 2, 17))
            row = connection.execute(
                "insert into quotas (app, name, amount, per, starts, timezone) values ('a', %s, 1, %s, %s, %s)"
                " returning quota_id",
                (quota.name, quota.per, f"{quota.starts}:00", quota.timezone),
            ).fetchone()
            assert row is not None
            found = connection.execute(
                "select extract(epoch from starts_at)::float8, extract(epoch from ends_at)::float8"
                " from quota_window(%s, %s, %s)",
                (row[0], moment, ahead),
            ).fetchone()
            assert found == window(quota, moment.timestamp(), ahead), (quota, moment, ahead)


class Asset(NamedTuple):
    ticker: str
    todo: str
    usd: Decimal


calls = ps.Quota("calls", 20, costs={"fundamentals": 10, "prices": 1})
fresh = ps.Quota("fresh", 100, costs={"fundamentals": 1})
usd = ps.Quota("usd", Decimal("1.5"), timezone="America/Toronto")
assets = ps.Pipeline(
    "assets",
    Asset,
    gaps=ps.SqlGaps("select ticker, todo, usd from assets", "select ticker from loaded"),
    key=("ticker",),
    order="ticker",
    cost={calls: "todo", fresh: "todo", usd: "usd"},
)


@assets.step
async def load(asset: Asset, db: ps.Transaction, ctx: ps.Context[Asset]) -> None:
    async with ctx.spend([calls, fresh], asset.todo):
        await db.execute("insert into loaded values (%s)", [asset.ticker])


app = ps.App("quotas", [assets])


@pytest.fixture
def db(database_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("PENSTOCK_TEST_DATABASE_URL", database_server)
    with database(app) as db:
        db.execute(
            """
            create table assets (ticker text, todo text, usd numeric);
            create table loaded (ticker text primary key);
            insert into assets values ('A', 'fundamentals+prices', 0.5), ('B', 'prices', 0.5), ('C', '', 0.25),
              ('D', 'fundamentals', 0.1), ('E', ' prices ', 0.9);
            """
        )
        yield db


def test_fields_of_the_unit_price_it(db: Database) -> None:
    del db
    plan = app.plan(assets)
    assert plan.cost == {"calls": 23, "fresh": 2, "usd": Decimal("2.25")}
    late = {gap.unit.ticker: gap.deferred for gap in plan}
    assert late == {"A": None, "B": None, "C": None, "D": "calls", "E": "calls"}


def test_an_operation_that_no_quota_lists_is_named(db: Database) -> None:
    db.execute("insert into assets values ('F', 'prices+splits', 0)")
    with pytest.raises(ps.DefinitionError, match="no quota lists the operation 'splits'; there are fundamentals, pri"):
        app.plan(assets)


def test_a_negative_cost_is_named(db: Database) -> None:
    db.execute("insert into assets values ('F', 'prices', -1)")
    with pytest.raises(ps.DefinitionError, match=r"the cost of \(F\) is below 0"):
        app.plan(assets)


def test_what_is_admitted_is_done_and_paid_for(db: Database) -> None:
    summary = app.run(assets)
    assert summary.counts == {"completed": 3}
    assert db.rows("select name, used, reserved from penstock.v1_quotas order by name") == [
        {"name": "calls", "used": 12, "reserved": 0},
        {"name": "fresh", "used": 1, "reserved": 0},
        {"name": "usd", "used": 0, "reserved": 0},
    ]
    assert db.rows("select count(*) as n from penstock.run_costs") == [{"n": 0}]
    draws = db.rows("select quota, settled from penstock.v1_draws order by run_number, quota")
    assert [(draw["quota"], draw["settled"]) for draw in draws] == [("calls", 11), ("fresh", 1), ("calls", 1)]


def test_a_plan_is_stale_when_its_window_is_over(db: Database) -> None:
    plan = app.plan(assets)
    db.execute(
        "update penstock.plans set summary = jsonb_set(summary::jsonb, '{until}', '1')::json where plan_id = %(plan)s",
        plan=plan.number,
    )
    with pytest.raises(ps.PlanStale, match="admitted under a quota whose window has ended"):
        app.apply(plan)


def test_a_changed_cost_makes_a_plan_stale(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    del db
    plan = app.plan(assets)
    monkeypatch.setitem(assets.cost, usd, 1)
    with pytest.raises(ps.PlanStale, match="another definition"):
        app.apply(plan)


async def test_a_raised_limit_lets_go_on_what_waited_for_it(db: Database) -> None:
    async with app.client() as client:
        plan = await client.plan(assets, where={"ticker": "A"})
        db.execute("update penstock.quotas set amount = 5 where name = 'calls'")  # another plan was faster
        assert (await client.apply(plan)).deferred == 1
        await client.overrides.set("quota.calls.limit", "50")
        await client.work([assets])
    assert db.rows("select state from penstock.runs") == [{"state": "completed"}]
