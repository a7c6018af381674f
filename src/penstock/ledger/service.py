"""What a service asks of the database: executions, quality, triggers, schedules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock.ledger.connect import Connected
from penstock.ledger.queries import load
from penstock.ledger.reading import state_condition
from penstock.ledger.text import clean
from penstock.model.attempt import PlanId, RunId
from penstock.ports.service import LastRun, PlanRow, QualitySum, Schedule, StoredExecution, StoredLayer


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
        conditions = [
            "r.pipeline_id in (select q.pipeline_id from penstock.pipelines q where q.app = %(app)s)"
            if pipeline is None
            else "r.pipeline_id = (select q.pipeline_id from penstock.pipelines q where q.app = %(app)s"
            " and q.name = %(pipeline)s)"
        ]
        conditions += ["r.instance = %(instance)s"] if instance is not None else []
        conditions += ["r.org = %(org)s"] if org is not None else []
        conditions += [state_condition(states)] if states else []
        conditions += ["r.created_at >= %(since)s"] if since is not None else []
        conditions += ["r.created_at < %(until)s"] if until is not None else []
        conditions += ["r.run_id = any(%(ids)s)"] if ids is not None else []
        conditions += ["r.run_id < %(before)s"] if before is not None else []
        sql = load("service")["executions"].replace(b"/* conditions */", " and ".join(conditions).encode())
        found = await self.rows(
            sql,
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
            for row in await self.rows(load("service")["layers"], runs=list(layers)):
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

    async def take_tick(self, app: str, schedule: Schedule, next_at: datetime) -> bool:
        """Move its next time on."""
        binds = {"pipeline": schedule.pipeline, "seen": schedule.next_at, "next_at": next_at}
        return bool(await self.rows(load("service")["take_tick"], app=app, **binds))

    async def ticked(self, app: str, pipeline: str, plan: PlanId | None, error: str | None) -> None:
        """What the tick came to."""
        told = None if error is None else clean(error)[:2000]
        await self.rows(load("service")["ticked"], app=app, pipeline=pipeline, plan=plan, error=told)

    async def take_done(self, app: str) -> Sequence[str]:
        """Pipelines of which a plan is done."""
        return [row["name"] for row in await self.rows(load("service")["take_done"], app=app)]
