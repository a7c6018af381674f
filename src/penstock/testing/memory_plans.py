"""Plans in memory: stored, shown, applied, put away; and what a new run takes over from an older one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from penstock.model.attempt import PlanId, RunId, UnitId
from penstock.model.errors import Conflict
from penstock.ports.records import Applied, FollowUp, ListedUnit, PlanQuery, StoredGap, StoredPlan
from penstock.testing.memory_gaps import Existing, Search, refuse_sql, version_of
from penstock.testing.memory_quotas import NEVER, Budgets, summary
from penstock.testing.memory_rows import (
    KIND_PLAN,
    Item,
    Pipeline,
    Plan,
    Run,
    RunCost,
    RunUnit,
    Tables,
    Unit,
    moment,
)

AVERAGED = 200
"""Runs of which the forecast knows."""


class Plans:
    """The planning half of the memory ledger; see `ports.ledger`."""

    def __init__(self, tables: Tables, existing: Callable[[], Existing] | None) -> None:
        self.tables, self._existing = tables, existing
        self.budgets = Budgets(tables)

    async def plan(self, query: PlanQuery) -> StoredPlan:
        """Find the gaps and store them."""
        tables = self.tables
        found = Search(tables, query, self._existing() if self._existing else None).run()
        space = (query.app, query.space)
        pipeline = tables.pipelines.setdefault((query.app, query.pipeline), Pipeline(query.app, query.pipeline, space))
        pipeline.space = space
        items, ends = found.items, None
        if query.costs:
            items, ends = self.budgets.admit_plan(query, items)
        cost, deferred = summary(items)
        admitted = [item for item in items if item.deferred_by is None]
        runs_of_lane = Counter(lane for lane, _ in {(item.lane, item.run_no) for item in admitted})
        plan = Plan(
            id=PlanId(len(tables.plans) + 1),
            pipeline=pipeline,
            shape=query.shape,
            definition=query.definition,
            params=query.params,
            forced=query.forced,
            created_at=tables.clock(),
            items=items,
            counts=dict(found.counts),
            run_count=len({item.run_no for item in admitted}),
            lane_count=len(runs_of_lane),
            longest=max(runs_of_lane.values(), default=0),
            in_flight=found.in_flight,
            remembered=found.remembered,
            repeating=found.repeating,
            cost=cost,
            deferred=deferred,
            window_ends=ends,
        )
        tables.plans[plan.id] = plan
        return self._stored(plan)

    async def stored_plan(self, plan: PlanId) -> StoredPlan:
        """The plan."""
        return self._stored(self.tables.found_plan(plan))

    def _stored(self, plan: Plan) -> StoredPlan:
        return StoredPlan(
            id=plan.id,
            uuid=self.tables.public(KIND_PLAN, plan.id),
            app=plan.pipeline.app,
            pipeline=plan.pipeline.name,
            state=plan.state,
            paused=plan.paused or plan.pipeline.paused,
            definition=plan.definition,
            forced=plan.forced,
            counts=dict(plan.counts),
            runs=plan.run_count,
            lanes=plan.lane_count,
            longest_lane=plan.longest,
            in_flight=plan.in_flight,
            remembered=list(plan.remembered),
            repeating=plan.repeating,
            created_at=datetime.fromtimestamp(plan.created_at, UTC),
            applied_at=moment(plan.applied_at),
            age=self.tables.clock() - plan.created_at,
            seconds_a_run=self._seconds_a_run(plan.pipeline),
            dropped={reason: count for reason, count in plan.dropped.items() if count},
            cost=dict(plan.cost),
            deferred=list(plan.deferred),
            window_over=plan.window_ends is not None and self.tables.clock() >= plan.window_ends,
        )

    def _seconds_a_run(self, pipeline: Pipeline) -> float | None:
        last = [run for run in self.tables.runs.values() if run.pipeline is pipeline][-AVERAGED:]
        lengths = [
            run.finished_at - run.started_at
            for run in last
            if run.state == "completed" and run.finished_at is not None and run.started_at is not None
        ]
        return sum(lengths) / len(lengths) if lengths else None

    async def gaps(self, plan: PlanId, after: int, limit: int) -> Sequence[StoredGap]:
        """A page of an open plan's gaps."""
        found = self.tables.plans.get(plan)
        items = [item for item in found.items if item.position > after] if found else []
        return [
            StoredGap(
                position=item.position,
                key=item.key,
                unit=item.unit,
                reason=item.reason,
                priority=item.priority,
                lane=item.lane,
                source_version=item.source_version,
                costs=item.costs,
                deferred_by=item.deferred_by,
                deferred_until=None if item.deferred_until in (None, NEVER) else moment(item.deferred_until),
            )
            for item in items[:limit]
        ]

    async def apply(
        self,
        plan: PlanId,
        *,
        triggered_by: str,  # noqa: ARG002 - memory tells nobody who did it
        copy_from: RunId | None = None,
        parallel: int | None = None,
    ) -> Applied:
        """Make runs of an open plan."""
        found = self.tables.found_plan(plan)
        if found.state == "discarded":
            raise Conflict(f"Plan {plan} was discarded; plan again.")
        if found.state == "open":
            found.parallel = parallel
            self._apply(found, copy_from)
        return Applied(plan=plan, runs=found.run_count, dropped={k: v for k, v in found.dropped.items() if v})

    def _apply(self, plan: Plan, copy_from: RunId | None) -> None:
        by_run: dict[int, list[tuple[Item, Unit]]] = {}
        taken = changed = 0
        for item in plan.items:
            if item.deferred_by is not None:
                continue
            unit = self._unit_of(plan.pipeline, item)
            if unit.rev != item.rev:
                changed += 1
            elif unit.active is not None:
                taken += 1
            else:
                by_run.setdefault(item.run_no, []).append((item, unit))
        for _, items in sorted(by_run.items()):
            self._make(plan, items)
        if copy_from is not None and len(plan.runs) == 1:
            self._copy(self.tables.found_run(copy_from), self.tables.runs[plan.runs[0]])
        plan.state, plan.applied_at, plan.items = "applied", self.tables.clock(), []
        plan.run_count = len(plan.runs)
        plan.dropped = {"taken by another": taken, "changed since planned": changed}
        if not (plan.paused or plan.pipeline.paused):
            self._wake(plan)

    def _unit_of(self, pipeline: Pipeline, item: Item) -> Unit:
        tables, name = self.tables, (pipeline.app, pipeline.name, item.key)
        unit = tables.unit_of.get(name)
        if unit is None:
            unit = Unit(UnitId(len(tables.units) + 1), pipeline, item.key, item.unit)
            tables.units[unit.id] = tables.unit_of[name] = unit
        return unit

    def _make(self, plan: Plan, items: Sequence[tuple[Item, Unit]]) -> None:
        held = plan.paused or plan.pipeline.paused
        tables = self.tables
        lanes = [tables.lane(plan.pipeline.space, item.lane) for item, _ in items]
        run = Run(
            id=RunId(len(tables.runs) + 1),
            pipeline=plan.pipeline,
            plan=plan,
            shape=plan.shape,
            lane=min(lanes, key=lambda lane: lane.id),
            rank=min(9, min(item.rank for item, _ in items) + (plan.parallel is not None)),  # it lets others go first
            units={no: RunUnit(no, unit, item.source_version, item.reason) for no, (item, unit) in enumerate(items)},
            created_at=tables.clock(),
            held=held,
        )
        for item, _ in items:
            for name, amount in item.costs:
                if amount > 0:
                    run.costs.setdefault(name, RunCost(Decimal(0))).amount += amount
        tables.runs[run.id] = tables.active[run.id] = run
        plan.runs.append(run.id)
        for item, unit in items:
            unit.active, unit.unit = run.id, item.unit
        if not held:
            tables.offer(run)

    def _wake(self, plan: Plan) -> None:
        """Lanes become ready in plan order, those with a higher priority earlier."""
        tables = self.tables
        rank_of: dict[int, int] = {}
        for run in (tables.runs[number] for number in plan.runs):
            rank_of[run.lane.id] = min(run.rank, rank_of.get(run.lane.id, run.rank))
        now = tables.clock()
        for place, (number, rank) in enumerate(rank_of.items(), 1):
            lane = tables.lanes[number]
            if lane.run is None and (lane.next_at is None or lane.narrow is not None):
                lane.narrow = None
                tables.due(lane, now - (10 - rank) * 60.0 + place * 1e-6)

    def _copy(self, old: Run, new: Run) -> None:
        versions = {part.unit.id: part.source_version for part in old.units.values()}
        same = all(
            part.unit.id in versions and versions[part.unit.id] == part.source_version for part in new.units.values()
        )
        if same and old.shape.code == new.shape.code and old.pipeline is new.pipeline:
            copy_steps(old, new)

    async def discard(self, plan: PlanId) -> None:
        """Forget an open plan's gaps."""
        found = self.tables.found_plan(plan)
        if found.state == "applied":
            raise Conflict(f"Plan {plan} is applied already; 'penstock cancel --plan {plan}' stops what it started.")
        found.state, found.items = "discarded", []

    async def presence(self, query: PlanQuery, key: str) -> Mapping[str, Any]:
        """Whether the unit is wanted and existing now."""
        refuse_sql(query)
        wanted = next((unit for unit in query.wanted if isinstance(unit, ListedUnit) and unit.key == key), None)
        existing: Existing = self._existing() if self._existing else {}
        return {
            "wanted": None if wanted is None else {"version": version_of(query, wanted), "unit": dict(wanted.unit)},
            "existing": {"version": existing[key]} if key in existing else None,
        }


def follow_up(tables: Tables, run: Run, follow: FollowUp) -> None:
    """One more run over the units of a batch that may be tried again; part of their run's end."""
    new = Run(
        id=RunId(len(tables.runs) + 1),
        pipeline=run.pipeline,
        plan=run.plan,
        shape=run.shape,
        lane=run.lane,
        rank=run.rank,
        units={
            no: RunUnit(no, run.units[no].unit, run.units[no].source_version, run.units[no].reason)
            for no in sorted(follow.units)
        },
        created_at=tables.clock(),
        held=True,
        not_before=follow.until,
        wait_reason="backoff",
        tries=follow.tries,
        origin=run.id,
    )
    new.costs = {name: RunCost(cost.amount * len(new.units) / len(run.units)) for name, cost in run.costs.items()}
    tables.runs[new.id] = tables.active[new.id] = new
    run.plan.runs.append(new.id)
    for part in new.units.values():
        part.unit.active = new.id
    copy_steps(run, new)


def copy_steps(old: Run, new: Run) -> None:
    """What a new run over the same units and versions need not do again."""
    number_of = {part.unit.id: part.no for part in new.units.values()}
    kept = {no: number_of[part.unit.id] for no, part in old.units.items() if part.unit.id in number_of}
    spoilt: set[str] = set()
    for (step, no), call in old.calls.items():
        if no in kept and call.state == "failed":
            spoilt.add(step)
        elif no in kept:
            new.calls[step, kept[no]] = replace(call, unit_no=kept[no])
    over = sorted(
        (a for a in old.attempts.values() if a.state in ("done", "skipped") and a.ended is not None),
        key=lambda a: a.ended or 0,
    )
    # A step is copied whole when it was over before any of these units failed in a step of its own.
    cut = next((place for place, attempt in enumerate(over) if attempt.step in spoilt), len(over))
    for seq, attempt in enumerate(over[:cut], 1):
        new.attempts[seq] = replace(
            attempt,
            seq=seq,
            attempt=1,
            ended=seq,
            units_left=len(new.units),
            units_failed=0,
            error_class=None,
            error=None,
            not_before=None,
            reason=None,
        )
