"""Schedules: pipelines are planned at their times, and after the plans of those that they come after.

A tick is a hint. What is to do comes from the gaps, so one that nobody was there for loses nothing: the next plan sees
the same gaps, and so does a service that starts late, which makes up for a missed tick once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from penstock.definition.cron import next_time
from penstock.definition.pipeline import Pipeline
from penstock.definition.registry import Registry
from penstock.model.attempt import PlanId
from penstock.model.errors import LedgerUnavailable, PenstockError
from penstock.model.redaction import redact, traced
from penstock.model.results import Plan
from penstock.operations.client import Client
from penstock.ports.service import Schedule, ServiceLedger

PAUSE: Final = 1.0
"""Seconds between looks at the clock."""


class Scheduler:
    """Fires the schedules of one app; several replicas may, and each tick is fired by one of them.

    Args:
        registry: The app's pipelines.
        ledger: Where the times are.
        client: Plans and applies.
    """

    def __init__(self, registry: Registry, ledger: ServiceLedger, client: Client) -> None:
        self._registry, self._ledger, self._client = registry, ledger, client
        self._log = structlog.get_logger("penstock.schedule")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Fire in the background."""
        await self.announce()
        task = asyncio.create_task(self._loop(), name="penstock-scheduler")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def announce(self) -> None:
        """Write down what the code says; a next time that stands stays."""
        now = datetime.now(UTC)
        await self._ledger.set_schedules(self._registry.name, [_schedule(p, now) for p in self._scheduled()])

    async def schedules(self) -> Sequence[Schedule]:
        """All schedules with their next times."""
        return await self._ledger.schedules(self._registry.name)

    async def fire(self) -> int:
        """Plan what is due and what comes after a plan that is done; returns how many were planned here."""
        fired = 0
        for schedule, now in await self._ledger.due(self._registry.name):
            pipeline = self._registry.pipelines.get(schedule.pipeline)
            if pipeline is None:  # a newer or older program's
                continue
            following = next_time(schedule.cron, schedule.timezone, now)
            if not await self._ledger.take_tick(self._registry.name, schedule):
                continue
            fired += 1
            plan, error = await self._plan(pipeline, "schedule")
            await self._ledger.ticked(self._registry.name, schedule, next_at=following, plan=plan, error=error)
        return fired + await self._follow()

    async def _follow(self) -> int:
        """Plan what comes after plans that are done, once for all of them."""
        later = [pipeline for pipeline in self._registry.pipelines.values() if pipeline.after]
        earlier = sorted({one.name for pipeline in later for one in pipeline.after})
        if not earlier:
            return 0
        done = await self._ledger.take_done(self._registry.name, earlier)
        names = set(done.values())
        following = [pipeline for pipeline in later if any(one.name in names for one in pipeline.after)]
        for pipeline in following:
            await self._plan(pipeline, f"after {', '.join(one.name for one in pipeline.after if one.name in names)}")
        if done:
            await self._ledger.followed(done.keys())
        return len(following)

    def _scheduled(self) -> list[Pipeline[Any]]:
        return [pipeline for pipeline in self._registry.pipelines.values() if pipeline.schedule is not None]

    async def _plan(self, pipeline: Pipeline[Any], why: str) -> tuple[PlanId | None, str | None]:
        try:
            plan: Plan[Any] = await self._client.start(pipeline, triggered_by=why)
        except LedgerUnavailable:
            raise
        except PenstockError as error:
            told = redact(str(error))
            self._log.error("a pipeline could not be planned", pipeline=pipeline.name, why=why, error=told)
            return None, told
        except Exception as error:  # noqa: BLE001 - a user's gap function: the other pipelines have their time too
            self._log.error(f"planning {pipeline.name} ({why}) failed\n{traced(error)}")
            return None, redact(f"{type(error).__name__}: {error}")
        return PlanId(plan.number), None

    async def _loop(self) -> None:
        while True:
            try:
                await self.fire()
            except LedgerUnavailable as error:
                self._log.warning("schedules wait for the ledger", reason=str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may fire them
                self._log.error(f"schedules wait: firing them failed\n{traced(error)}")
            await asyncio.sleep(PAUSE)


def _schedule(pipeline: Pipeline[Any], now: datetime) -> Schedule:
    cron, timezone = pipeline.schedule or "", pipeline.timezone or "UTC"
    return Schedule(pipeline=pipeline.name, cron=cron, timezone=timezone, next_at=next_time(cron, timezone, now))
