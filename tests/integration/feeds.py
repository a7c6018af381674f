"""An app of feeds by day, in two organizations, with a pipeline that comes after it; and a service on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple

import penstock as ps
from penstock.config import load_settings
from penstock.model.quality import Issue
from penstock.model.states import KEPT_EVENTS
from penstock.operations.service import Service, service_on
from penstock.wiring import Database, client_on, open_ledger

FIRST = date(2024, 1, 1)
LAST = date(2024, 1, 6)


class FeedDay(NamedTuple):
    feed_id: str
    day: date
    org_id: int
    name: str


@dataclass
class Feeds:
    """The app of one test, and what its steps were called with and do."""

    schedule: str | None = None
    retry: ps.Retry = field(default_factory=lambda: ps.Retry(attempts=1))
    seen: list[FeedDay] = field(default_factory=list[FeedDay])
    at_work: int = 0
    most: int = 0
    act: Callable[[FeedDay, ps.Context[FeedDay]], None] = lambda _unit, _ctx: None

    def __post_init__(self) -> None:
        options: dict[str, Any] = {} if self.schedule is None else {"schedule": self.schedule}
        self.etl = ps.Pipeline(
            "etl", FeedDay, gaps=self.days, key=("feed_id", "day"), date="day", org="org_id",
            instance=("feed_id", "name"), lane="feed_id", batch=2, retry=self.retry, **options,
        )  # fmt: skip
        self.etl.step(name="silver")(self.silver)
        self.etl.step(name="gold", after=self.etl.steps["silver"])(self.gold)
        self.app = ps.App("feeds", [self.etl])

    def days(self) -> Iterator[FeedDay]:
        for feed, org in (("a", 1), ("b", 2)):
            for number in range((LAST - FIRST).days + 1):
                yield FeedDay(feed, FIRST + timedelta(number), org, f"Feed {feed}")

    async def silver(self, unit: FeedDay, ctx: ps.Context[FeedDay]) -> int:
        self.seen.append(unit)
        ctx.count(read=10, written=9, filtered=1, bytes=1_000_000)
        ctx.measure(total=10, valid=9, issues=[Issue(type="missing_fields", count=1)], table="silver")
        self.act(unit, ctx)
        return 1

    async def gold(self, units: list[FeedDay]) -> list[dict[str, str]]:
        return [{"table": "gold.made"} for _ in units]


@asynccontextmanager
async def serving(app: ps.App, url: str, *, told: frozenset[Any] = KEPT_EVENTS) -> AsyncGenerator[Service]:
    """All operations of the app on this database."""
    settings = load_settings({"database_url": url})
    async with (
        open_ledger(settings, Database(url)) as ledger,
        client_on(app.registry, settings, ledger, {}, told) as client,
    ):
        yield service_on(app.registry, ledger, client)
