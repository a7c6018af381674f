"""Plans: the gaps found, stored, shown, applied, put away."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import psycopg
from psycopg.rows import dict_row, tuple_row

from penstock.ledger.connect import KIND_PLAN, Connected, Connection, describe, is_broken, sql_fault, translated
from penstock.ledger.gap_query import Composer
from penstock.ledger.queries import load
from penstock.ledger.quotas import quota_row
from penstock.model.attempt import PlanId, RunId
from penstock.model.errors import Conflict, DefinitionError, NotFound
from penstock.ports.records import Applied, ListedUnit, PlanQuery, StoredGap, StoredPlan


class Plans(Connected):
    """The planning half of the ledger."""

    async def plan(self, query: PlanQuery) -> StoredPlan:
        """Find the gaps and store them; see `ports.ledger`."""
        sql = load("plans")
        with translated():
            async with self.pool.connection() as connection:
                org, instance, name = query.roles
                row = await _one(
                    connection,
                    sql["ensure_pipeline"],
                    app=query.app,
                    pipeline=query.pipeline,
                    space=query.space,
                    org=org,
                    instance=instance,
                    instance_name=name,
                )
                pipeline = int(row["pipeline_id"])
                shape = await _one(
                    connection,
                    sql["ensure_shape"],
                    pipeline=pipeline,
                    hash=query.shape.hash,
                    body=query.shape.to_json(),
                )
                quotas = [await quota_row(connection, query.app, cost.quota) for cost in query.costs]
                plan = await _one(
                    connection,
                    sql["insert_plan"],
                    pipeline=pipeline,
                    shape=shape["shape_id"],
                    definition=query.definition,
                    params=query.params,
                    forced=query.forced,
                    triggered_by=query.triggered_by,
                    quotas=quotas or None,
                    of=query.org,
                )
                summary = await self._find(connection, query, pipeline, int(plan["plan_id"]))
                if query.costs:
                    summary |= await self._admit(connection, query, int(plan["plan_id"]))
                await connection.execute(
                    sql["store_summary"], {"plan": plan["plan_id"], "summary": json.dumps(summary, default=str)}
                )
        return await self.stored_plan(PlanId(int(plan["plan_id"])))

    async def _find(self, connection: Connection, query: PlanQuery, pipeline: int, plan: int) -> dict[str, Any]:
        composer = await self._composer(connection, query, pipeline)
        gaps = composer.plan(plan)
        cursor = psycopg.AsyncClientCursor(connection, row_factory=dict_row)
        try:
            await cursor.execute(gaps.sql.encode(), gaps.binds)
        except psycopg.Error as error:
            if is_broken(error):
                raise
            raise DefinitionError(sql_fault(query.pipeline, error)) from None
        found = await cursor.fetchone()
        found = found or {}
        if found.get("operation") is not None:
            known = ", ".join(sorted({name for cost in query.costs for name in cost.quota.costs}))
            msg = f"{query.pipeline}: no quota lists the operation {found['operation']!r}; there are {known}."
            raise DefinitionError(msg)
        if found["nulls"]:
            msg = (
                f"{query.pipeline}: {query.wanted_name} gives {found['nulls']} rows whose key "
                f"({', '.join(query.key.kinds)}) has a null; a unit is identified by all of them."
            )
            raise DefinitionError(msg)
        if found["twice"] is not None:
            raise DefinitionError(await self._twice(connection, composer, str(found["twice"])))
        lanes, longest = found["lanes"]
        return {
            "counts": found["counts"],
            "in_flight": found["in_flight"],
            "remembered": found["remembered"],
            "repeating": found["repeating"],
            "runs": found["runs"],
            "lanes": lanes,
            "longest": longest,
        }

    async def _admit(self, connection: Connection, query: PlanQuery, plan: int) -> dict[str, Any]:
        """Price the plan's gaps and defer what the budgets do not admit."""
        row = await _one(connection, load("plans")["admit"], plan=plan)
        found: dict[str, Any] = row["found"]
        if found["negative"] is not None:
            values = ", ".join(str(v) for v in json.loads(found["negative"]).values())
            raise DefinitionError(f"{query.pipeline}: the cost of ({values}) is below 0.")
        lanes, longest = found["lanes"]
        return {
            "cost": found["cost"] or {},
            "deferred": found["deferred"],
            "until": found["until"],
            "runs": found["runs"],
            "lanes": lanes,
            "longest": longest,
        }

    async def _composer(self, connection: Connection, query: PlanQuery, pipeline: int) -> Composer:
        binds = {**query.binds, "start": query.start, "end": query.end}
        wanted: list[str] = []
        if isinstance(query.wanted, str):
            wanted = await describe(connection, f"{query.pipeline}: {query.wanted_name}", query.wanted, binds)
            _check_columns(query, query.wanted_name, wanted, query.fields, f"a field of {query.unit_name}")
        else:
            await _copy(connection, query.wanted)
        existing: list[str] = []
        if query.existing is not None:
            existing = await describe(connection, f"{query.pipeline}: existing", query.existing, binds)
            _check_columns(query, "existing", existing, tuple(query.key.kinds), "part of the key")
        return Composer(query, pipeline, wanted, existing)

    async def _twice(self, connection: Connection, composer: Composer, key: str) -> str:
        query = composer.query
        values = ", ".join(str(v) for v in json.loads(key).values())
        times = 0
        if not composer.listed:
            cursor = psycopg.AsyncClientCursor(connection, row_factory=tuple_row)
            again = composer.twice(key)
            await cursor.execute(again.sql.encode(), again.binds)
            row = await cursor.fetchone()
            times = row[0] if row else 0
        if times == 1:
            return f"{query.pipeline}: existing gives ({values}) more than once; what exists must come once a unit."
        what = query.wanted_name
        often = f"{times} times" if times else "more than once"
        hint = " (look at its joins)" if times else ""
        return f"{query.pipeline}: {what} gives ({values}) {often}; a wanted unit must come once{hint}."

    async def stored_plan(self, plan: PlanId) -> StoredPlan:
        """The plan; see `ports.ledger`."""
        sql = load("plans")
        rows = await self.rows(sql["plan"], plan=plan)
        if not rows:
            msg = f"There is no plan {plan}."
            raise NotFound(msg)
        row = rows[0]
        mean = await self.rows(sql["seconds_a_run"], pipeline=row["pipeline_id"])
        summary, dropped = row["summary"], cast("dict[str, int]", row["dropped"] or {})
        return StoredPlan(
            id=plan,
            uuid=row["uuid"],
            app=row["app"],
            pipeline=row["pipeline"],
            state=row["state"],
            paused=row["paused"],
            definition=row["definition"],
            forced=row["forced"],
            counts=summary["counts"],
            runs=row["runs"] if row["runs"] is not None else summary["runs"],
            lanes=summary["lanes"],
            longest_lane=summary["longest"],
            in_flight=summary["in_flight"],
            remembered=[(v, n, _time(t)) for v, n, t in summary["remembered"]],
            repeating=summary["repeating"],
            created_at=row["created_at"],
            applied_at=row["applied_at"],
            age=row["age"],
            seconds_a_run=next(iter(mean[0].values())),
            dropped={str(k): int(v) for k, v in dropped.items() if v},
            cost={name: Decimal(str(amount)) for name, amount in summary.get("cost", {}).items()},
            deferred=[(name, n, _time(at)) for name, n, at in summary.get("deferred", [])],
            window_over=row["window_over"],
        )

    async def gaps(self, plan: PlanId, after: int, limit: int) -> Sequence[StoredGap]:
        """A page of an open plan's gaps."""
        rows = await self.rows(load("plans")["gaps"], plan=plan, after=after, limit=limit)
        return [_gap(row) for row in rows]

    async def apply(
        self, plan: PlanId, *, triggered_by: str, copy_from: RunId | None = None, parallel: int | None = None
    ) -> Applied:
        """Make runs of an open plan; see `ports.ledger`."""
        sql = load("plans")
        rows = await self.rows(sql["plan"], plan=plan)
        if not rows:
            msg = f"There is no plan {plan}."
            raise NotFound(msg)
        if rows[0]["state"] == "discarded":
            msg = f"Plan {plan} was discarded; plan again."
            raise Conflict(msg)
        done = await self.rows(
            sql["apply"],
            plan=plan,
            shape=rows[0]["shape_id"],
            triggered_by=triggered_by,
            engine="local",
            copy_from=copy_from,
            parallel=parallel,
        )
        dropped = {"taken by another": done[0]["taken"], "changed since planned": done[0]["changed"]}
        return Applied(plan=plan, runs=done[0]["runs"], dropped={k: v for k, v in dropped.items() if v})

    async def discard(self, plan: PlanId) -> None:
        """Forget an open plan's gaps; see `ports.ledger`."""
        if not await self.rows(load("plans")["discard"], plan=plan):
            stored = await self.stored_plan(plan)
            if stored.state == "applied":
                msg = f"Plan {plan} is applied already; 'penstock cancel --plan {plan}' stops what it started."
                raise Conflict(msg)

    async def presence(self, query: PlanQuery, key: str) -> dict[str, Any]:
        """Whether a key is wanted and existing now; see `ports.ledger`."""
        with translated():
            async with self.pool.connection() as connection:
                composer = await self._composer(connection, query, 0)
                found = composer.presence(key)
                cursor = psycopg.AsyncClientCursor(connection, row_factory=dict_row)
                await cursor.execute(found.sql.encode(), found.binds)
                row = await cursor.fetchone()
        return dict(row) if row else {}

    def plan_id(self, uuid: Any) -> PlanId:
        """The plan behind a public id."""
        return PlanId(self.number(KIND_PLAN, uuid))


async def _one(connection: Connection, sql: bytes, **binds: Any) -> dict[str, Any]:
    cursor = await connection.execute(sql, binds)
    return dict(await cursor.fetchone() or {})


async def _copy(connection: Connection, units: Sequence[ListedUnit]) -> None:
    sql = load("plans")
    await connection.execute(sql["listed_table"])
    cursor = connection.cursor()
    async with cursor.copy(sql["copy_listed"]) as copy:
        for place, unit in enumerate(units):
            row = (place, unit.key, json.dumps(unit.unit), unit.lane, unit.priority, unit.source_version)
            await copy.write_row(row)


def _check_columns(query: PlanQuery, what: str, have: list[str], need: Sequence[str], is_what: str) -> None:
    missing = [name for name in need if name not in have]
    if missing:
        msg = (
            f"{query.pipeline}: {what} does not select {missing[0]}, which is {is_what}. It selects {', '.join(have)}."
        )
        raise DefinitionError(msg)


def _gap(row: dict[str, Any]) -> StoredGap:
    priced: list[tuple[str, str]] = row.pop("costs") or []
    costs = tuple((name, Decimal(amount)) for name, amount in priced)
    return StoredGap(**row, costs=costs)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
