"""Backfills: a plan over a range of days, so many runs of it at once, with progress, pause and resume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from penstock.definition.pipeline import Pipeline
from penstock.definition.registry import Registry
from penstock.model.attempt import PlanId
from penstock.model.errors import InvalidData, NotFound
from penstock.model.states import LIVE
from penstock.operations.client import Client
from penstock.operations.triggering import Triggers
from penstock.ports.service import PlanRow, ServiceLedger

BACKFILL: Final = "backfill"
BackfillState: TypeAlias = Literal["running", "paused", "completed", "partial", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """How far a backfill is: its runs by state, `done` of `total` of them over."""

    id: UUID
    number: int
    pipeline: str
    state: BackfillState
    total: int
    done: int
    runs: Mapping[str, int]
    parallel: int | None
    created_at: datetime


class Backfills:
    """Plans over a range. What is there already is no gap, so the same range again makes only what is missing."""

    def __init__(self, registry: Registry, ledger: ServiceLedger, client: Client, triggers: Triggers) -> None:
        self._registry, self._ledger, self._client, self._triggers = registry, ledger, client, triggers

    async def start(
        self,
        pipeline: Pipeline[Any],
        *,
        start: date,
        end: date,
        where: Mapping[str, object] | None = None,
        force: bool = False,
        params: object = None,
        parallel: int | None = None,
        org: str | None = None,
    ) -> Backfill:
        """Plan the range and hand it over to whoever works.

        Args:
            pipeline: One with a `date` field.
            start: The first day.
            end: The last day.
            where: Values that fields of the units must have.
            force: Also what exists.
            params: What a trigger may say.
            parallel: How many of its runs may be at work at once.
            org: The organization that asks.

        Raises:
            InvalidData: The pipeline has no days, or the range is empty.
        """
        if pipeline.date is None:
            msg = f"{pipeline.name} names no date field, so it has no range to fill; give Pipeline(date=...)."
            raise InvalidData(msg)
        if start > end:
            raise InvalidData(f"start={start} is after end={end}.")
        if parallel is not None and parallel < 1:
            raise InvalidData(f"parallel={parallel}: it is how many runs may be at work at once, 1 or more.")
        plan = await self._client.start(
            pipeline,
            where=self._triggers.bounded(pipeline, where, org),
            start=start,
            end=end,
            force=force,
            params=params,
            parallel=parallel,
            triggered_by=BACKFILL,
        )
        return await self.show(plan.number, org=org)

    async def show(self, backfill: UUID | int, *, org: str | None = None) -> Backfill:
        """How far it is.

        Raises:
            NotFound: There is none, or it is another organization's.
        """
        number = PlanId(backfill) if isinstance(backfill, int) else self._ledger.plan_id(backfill)
        app = self._registry.name
        found = await self._ledger.plans(app=app, org=org, triggered_by=BACKFILL, ids=[number], limit=1)
        if not found:
            raise NotFound(f"There is no backfill {backfill}.")
        return _backfill(found[0])

    async def find(
        self, *, pipeline: str | None = None, org: str | None = None, before: int | None = None, limit: int = 50
    ) -> Sequence[Backfill]:
        """Backfills, newest first."""
        found = await self._ledger.plans(
            app=self._registry.name,
            pipeline=pipeline,
            org=org,
            triggered_by=BACKFILL,
            before=None if before is None else PlanId(before),
            limit=limit,
        )
        return [_backfill(row) for row in found]


def _backfill(row: PlanRow) -> Backfill:
    runs = dict(row.runs_by_state)
    live = sum(count for state, count in runs.items() if state in LIVE)
    total = sum(runs.values())
    return Backfill(
        id=row.id,
        number=row.number,
        pipeline=row.pipeline,
        state=_state(row, runs, live),
        total=total,
        done=total - live,
        runs=runs,
        parallel=row.parallel,
        created_at=row.created_at,
    )


def _state(row: PlanRow, runs: Mapping[str, int], live: int) -> BackfillState:
    if live:
        return "paused" if row.paused else "running"
    if runs.get("cancelled"):
        return "cancelled"
    if runs.get("failed"):
        return "failed" if not (runs.get("completed") or runs.get("partial")) else "partial"
    return "partial" if runs.get("partial") else "completed"
