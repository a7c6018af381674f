"""Gold: a campaign's days and its pacing, published together or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

import penstock as ps
from medallion.queries import queries
from penstock import data

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from medallion.settings import Settings

_FILE = "layers.sql"
CAMPAIGN_DAILY, PACING = "gold.campaign_daily", "gold.pacing_metrics"
CHANNEL = "medallion"


class FeedUnit(Protocol):
    """What gold asks of a unit: a day of a feed."""

    @property
    def feed_id(self) -> UUID: ...
    @property
    def org_id(self) -> int: ...
    @property
    def day(self) -> date: ...
    @property
    def part(self) -> str: ...


U = TypeVar("U", bound=FeedUnit)


class Made(NamedTuple):
    """What silver made of a landing."""

    landing_id: int
    rows: int
    valid: int
    first: date | None
    last: date | None


async def load_gold(
    ctx: ps.Context[U], db: ps.Transaction, settings: Settings, units: Sequence[U], landings: Sequence[int]
) -> list[data.Loaded]:
    """Publish these landings: the days they tell of are added up anew, and the feed's pacing once.

    A unit whose share of valid rows is below the setting `least_score` is rejected; what was published of it stays.

    Args:
        ctx: The running step.
        db: Its transaction.
        settings: Those of medallion.
        units: The batch: days of one feed.
        landings: The landing of each.

    Raises:
        InvalidData: The units are of several feeds.
    """
    if len({unit.feed_id for unit in units}) > 1:
        raise ps.InvalidData("A batch of gold is of one feed.")
    feed_id, org_id = units[0].feed_id, units[0].org_id
    await db.execute(queries(_FILE)["lock_feed"], {"feed_id": feed_id})  # a backfill may be at work on the same feed
    made = await _silver(db, landings)
    good = [
        (unit, made[landing])
        for unit, landing in zip(units, landings, strict=True)
        if _passes(ctx, settings, unit, made[landing])
    ]
    if not good:
        return []
    dates = await _dates(db, feed_id, good)
    await db.execute(queries(_FILE)["publish_days"], {"ids": [one.landing_id for _, one in good]})
    binds = {
        "feed_id": feed_id,
        "org_id": org_id,
        "dates": dates,
        "first": min(dates, default=None),
        "last": max(dates, default=None),
    }
    cursor = await db.execute(queries(_FILE)["overlapping"], binds)
    row = await cursor.fetchone()
    published = [
        await _again(db, "campaign_daily", CAMPAIGN_DAILY, {**binds, "overlapping": bool(row and row[0])}),
        await _again(db, "pacing_metrics", PACING, binds),
    ]
    await db.execute(queries(_FILE)["drop_superseded"], {"feed_id": feed_id, "days": [unit.day for unit, _ in good]})
    ctx.count(read=sum(one.valid for _, one in good), written=sum(one.rows for one in published))
    ctx.log.info("Gold tables are up to date", tables=[one.table for one in published], days=len(good))
    return published


async def tell(
    ctx: ps.Context[Any], db: ps.Transaction, units: Sequence[FeedUnit], published: Sequence[data.Loaded]
) -> None:
    """Tell whoever listens on the channel `medallion` of the database, when and only when this is committed."""
    body = {
        "run_id": str(ctx.run_id),
        "feed_id": str(units[0].feed_id),
        "org_id": units[0].org_id,
        "first_day": min(unit.day for unit in units).isoformat(),
        "last_day": max(unit.day for unit in units).isoformat(),
        "tables_updated": [one.table.partition(".")[2] for one in published],
    }
    await db.execute("select pg_notify(%(channel)s, %(body)s)", {"channel": CHANNEL, "body": json.dumps(body)})


async def _silver(db: ps.Transaction, landings: Sequence[int]) -> dict[int, Made]:
    cursor = await db.execute(queries(_FILE)["silver_loads"], {"ids": list(landings)})
    return {row[0]: Made(*row) for row in await cursor.fetchall()}


def _passes(ctx: ps.Context[U], settings: Settings, unit: U, made: Made) -> bool:
    """Whether enough of it is valid. A report without rows is a day without delivery."""
    if not made.rows or made.valid * 100 >= made.rows * settings.least_score:
        return True
    share = made.valid * 100 / made.rows
    ctx.fail(
        unit,
        ps.Rejected(
            f"Only {made.valid} of {made.rows} rows of {unit.day} are valid ({share:.2f} %, least_score is "
            f"{settings.least_score:g}): it is not published; see silver.rejections, landing_id = {made.landing_id}."
        ),
    )
    return False


async def _dates(db: ps.Transaction, feed_id: UUID, good: Iterable[tuple[FeedUnit, Made]]) -> list[date]:
    """Every day that these landings tell of, or that what they replace told of."""
    units = list(good)
    spans = [(made.first, made.last) for _, made in units]
    binds = {"feed_id": feed_id, "days": [unit.day for unit, _ in units], "parts": [unit.part for unit, _ in units]}
    cursor = await db.execute(queries(_FILE)["days_before"], binds)
    spans += [(first, last) for _, _, first, last in await cursor.fetchall()]
    found: set[date] = set()
    for first, last in spans:
        if first is not None and last is not None:
            found.update(first + timedelta(days=n) for n in range((last - first).days + 1))
    return sorted(found)


async def _again(db: ps.Transaction, name: str, table: str, binds: dict[str, Any]) -> data.Loaded:
    """Make a table's part of this feed anew."""
    gone = await db.execute(queries(_FILE)[f"empty_{name}"], binds)
    done = await db.execute(queries(_FILE)[name], binds)
    updated = min(gone.rowcount, done.rowcount)
    return data.Loaded(table=table, rows=done.rowcount, inserted=done.rowcount - updated, updated=updated)


async def gold_days(conn: AsyncConnection[Any], org_id: int) -> int:
    """How many days of an organization are in gold."""
    cursor = await conn.execute(queries(_FILE)["gold_days"].encode(), {"org_id": org_id})
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])
