"""What people and programs read of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock.ledger.connect import KIND_RUN, Connected
from penstock.ledger.queries import load
from penstock.model.attempt import PlanId, RunId
from penstock.model.errors import NotFound
from penstock.model.states import LIVE
from penstock.ports.records import QuotaUse, StoredRun, StoredStep

SHOWN_UNITS = 1_000
"""Units of one run that a list of runs carries at most."""


class Reading(Connected):
    """The reading half of the ledger; see `ports.ledger`."""

    async def quotas(self, app: str) -> Sequence[QuotaUse]:
        """Every quota in its present window; see `ports.ledger`."""
        return [QuotaUse(**row) for row in await self.rows(load("reading")["quotas"], app=app)]

    async def run(self, run: RunId) -> StoredRun:
        """The run with its steps."""
        found = await self._select(["r.run_id = %(run)s"], run=run, limit=1)
        if not found:
            msg = f"There is no run {run}; 'penstock runs list' shows the ids there are."
            raise NotFound(msg)
        steps = await self.rows(load("reading")["steps"], run=run)
        return _run(found[0], tuple(StoredStep(**row) for row in steps))

    async def runs(
        self,
        *,
        app: str,
        pipeline: str | None = None,
        plan: PlanId | None = None,
        ids: Sequence[RunId] | None = None,
        states: Sequence[str] = (),
        since: datetime | None = None,
        key: str | None = None,
        before: RunId | None = None,
        limit: int = 50,
    ) -> Sequence[StoredRun]:
        """Runs, newest first."""
        conditions = [  # an id, not a join: then the index of the pipeline's runs gives the newest first
            "r.pipeline_id = (select q.pipeline_id from penstock.pipelines q where q.app = %(app)s"
            " and q.name = %(pipeline)s)"
            if pipeline is not None
            else "r.pipeline_id in (select q.pipeline_id from penstock.pipelines q where q.app = %(app)s)"
        ]
        if ids is not None:
            conditions.append("r.run_id = any(%(ids)s)")
        if plan is not None:
            conditions.append("r.plan_id = %(plan)s")
        if key is not None:
            named = " and q.name = %(pipeline)s" if pipeline is not None else ""
            conditions.append(
                "r.run_id = any(array(select x.run_id from penstock.run_units x where x.unit_id = any(array("
                "select u.unit_id from penstock.pipelines q join penstock.units u using (pipeline_id)"
                f" where q.app = %(app)s{named} and u.key_hash = md5(%(key)s)::uuid))))"
            )
        if states:
            conditions.append(state_condition(states))
        if since is not None:
            conditions.append("r.created_at >= %(since)s")
        if before is not None:
            conditions.append("r.run_id < %(before)s")
        rows = await self._select(
            conditions,
            app=app,
            pipeline=pipeline,
            plan=plan,
            ids=None if ids is None else list(ids),
            states=list(states),
            since=since,
            key=key,
            before=before,
            limit=limit,
        )
        return [_run(row) for row in rows]

    async def _select(self, conditions: Sequence[str], **binds: Any) -> list[dict[str, Any]]:
        sql = load("reading")["runs"].replace(b"/* conditions */", " and ".join(conditions).encode())
        return await self.rows(sql, shown=SHOWN_UNITS, **binds)

    async def unfinished(self, run: RunId) -> Sequence[Mapping[str, Any]]:
        """The units of an ended run that did not complete."""
        return [row["unit"] for row in await self.rows(load("reading")["unfinished"], run=run)]

    async def tally(self, plan: PlanId) -> Mapping[str, int]:
        """The plan's runs by state."""
        return {row["state"]: row["n"] for row in await self.rows(load("reading")["tally"], plan=plan)}

    async def followed_up(self, plan: PlanId) -> Sequence[RunId]:
        """The plan's runs that another one follows up."""
        return [RunId(row["run_id"]) for row in await self.rows(load("reading")["followed_up"], plan=plan)]

    async def units(
        self, *, app: str, pipeline: str, verdicts: Sequence[str] = (), after: int | None = None, limit: int = 50
    ) -> Sequence[Mapping[str, Any]]:
        """Rows of `v1_units`."""
        return await self.rows(
            load("reading")["units"],
            app=app,
            pipeline=pipeline,
            verdicts=list(verdicts) or None,
            after=after,
            limit=limit,
        )

    async def unit(self, *, app: str, pipeline: str, key: str) -> Mapping[str, Any] | None:
        """The row of `v1_units` for this key."""
        rows = await self.rows(load("reading")["unit"], app=app, pipeline=pipeline, key=key)
        return rows[0] if rows else None

    async def logs(self, run: RunId, after: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """Rows of `v1_logs`."""
        return await self.rows(load("reading")["logs"], run=run, after=after, limit=limit)

    async def health(self, app: str) -> Mapping[str, Any]:
        """Server, processes, live runs, last plan."""
        return (await self.rows(load("reading")["health"], app=app))[0]

    def run_id(self, uuid: UUID) -> RunId:
        """The run behind a public id."""
        return RunId(self.number(KIND_RUN, uuid))


def state_condition(states: Sequence[str]) -> str:
    """Failed runs have an index of their own, live ones a small table."""
    wanted = set(states)
    if wanted == {"failed", "cancelled"}:
        return "r.state in ('failed', 'cancelled')"
    if wanted <= {"failed", "partial"}:
        return "r.failed_at is not null and r.state = any(%(states)s)"
    if wanted <= {"running", "waiting"}:
        return "r.state in ('running', 'waiting') and r.state = any(%(states)s)"
    if wanted <= LIVE:
        return "r.run_id in (select a.run_id from penstock.active a) and r.state = any(%(states)s)"
    if wanted == {"crashed"}:
        return (
            "r.state in ('running', 'waiting') and r.state = 'running' and not exists ("
            "select from penstock.processes w where w.process_id = r.process_id and w.lost_at is null"
            " and w.lease_until >= clock_timestamp())"
        )
    return "r.state = any(%(states)s)"


def _run(row: Mapping[str, Any], steps: tuple[StoredStep, ...] = ()) -> StoredRun:
    fields: dict[str, Any] = {**row, "id": RunId(row["id"]), "units": tuple(row["units"] or ())}
    return StoredRun(**fields, steps=steps)
