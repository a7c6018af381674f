"""What waits in the outbox when the log of events comes: functions get it, people are told of what is new to them."""

from __future__ import annotations

from uuid import UUID

import psycopg
from alembic import command
from sqlalchemy import text

from penstock.ledger import migrate
from penstock.ledger.postgres import PostgresLedger

OWNER = UUID(int=7)


def upgrade_to(url: str, revision: str) -> None:
    with migrate._connect(url) as connection:
        connection.execute(text("create schema if not exists penstock"))
        connection.execute(text("set local search_path to penstock, public"))
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def put(url: str, app: str, run: int, *, noticed: bool) -> UUID:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "insert into penstock.outbox (app, type, at, run_id, noticed)"
            " values (%s, 'execution.failed', now(), %s, %s) returning event_id",
            [app, run, noticed],
        ).fetchone()
        assert row is not None
        return UUID(str(row[0]))


async def test_what_waits_is_kept_and_told_once(empty_database_url: str) -> None:
    url = empty_database_url
    upgrade_to(url, "0005")
    fresh = put(url, "shop", 1, noticed=False)
    told = put(url, "shop", 2, noticed=True)
    other = put(url, "mill", 3, noticed=False)
    with psycopg.connect(url) as connection:
        connection.execute("insert into penstock.notice_targets (app, target) values ('shop', 'ops')")
    migrate.upgrade(url)
    ledger = PostgresLedger(url)
    await ledger.open()
    try:
        readers = {one.name: one.waiting for one in await ledger.readers("shop")}
        assert readers == {"@notify": 1, "@on": 2}
        expectations = (("shop", "@on", {told, fresh}), ("shop", "@notify", {fresh}), ("mill", "@on", {other}))
        for app, name, expected in expectations:
            taken = await ledger.take_events(app, name, owner=OWNER, types=None, lease=9, limit=9)
            assert taken is not None
            assert {event.id for event in taken.events} == expected
            assert await ledger.events_told(app, name, owner=OWNER, through=taken.through)
        assert [one.name for one in await ledger.readers("mill")] == ["@on"]
    finally:
        await ledger.close()
    with psycopg.connect(url) as connection:
        assert connection.execute("select count(*) from penstock.outbox").fetchone() == (0,)
