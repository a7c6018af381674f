"""The demonstration: 125,000 advertising rows, dirty on purpose, through bronze, silver and gold.

Everything lies in `.penstock/` of the current folder, unless the settings name another database.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import penstock as ps
from medallion.console import columns, run, say
from medallion.feeds import Campaign, FeedConfig, NewFeed, create_feeds, create_org, set_campaigns
from medallion.pipelines import app, through_layers
from medallion.preparing import prepare
from medallion.queries import queries
from medallion.samples import DAYS, DIRT, FIRST_DAY, ROWS, write_reports

if TYPE_CHECKING:
    from uuid import UUID

FOLDER = Path(".penstock") / "demo" / "medallion"
ORGANIZATION, FEED = "Acme Media (sample)", "DV360 Daily (sample)"
_PACED = 5
"""Campaigns that have a budget."""


def main() -> int:
    """`penstock demo medallion`: returns its exit code. A second time there is nothing to do."""
    os.environ.setdefault("MEDALLION_LANDING_DIR", str(FOLDER / "landings"))
    os.environ.setdefault("MEDALLION_SETTLE_SECONDS", "0")  # the files are written here, and complete
    return run(lambda: asyncio.run(_main()))


async def _main() -> int:
    say(f"Medallion takes the reports of an organization's ads through three layers: {ROWS:,} rows of {DAYS} days.")
    say(f"They are samples, made here; {DIRT.total} of the rows are spoiled on purpose.")
    say()
    await asyncio.to_thread(write_reports, FOLDER / "inbox")
    say(f"1. Reports lie in {FOLDER / 'inbox'}, the drop folder of a feed")
    async with app.client() as client:
        await prepare(client)
        feed_id = await _feed(client)
        say()
        say("2. DataIngestionWorkflow keeps them as received, ETLWorkflow makes the layers")
        for name, done in await through_layers(client, {"feed_id": feed_id}, "demo"):
            for failed in done.failed:
                say(f"   {name}: {failed.error}")
            if not done.ok:
                return 1
            what = ", ".join(f"{count} {state}" for state, count in done.counts.items())
            say(f"   {name}: {what or 'nothing to do'}, {done.seconds:.1f} s")
        say()
        await _show(client, feed_id)
    return 0


async def _feed(client: ps.Client) -> UUID:
    """The sample organization's feed, made where it is not there, and budgets for some of its campaigns."""
    async with client.connection() as conn:
        cursor = await conn.execute(queries("demo.sql")["feed"].encode(), {"organization": ORGANIZATION, "feed": FEED})
        row = await cursor.fetchone()
        if row is not None:
            feed_id: UUID = row[0]
            return feed_id
        org_id = await create_org(conn, ORGANIZATION)
        config = FeedConfig(folder=FOLDER / "inbox", pattern="*.csv")
        (feed_id,) = await create_feeds(conn, org_id, [NewFeed(name=FEED, source="drop", config=config)])
        last = FIRST_DAY + timedelta(days=9)
        budgets = [
            Campaign(f"C{n:04}", f"Campaign {n}", Decimal(14_000 + 3_000 * n), FIRST_DAY, last)
            for n in range(1, _PACED + 1)
        ]
        await set_campaigns(conn, feed_id, budgets)
        return feed_id


async def _show(client: ps.Client, feed_id: UUID) -> None:
    async with client.connection() as conn:

        async def rows(name: str) -> list[tuple[Any, ...]]:
            cursor = await conn.execute(queries("demo.sql")[name].encode(), {"feed_id": feed_id})
            return [tuple(row) for row in await cursor.fetchall()]

        say("3. What each layer holds")
        columns(await rows("layers"), ("layer", "records", "filtered", "MB", "tables"))
        ((total, valid, score),) = await rows("score")
        say()
        say(f"4. Quality score {score}: {valid:,} of {total:,} rows are valid. The others, by what is wrong with them:")
        columns(await rows("rejected"), ("type", "rules", "rows", "such as"))
        say("   They are in silver.rejections, each with its file, line and record: python -m medallion rejections")
        say()
        say("5. Gold: the pacing of some campaigns")
        columns(await rows("pacing"), ("campaign", "spent", "of budget", "expected by now", "pace", "status"))
    say()
    say("The same over the network: penstock --app medallion serve, then GET /api/v1/etl/executions on port 8004.")


if __name__ == "__main__":
    raise SystemExit(main())
