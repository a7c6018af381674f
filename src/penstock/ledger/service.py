"""What a service asks of the database: executions, quality, triggers, schedules."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from penstock.ledger.connect import Connected
from penstock.ledger.queries import load
from penstock.ledger.reading import state_condition
from penstock.ledger.text import clean
from penstock.model.attempt import PlanId, RunId
from penstock.ports.service import LastRun, PlanRow, QualitySum, Schedule, StoredExecution, StoredLayer

PLANNING: Final = 300.0
"""Seconds for which a process that fires a schedule has it for itself; if it dies, another fires it after that."""
LONGEST_TRANSACTION: Final = 600
"""Seconds that making the runs of one plan may take; of ten million it takes three minutes."""

AFTER: Final = "coalesce(r.created_at >= %(since)s, false)"
BEFORE: Final = "coalesce(r.created_at < %(until)s, false)"


class Serving(Connected):
    """See `ports.service.ServiceLedger`."""

    async def executions(
        self,
        *,
        app: str,
        pipeline: str | None = None,
        instance: str | None = None,
        org: str | None = None,
        states: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        ids: Sequence[RunId] | None = None,
        before: RunId | None = None,
        limit: int = 50,
    ) -> Sequence[StoredExecution]:
        """Runs newest first, with their layers."""
        conditions: list[str] = []
        order: list[str] = []
        for name, value in (("instance", instance), ("org", org)):
            if value is not None:  # a range, not "=": then no other index seems to give the order that this one gives
                conditions.append(f"r.{name} >= %({name})s and r.{name} <= %({name})s")
                order.append(f"r.{name}, ")
        conditions += ["r.run_id = any(%(ids)s)"] if ids is not None else []
        query = "of_runs" if conditions else "of_pipelines"
        conditions += [state_condition(states)] if states else []
        if since is not None or until is not None:
            # Numbers rise with time but for the length of a transaction, so an index finds both ends of a time. They
            # stand in the text, and the times themselves are hidden from the planner, which would take both for
            # independent, expect a handful of runs, and sort a day of them.
            times = {"since": since, "until": until, "slack": LONGEST_TRANSACTION}
            for row in await self.rows(load("service")["bounds"], **times):
                low, high = row["low"], row["high"]
                conditions += [] if low is None else [f"r.run_id >= {low:d} and {AFTER}"]
                conditions += [] if high is None else [f"r.run_id < {high:d} and {BEFORE}"]
        conditions += ["r.run_id < %(before)s"] if before is not None else []
        sql = load("service")
        by = sql[query].strip().rstrip(b";").replace(b"/* conditions */", " and ".join(conditions or ["true"]).encode())
        by = by.replace(b"/* order */", "".join(order[:1]).encode())
        found = await self.rows(
            sql["executions"].replace(b"/* found */", by),
            app=app,
            pipeline=pipeline,
            instance=instance,
            org=org,
            states=list(states),
            since=since,
            until=until,
            ids=None if ids is None else list(ids),
            before=before,
            limit=limit,
        )
        layers: dict[int, list[StoredLayer]] = {row["id"]: [] for row in found}
        if found:
            for row in await self.rows(sql["layers"], runs=list(layers)):
                layers[row["run"]].append(StoredLayer(**row))
        return [StoredExecution(**row, layers=tuple(layers[row["id"]])) for row in found]

    async def plans(
        self,
        *,
        app: str,
        pipeline: str | None = None,
        org: str | None = None,
        triggered_by: str | None = None,
        ids: Sequence[PlanId] | None = None,
        before: PlanId | None = None,
        limit: int = 50,
    ) -> Sequence[PlanRow]:
        """Plans newest first."""
        rows = await self.rows(
            load("service")["plans"],
            app=app,
            pipeline=pipeline,
            org=org,
            triggered_by=triggered_by,
            ids=None if ids is None else list(ids),
            before=before,
            limit=limit,
        )
        return [PlanRow(**row) for row in rows]

    async def last_run(self, app: str) -> LastRun | None:
        """The run that began last."""
        rows = await self.rows(load("service")["last_run"], app=app)
        return LastRun(**rows[0]) if rows else None

    async def revision(self) -> str | None:
        """The revision of the schema."""
        rows = await self.rows(load("service")["revision"])
        return str(rows[0]["version_num"]) if rows else None

    async def pipeline_of(self, app: str, public: UUID) -> str | None:
        """The pipeline with this public id."""
        rows = await self.rows(load("service")["pipeline_of"], app=app, public=public)
        return rows[0]["name"] if rows else None

    async def quality(self, *, app: str, org: str | None, since: datetime) -> Sequence[QualitySum]:
        """What steps found from then on."""
        rows = await self.rows(load("service")["quality"], app=app, org=org, since=since)
        return [QualitySum(**row) for row in rows]

    async def holder(
        self,
        *,
        app: str,
        pipeline: str,
        where: Mapping[str, Any],
        keys: Sequence[str] | None,
        days: tuple[str, Any, Any] | None,
    ) -> RunId | None:
        """The live run that carries such a unit."""
        day, first, last = days or (None, None, None)
        rows = await self.rows(
            load("service")["holder"],
            app=app,
            pipeline=pipeline,
            where=json.dumps(where, default=str),
            keys=None if keys is None else list(keys),
            day=day,
            first=first,
            last=last,
        )
        run = rows[0]["run_id"]
        return None if run is None else RunId(run)

    async def skip(self, plan: PlanId, *, triggered_by: str, org: str | None, instance: str | None) -> RunId:
        """End a plan without gaps."""
        rows = await self.rows(
            load("service")["skip"],
            plan=plan,
            triggered_by=triggered_by,
            org=org,
            instance=instance,
        )
        return RunId(rows[0]["run_id"])

    async def first_run(self, plan: PlanId) -> RunId | None:
        """The first run of a plan."""
        run = (await self.rows(load("service")["first_run"], plan=plan))[0]["run_id"]
        return None if run is None else RunId(run)

    async def set_schedules(self, app: str, schedules: Sequence[Schedule]) -> None:
        """These are the schedules."""
        rows = [
            {"pipeline": s.pipeline, "cron": s.cron, "timezone": s.timezone, "next_at": s.next_at.isoformat()}
            for s in schedules
        ]
        await self.rows(load("service")["set_schedules"], app=app, schedules=json.dumps(rows))

    async def schedules(self, app: str) -> Sequence[Schedule]:
        """All of them."""
        return [Schedule(**row) for row in await self.rows(load("service")["schedules"], app=app)]

    async def due(self, app: str) -> Sequence[tuple[Schedule, datetime]]:
        """Those whose time has come."""
        rows = await self.rows(load("service")["due"], app=app)
        return [(Schedule(**{k: v for k, v in row.items() if k != "now"}), row["now"]) for row in rows]

    async def take_tick(self, app: str, schedule: Schedule) -> bool:
        """Take it for as long as planning may last."""
        binds = {"pipeline": schedule.pipeline, "seen": schedule.next_at, "lease": PLANNING}
        return bool(await self.rows(load("service")["take_tick"], app=app, **binds))

    async def ticked(
        self, app: str, schedule: Schedule, *, next_at: datetime, plan: PlanId | None, error: str | None
    ) -> None:
        """What the tick came to, and when the next one is."""
        told = None if error is None else clean(error)[:2000]
        binds = {"pipeline": schedule.pipeline, "cron": schedule.cron, "timezone": schedule.timezone}
        await self.rows(load("service")["ticked"], app=app, plan=plan, error=told, next_at=next_at, **binds)

    async def take_done(self, app: str, pipelines: Sequence[str]) -> Mapping[PlanId, str]:
        """Plans of these pipelines that are done, with the name of each one's pipeline."""
        rows = await self.rows(load("service")["take_done"], app=app, pipelines=list(pipelines), lease=PLANNING)
        return {PlanId(row["plan_id"]): row["pipeline"] for row in rows}

    async def followed(self, plans: Collection[PlanId]) -> None:
        """What comes after these is planned."""
        await self.rows(load("service")["followed"], plans=list(plans))
