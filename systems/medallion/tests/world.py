"""What the tests of medallion share: feeds, reports in drop folders, and looks into the database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

import penstock as ps
from medallion.feeds import create_feeds, create_org, feed_of
from medallion.pipelines import app, through_layers
from medallion.preparing import prepare

HEADER = "date,campaign_id,campaign,line_item_id,creative,impressions,clicks,conversions,spend,revenue,currency"


def line(
    day: str = "2024-12-20",
    campaign: str = "C1",
    item: str = "L1",
    *,
    impressions: object = 1000,
    clicks: object = 10,
    conversions: object = 1,
    spend: object = "5.00",
    revenue: object = "7.00",
    currency: str = "USD",
) -> str:
    """A row of a report in the format `standard`."""
    values = (
        day,
        campaign,
        f"Name of {campaign}",
        item,
        "banner",
        impressions,
        clicks,
        conversions,
        spend,
        revenue,
        currency,
    )
    return ",".join(map(str, values))


def text_of(*lines: str) -> str:
    return "\n".join([HEADER, *lines, ""])


class World:
    """One installation of medallion."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.inbox = folder / "inbox"
        self.inbox.mkdir()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[ps.Client]:
        async with app.client() as client:
            await prepare(client)
            yield client

    async def feed(self, name: str = "Drop", *, org: str = "Acme", **config: Any) -> UUID:
        """A feed of a drop folder, or of whatever `source` says."""
        source = config.pop("source", "drop")
        if source == "drop":
            config.setdefault("folder", str(self.inbox))
        async with self.client() as client, client.connection() as conn:
            cursor = await conn.execute("select id from medallion.organizations where name = %s", [org])
            row = await cursor.fetchone()
            org_id = await create_org(conn, org) if row is None else row[0]
            feed = feed_of({"name": name, "source": source, "config": config})
            (feed_id,) = await create_feeds(conn, org_id, [feed])
            return feed_id

    def drop(self, name: str, *lines: str) -> Path:
        """A report in the drop folder."""
        path = self.inbox / name
        path.write_text(text_of(*lines))
        return path

    async def through(self, **where: object) -> Mapping[str, ps.Summary[Any]]:
        """Ingest, and make the layers."""
        async with self.client() as client:
            return dict(await through_layers(client, where, "test"))

    async def run(self, pipeline: ps.Pipeline[Any], **options: Any) -> ps.Summary[Any]:
        async with self.client() as client:
            return await client.run(pipeline, **options)

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.url) as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), values or None).fetchall()

    def one(self, query: str, *values: object) -> Any:
        (row,) = self.rows(query, *values)
        (value,) = row.values()
        return value

    def execute(self, query: str, *values: object) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(query.encode(), values or None)

    def spend(self) -> dict[tuple[date, str], float]:
        """What gold says of each day and campaign."""
        return {
            (row["day"], row["campaign_id"]): float(row["spend"])
            for row in self.rows("select day, campaign_id, spend from gold.campaign_daily order by 1, 2")
        }

    def rejected(self) -> Sequence[tuple[int, str, str]]:
        """Line, type and rules of what was filtered."""
        rows = self.rows("select line, type, rules from silver.rejections order by landing_id, line")
        return [(row["line"], row["type"], row["rules"]) for row in rows]
