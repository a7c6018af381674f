"""A ledger in memory, for tests of pipelines: the same promises as PostgreSQL's, on a clock that is passed in."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from penstock.model.attempt import PlanId, ProcessId, RunId
from penstock.model.override import Override
from penstock.model.states import EventType
from penstock.ports.records import Applied, QuotaUse
from penstock.testing.memory_events import Events
from penstock.testing.memory_gaps import Existing
from penstock.testing.memory_plans import Plans
from penstock.testing.memory_reading import Reading
from penstock.testing.memory_rows import KIND_PLAN, KIND_RUN, Process, Tables
from penstock.testing.memory_runs import Movement
from penstock.testing.memory_worker import MemoryWorker


class MemoryLedger(Plans, Reading, Events):
    """See `ports.ledger.Ledger`. For one event loop; nothing in it waits.

    Args:
        clock: The ledger's time in seconds since 1970, such as a simulation's.
        existing: What there is, as version by canonical key (None: the ledger knows the version). Without it, what
            the ledger knows as completed.
        prefix: Twelve hex digits in every public id, to make them the same in each run of a test.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        existing: Callable[[], Existing] | None = None,
        prefix: str | None = None,
    ) -> None:
        tables = Tables(clock, prefix)
        Plans.__init__(self, tables, existing)
        Reading.__init__(self, tables)
        Events.__init__(self, tables)
        self.movement = Movement(tables, self.budgets)
        self.workers: set[MemoryWorker] = set()
        self._overrides: dict[tuple[str, str, str], Override] = {}

    async def open(self) -> None:
        """Nothing is needed."""

    async def close(self) -> None:
        """Nothing is kept."""

    async def apply(
        self, plan: PlanId, *, triggered_by: str, copy_from: RunId | None = None, parallel: int | None = None
    ) -> Applied:
        """Make runs, and tell whoever waits for work."""
        applied = await super().apply(plan, triggered_by=triggered_by, copy_from=copy_from, parallel=parallel)
        self._tell()
        return applied

    async def pause(self, *, plan: PlanId | None = None, pipeline: tuple[str, str] | None = None, paused: bool) -> None:
        """No further run of the plan or pipeline starts, or they do again."""
        self.movement.pause(plan=plan, pipeline=pipeline, paused=paused)
        self._tell()

    async def cancel(self, *, run: RunId | None = None, plan: PlanId | None = None) -> Mapping[RunId, str]:
        """Cancel a run, or what is live of a plan."""
        if run is not None:
            runs = [self.tables.found_run(run).id]
        else:
            runs = [live.id for live in self.tables.active.values() if live.plan.id == plan]
        states = self.movement.cancel(runs)
        self._tell()
        return states

    async def forget(self, app: str, pipeline: str, keys: Sequence[str]) -> int:
        """Zero failures and waiting times."""
        return self.movement.forget(app, pipeline, keys)

    async def quotas(self, app: str) -> Sequence[QuotaUse]:
        """Every quota in its present window."""
        return self.budgets.use(app)

    async def overrides(self, app: str) -> Sequence[Override]:
        """What is set, for the whole app first."""
        return [row for (of_app, _, _), row in sorted(self._overrides.items()) if of_app == app]

    async def set_override(self, override: Override) -> None:
        """Set it, in the place of the one before."""
        place = (override.app, override.pipeline or "", override.name)
        at = datetime.fromtimestamp(self.tables.clock(), UTC)
        self._overrides[place] = replace(override, changed_at=at, changed_by=override.changed_by or "memory")

    async def unset_override(self, app: str, pipeline: str | None, name: str) -> bool:
        """Take it away; whether it was there."""
        return self._overrides.pop((app, pipeline or "", name), None) is not None

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """Refused: there is no database.

        Raises:
            AssertionError: Always.
        """
        raise AssertionError("A ledger in memory has no database: test this with penstock.testing.database(app).")

    async def make_room(self, size: int) -> None:
        """There are no connections to make room for."""

    async def open_worker(self, app: str, name: str, events: Collection[EventType] = ()) -> MemoryWorker:  # noqa: ARG002 - memory shows no names
        """Take a lease. Of events, memory tells the ends of runs, as their records say."""
        process = ProcessId(len(self.tables.processes) + 1)
        self.tables.processes[process] = Process(process, app)
        worker = MemoryWorker(self, app, process)
        self.workers.add(worker)
        return worker

    def run_id(self, uuid: UUID) -> RunId:
        """The run behind a public id."""
        return RunId(self.tables.number(KIND_RUN, uuid))

    def plan_id(self, uuid: UUID) -> PlanId:
        """The plan behind a public id."""
        return PlanId(self.tables.number(KIND_PLAN, uuid))

    def _tell(self) -> None:
        for worker in self.workers:
            worker.news()
