"""Bronze, silver, gold: one day of one organization's feed at a time; and how a new organization comes to them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

import penstock as ps
from medallion.bronze import load_bronze
from medallion.drops import arrivals
from medallion.dsp import Dsp
from medallion.feeds import NewFeed, create_feeds, create_org, drop_org, every_feed
from medallion.gold import gold_days, load_gold, tell
from medallion.ingest import (
    FeedDay,
    Fetched,
    fetch_report,
    forget_files,
    landed_already,
    open_dsp,
    register_report,
    secret_of,
)
from medallion.preparing import prepare_on
from medallion.settings import Settings
from medallion.silver import load_silver
from medallion.vault import Vault
from penstock import data

RETRY: Mapping[ps.ErrorClass, ps.Retry] = {
    "network": ps.Retry(attempts=6, first=1, factor=2, limit=16, jitter=False),
    "rate_limit": ps.Retry(attempts=4),
    "timeout": ps.Retry(attempts=4, first=1, factor=2, limit=60),
    "data": ps.Retry(attempts=1),
}
"""How often a step is tried in all, the first time included: so 5, 3, 3 and 0 times more."""
SIDE_BY_SIDE = 4
"""Days of a batch that are fetched or read at once."""
BATCH = 31
"""Days of a feed that one run takes through the layers, where more than one is missing. Ingestion takes one: what the
network does to one day is tried again within its run, and is no failure of others."""


async def wanted(settings: Settings, client: ps.Client) -> Mapping[str, object]:
    """What lies in drop folders, and how far back is looked. The tables are made where they are not there yet."""
    async with client.connection() as conn:
        await prepare_on(conn)
        feeds = await every_feed(conn)
    files = arrivals(feeds, now=time.time(), settle=settings.settle_seconds)
    found = [{**file._asdict(), "feed_id": str(file.feed_id), "day": file.day.isoformat()} for file in files]
    return {"files": json.dumps(found), "days_back": settings.days_back, "restate_days": settings.restate_days}


ingestion = ps.Pipeline(
    "DataIngestionWorkflow",
    FeedDay,
    gaps=ps.SqlGaps("sql/days.sql", "sql/landed_days.sql", binds=wanted),
    key=("feed_id", "day", "part"),
    date="day",
    org="org_id",
    instance=("feed_id", "name"),
    lane="feed_id",
    order=("day", "part"),
    retry=RETRY,
    schedule="0 6 * * *",
)


@ingestion.step(parallel=SIDE_BY_SIDE)
async def fetch(ctx: ps.Context[FeedDay], dsp: Dsp, vault: Vault, settings: Settings) -> Fetched:
    """The report, kept as it was received."""
    return await fetch_report(ctx, ctx.unit, dsp, vault, settings)


@ingestion.step
async def register(ctx: ps.Context[FeedDay], db: ps.Transaction, fetched: Fetched = fetch.output) -> int:
    """Its number in `bronze.landings`; content that is there already gets no new one."""
    return await register_report(ctx, db, ctx.unit, fetched)


class LandedDay(NamedTuple):
    """A landing that gold should be made of."""

    feed_id: UUID
    day: date
    part: str
    org_id: int
    name: str
    landing_id: int


async def looked_up(client: ps.Client) -> Mapping[str, object]:
    """Nothing but that the tables are there."""
    async with client.connection() as conn:
        await prepare_on(conn)
    return {}


etl = ps.Pipeline(
    "ETLWorkflow",
    LandedDay,
    gaps=ps.SqlGaps("sql/landed.sql", "sql/published.sql", binds=looked_up),
    key=("feed_id", "day", "part"),
    date="day",
    org="org_id",
    instance=("feed_id", "name"),
    lane="feed_id",
    order=("day", "part"),
    batch=BATCH,
    retry=RETRY,
    after=ingestion,
)


@etl.step(parallel=SIDE_BY_SIDE)
async def bronze(ctx: ps.Context[LandedDay], db: ps.Transaction) -> int:
    """The report's rows, as received; gives how many."""
    return await load_bronze(ctx, db, ctx.unit.landing_id)


@etl.step(after=bronze, parallel=SIDE_BY_SIDE)
async def silver(ctx: ps.Context[LandedDay], db: ps.Transaction) -> int:
    """Typed, valid rows; gives how many."""
    return await load_silver(ctx, db, ctx.unit.landing_id)


@etl.step(after=silver)
async def gold(
    ctx: ps.Context[LandedDay], landed: list[LandedDay], db: ps.Transaction, settings: Settings
) -> list[data.Loaded]:
    """Campaigns' days, and pacing once for the whole batch."""
    return await load_gold(ctx, db, settings, landed, [day.landing_id for day in landed])


@etl.step(on_failure="continue")
async def notify(
    ctx: ps.Context[LandedDay], landed: list[LandedDay], db: ps.Transaction, published: list[data.Loaded] = gold.output
) -> None:
    """Whoever listens in the database is told; that nobody can be told fails nothing."""
    await tell(ctx, db, landed, published)


async def through_layers(
    client: ps.Client, where: Mapping[str, object], triggered_by: str
) -> list[tuple[str, ps.Summary[Any]]]:
    """Ingest and make the layers, now; what each of the two pipelines came to, the second after a first that is ok."""
    landed = await client.run(ingestion, where=where, triggered_by=triggered_by)
    if not landed.ok:
        return [(ingestion.name, landed)]
    made = await client.run(etl, where=where, triggered_by=triggered_by)
    return [(ingestion.name, landed), (etl.name, made)]


class BackfillDay(NamedTuple):
    """A day of the past that should be in gold. Chunks, the months of a feed, run side by side."""

    feed_id: UUID
    day: date
    part: str
    org_id: int
    name: str
    source: str
    chunk: str
    path: str | None = None
    fingerprint: str | None = None


backfill = ps.Pipeline(
    "BackfillWorkflow",
    BackfillDay,
    gaps=ps.SqlGaps("sql/backfill.sql", "sql/published_days.sql", binds=wanted),
    key=("feed_id", "day", "part"),
    date="day",
    org="org_id",
    instance=("feed_id", "name"),
    lane="chunk",
    order=("day", "part"),
    batch=BATCH,
    retry=RETRY,
)


@backfill.step(name="fetch", parallel=SIDE_BY_SIDE)
async def fetch_past(ctx: ps.Context[BackfillDay], dsp: Dsp, vault: Vault, settings: Settings) -> Fetched:
    """The report, unless it landed before."""
    landing = None if ctx.forced else await landed_already(ctx, ctx.unit)
    if landing is not None:
        return Fetched(landing_id=landing)
    return await fetch_report(ctx, ctx.unit, dsp, vault, settings)


@backfill.step(name="register")
async def register_past(ctx: ps.Context[BackfillDay], db: ps.Transaction, fetched: Fetched = fetch_past.output) -> int:
    """Its number in `bronze.landings`."""
    return await register_report(ctx, db, ctx.unit, fetched)


@backfill.step(name="bronze", parallel=SIDE_BY_SIDE)
async def bronze_past(ctx: ps.Context[BackfillDay], db: ps.Transaction, landing: int = register_past.output) -> int:
    """The report's rows, as received; gives the landing."""
    await load_bronze(ctx, db, landing)
    return landing


@backfill.step(name="silver", parallel=SIDE_BY_SIDE)
async def silver_past(ctx: ps.Context[BackfillDay], db: ps.Transaction, landing: int = bronze_past.output) -> int:
    """Typed, valid rows; gives the landing."""
    await load_silver(ctx, db, landing)
    return landing


@backfill.step(name="gold")
async def gold_past(
    ctx: ps.Context[BackfillDay],
    days: list[BackfillDay],
    db: ps.Transaction,
    settings: Settings,
    landings: list[int] = silver_past.outputs,
) -> list[data.Loaded]:
    """Campaigns' days, and pacing once for the whole batch."""
    return await load_gold(ctx, db, settings, days, landings)


@backfill.step(name="notify", on_failure="continue")
async def notify_past(
    ctx: ps.Context[BackfillDay], days: list[BackfillDay], db: ps.Transaction,
    published: list[data.Loaded] = gold_past.output,
) -> None:  # fmt: skip
    """Whoever listens in the database is told."""
    await tell(ctx, db, days, published)


class Organization(BaseModel):
    """An organization that should be there, with its feeds. Secrets are no part of it: feeds name credentials."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")
    feeds: tuple[NewFeed, ...]


onboarding = ps.Pipeline("OnboardingWorkflow", Organization, key=("name",), retry=RETRY, remember=0)


@onboarding.step
async def organization(new: Organization, db: ps.Transaction) -> int:
    """The organization's number."""
    conn = await db.connection()
    await prepare_on(conn)
    return await create_org(conn, new.name)


@onboarding.step
async def feeds(new: Organization, db: ps.Transaction, org_id: int = organization.output) -> list[UUID]:
    """Its feeds."""
    return await create_feeds(await db.connection(), org_id, new.feeds)


@onboarding.step(after=feeds)
async def credentials(ctx: ps.Context[Organization], dsp: Dsp, vault: Vault, org_id: int = organization.output) -> int:
    """Every DSP lets it in; gives how many were asked."""
    async with ctx.connection() as conn:
        asked = [feed for feed in await every_feed(conn, org_id=org_id) if feed.source == "dsp"]
    for feed in asked:
        await dsp.verify(await secret_of(ctx, vault, feed))
    return len(asked)


@onboarding.step(after=credentials, timeout=3600)
async def first_gold(ctx: ps.Context[Organization], penstock: ps.Client, org_id: int = organization.output) -> int:
    """Its reports, through all layers; gives how many days gold has.

    Raises:
        InvalidData: A run failed, or there was nothing to make gold of.
    """
    for name, done in await through_layers(penstock, {"org_id": org_id}, "onboarding"):
        if not done.ok:
            why = next((run.error for run in done.failed if run.error), "see penstock runs")
            raise ps.InvalidData(f"{ctx.unit.name} did not reach its first gold tables: {name}: {why}")
    async with ctx.connection() as conn:
        found = await gold_days(conn, org_id)
    if not found:
        raise ps.InvalidData(f"{ctx.unit.name} did not reach its first gold tables: its feeds had no reports.")
    return found


@onboarding.step(when="failed")
async def withdraw(ctx: ps.Context[Organization], db: ps.Transaction, settings: Settings) -> None:
    """All that this onboarding made is taken back; credentials stay, for the next try."""
    made = ctx.outcome(organization)
    if made.state == "completed" and made.output is not None:
        files = await drop_org(await db.connection(), made.output)
        await forget_files(files, settings)


app = ps.App("medallion", [ingestion, etl, backfill, onboarding], settings=Settings, resources=[open_dsp, Vault])
