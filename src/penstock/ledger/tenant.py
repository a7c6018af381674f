"""The ledger as one organization sees it: whatever is read, the database lets no row of another one through."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from psycopg.rows import DictRow

from penstock.ledger.connect import translated
from penstock.ledger.eventing import logged_event
from penstock.ledger.plans import Plans
from penstock.ledger.queries import load
from penstock.ledger.reading import Reading
from penstock.ledger.service import Serving
from penstock.model.attempt import PlanId, RunId
from penstock.model.errors import Forbidden, NotFound
from penstock.model.override import Override
from penstock.model.states import EventType
from penstock.ports.events import LoggedEvent
from penstock.ports.records import Applied, PlanQuery, StoredPlan
from penstock.ports.service import Schedule

if TYPE_CHECKING:
    from penstock.ledger.postgres import PostgresLedger
    from penstock.ports.ledger import Worker


class TenantLedger(Plans, Reading, Serving):
    """Reads as the role `penstock_tenant`; changes, as the owner, only what it can read.

    Args:
        owner: The ledger, whose connections it shares.
        org: Whose it is.
    """

    def __init__(self, owner: PostgresLedger, org: str) -> None:
        self._owner, self.org = owner, org
        self.url, self.pool, self.prefix = owner.url, owner.pool, owner.prefix
        self._asking = owner._asking  # noqa: SLF001 - the lines that are broken when the database falls silent

    async def _rows(self, sql: bytes, binds: dict[str, Any]) -> list[DictRow]:
        with translated():
            async with self.pool.connection() as connection:
                self._asking[connection] = time.monotonic()
                try:
                    await connection.execute(load("access")["act_as"], {"org": self.org})
                    cursor = await connection.execute(sql, binds)
                    return await cursor.fetchall() if cursor.description else []
                finally:
                    self._asking.pop(connection, None)

    async def plan(self, query: PlanQuery) -> StoredPlan:
        """Find the gaps, by the owner: the pipeline's own SQL reads the team's tables. The plan is this tenant's."""
        stored = await self._owner.plan(query)
        await self._owner.rows(load("access")["own_plan"], plan=stored.id, org=self.org)
        return await self.stored_plan(stored.id)

    async def stored_plan(self, plan: PlanId) -> StoredPlan:
        """A plan of its own."""
        if not await self._owner.rows(load("access")["owns_plan"], plan=plan, org=self.org):
            msg = f"There is no plan {plan}."
            raise NotFound(msg)
        return await super().stored_plan(plan)

    async def apply(
        self, plan: PlanId, *, triggered_by: str, copy_from: RunId | None = None, parallel: int | None = None
    ) -> Applied:
        """Make runs of a plan of its own."""
        await self.stored_plan(plan)
        return await self._owner.apply(plan, triggered_by=triggered_by, copy_from=copy_from, parallel=parallel)

    async def skip(self, plan: PlanId, *, triggered_by: str, org: str | None, instance: str | None) -> RunId:  # noqa: ARG002 - it is this one
        """End a plan of its own without gaps; the run that says so is this tenant's."""
        await self.stored_plan(plan)
        return await self._owner.skip(plan, triggered_by=triggered_by, org=self.org, instance=instance)

    async def discard(self, plan: PlanId) -> None:
        """Forget an open plan of its own."""
        await self.stored_plan(plan)
        await self._owner.discard(plan)

    async def presence(self, query: PlanQuery, key: str) -> dict[str, Any]:
        """Whether a key is wanted and existing, by the owner: the unit has been seen to be this tenant's."""
        return await self._owner.presence(query, key)

    async def pause(self, *, plan: PlanId | None = None, pipeline: tuple[str, str] | None = None, paused: bool) -> None:
        """Pause or resume a plan of its own; a pipeline is everybody's."""
        if plan is None or pipeline is not None:
            self._refuse("pausing a whole pipeline")
        await self.stored_plan(plan)
        await self._owner.pause(plan=plan, paused=paused)

    async def cancel(self, *, run: RunId | None = None, plan: PlanId | None = None) -> Mapping[RunId, str]:
        """Cancel a run of its own, or what is live of a plan of its own."""
        if run is not None:
            await self.run(run)
        if plan is not None:
            await self.stored_plan(plan)
        return await self._owner.cancel(run=run, plan=plan)

    async def forget(self, app: str, pipeline: str, keys: Sequence[str]) -> int:
        """Zero failures of units of its own; others are left as they are."""
        mine = [key for key in keys if await self.unit(app=app, pipeline=pipeline, key=key) is not None]
        return await self._owner.forget(app, pipeline, mine)

    async def overrides(self, app: str) -> Sequence[Override]:
        """Figures are the app's, and plans are made with them."""
        return await self._owner.overrides(app)

    async def set_override(self, override: Override) -> None:  # noqa: ARG002 - the port's
        """Refused: they hold for everybody."""
        self._refuse("setting figures")

    async def unset_override(self, app: str, pipeline: str | None, name: str) -> bool:  # noqa: ARG002 - the port's
        """Refused: they hold for everybody."""
        self._refuse("setting figures")

    async def quotas(self, app: str) -> NoReturn:  # noqa: ARG002 - the port's
        """Refused: they are shared."""
        self._refuse("reading quotas")

    async def health(self, app: str) -> NoReturn:  # noqa: ARG002 - the port's
        """Refused: it tells of everybody."""
        self._refuse("reading the ledger's health")

    async def last_event(self, app: str) -> int:
        """The position of the last event, whoever's: a number that tells nothing."""
        return await self._owner.last_event(app)

    async def logged_events(
        self, app: str, *, after: int = 0, types: Collection[str] = (), run: RunId | None = None, limit: int = 100
    ) -> Sequence[LoggedEvent]:
        """Events of its own runs. What is in the outbox goes into the log by the owner, who is asked for it alone."""
        await self._owner.last_event(app)
        query = load("events")["logged" if run is None else "logged_of_run"]
        binds: dict[str, Any] = {} if run is None else {"run": run}
        rows = await self.rows(query, app=app, after=after, types=sorted(types) or None, limit=limit, **binds)
        return [logged_event(row) for row in rows]

    def connection(self) -> NoReturn:
        """Refused: it would have no wall."""
        self._refuse("a connection of its own")

    async def make_room(self, size: int) -> None:  # noqa: ARG002 - the port's
        """Refused: nothing is carried out for one organization alone."""
        self._refuse("carrying out work")

    async def set_schedules(self, app: str, schedules: Sequence[Schedule]) -> None:  # noqa: ARG002 - the port's
        """Refused: they are the app's."""
        self._refuse("setting schedules")

    async def take_tick(self, app: str, schedule: Schedule) -> bool:  # noqa: ARG002 - the port's
        """Refused: they are the app's."""
        self._refuse("firing schedules")

    async def ticked(
        self,
        app: str,  # noqa: ARG002 - the port's
        schedule: Schedule,  # noqa: ARG002 - the port's
        *,
        next_at: datetime,  # noqa: ARG002 - the port's
        plan: PlanId | None,  # noqa: ARG002 - the port's
        error: str | None,  # noqa: ARG002 - the port's
    ) -> None:
        """Refused: they are the app's."""
        self._refuse("firing schedules")

    async def take_done(self, app: str, pipelines: Sequence[str]) -> Mapping[PlanId, str]:  # noqa: ARG002 - the port's
        """Refused: it tells of everybody."""
        self._refuse("following plans")

    async def followed(self, plans: Collection[PlanId]) -> None:  # noqa: ARG002 - the port's
        """Refused: it tells of everybody."""
        self._refuse("following plans")

    async def open_worker(self, app: str, name: str, events: Collection[EventType] = ()) -> Worker:  # noqa: ARG002 - the port's
        """Refused: nothing is carried out for one organization alone."""
        self._refuse("carrying out work")

    def _refuse(self, what: str) -> NoReturn:
        msg = f"{what[0].upper()}{what[1:]} concerns all organizations, and this token is bound to {self.org}."
        raise Forbidden(msg)
