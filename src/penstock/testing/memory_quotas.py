"""Quotas in memory: draws, what runs are expected to draw, and which gaps a plan admits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from penstock.model.attempt import Instant, ProcessId, RunId
from penstock.model.errors import DefinitionError
from penstock.model.quota import Quota, UnitCost, price, window
from penstock.ports.records import PlanQuery, QuotaUse, Refused
from penstock.testing.memory_rows import Item, Run, RunCost, Tables, moment

TOP_RANKS = 5
"""Ranks below it have a priority above 0 and may use a quota's reserve."""
NEVER = float("inf")


@dataclass(slots=True)
class Window:
    """A quota's window: what is drawn, open draws at their worst case, and what runs may draw yet."""

    ends: float
    used: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)


@dataclass(slots=True)
class DrawRow:
    """One draw; `settled` is None while it is open."""

    quota: Quota
    app: str
    window: Window
    run: RunId
    process: ProcessId
    amount: Decimal
    settled: Decimal | None = None


class Budgets:
    """What PostgreSQL does in functions, on the memory ledger's rows."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.quotas: dict[tuple[str, str], Quota] = {}
        self.windows: dict[tuple[str, str, int, float], Window] = {}
        self.draws: list[DrawRow] = []

    def know(self, app: str, quota: Quota) -> None:
        """The quota as the code defines it now."""
        self.quotas[app, quota.name] = quota

    def spend(
        self, app: str, run: Run, process: ProcessId, draws: Sequence[tuple[Quota, Decimal]]
    ) -> list[int] | Refused:
        """Draw from all of them or from none."""
        for quota, amount in draws:
            self.know(app, quota)
            present, own = self._window(app, quota, run), self._own(quota, run)
            free = quota.amount - self._kept(quota, run.rank) - self._used(app, quota, present)
            free -= present.reserved - own
            if amount > free:
                until = None if math.isinf(present.ends) else Instant(present.ends)
                return Refused(quota=quota.name, limit=quota.amount, free=free, until=until)
        numbers: list[int] = []
        for quota, amount in draws:
            present, own = self._window(app, quota, run), self._own(quota, run)
            present.used += amount
            present.reserved -= min(own, amount)
            if own:
                run.costs[quota.name].reserved -= min(own, amount)
            self.draws.append(DrawRow(quota, app, present, run.id, process, amount))
            numbers.append(len(self.draws) - 1)
        return numbers

    def settle(self, settled: Sequence[tuple[int, Decimal]]) -> None:
        """What draws really cost."""
        for number, actual in settled:
            draw = self.draws[number]
            if draw.settled is None:
                draw.settled = actual
                draw.window.used += actual - draw.amount

    def admit(self, run: Run) -> float | None:
        """Reserve what a run is expected to draw, or say when it may fit."""
        if not run.costs or run.cancel_requested:
            return None
        app, until, needs = run.pipeline.app, 0.0, list[tuple[RunCost, Window, float, Decimal]]()
        for name, cost in run.costs.items():
            quota = self.quotas[app, name]
            if quota.per in ("run", "second"):
                continue
            starts, _ = window(quota, self.tables.clock())
            present = self._window(app, quota, run)
            if cost.starts == starts:
                continue
            drawn = sum(
                (draw.amount if draw.settled is None else draw.settled)
                for draw in self.draws
                if draw.run == run.id and draw.quota.name == name
            )
            need = max(Decimal(0), cost.amount - drawn)
            free = quota.amount - self._kept(quota, run.rank) - self._used(app, quota, present) - present.reserved
            if need > free:
                until = max(until, self.tables.clock() + 1 if quota.per is None else present.ends)
            needs.append((cost, present, starts, need))
        if until:
            self.release(run)
            return until
        for cost, present, starts, need in needs:
            cost.reserved, cost.starts = need, starts
            present.reserved += need
        return None

    def release(self, run: Run) -> None:
        """What was reserved and not drawn is free again."""
        for name, cost in run.costs.items():
            if cost.starts is not None:
                self._window(
                    run.pipeline.app, self.quotas[run.pipeline.app, name], run, cost.starts
                ).reserved -= cost.reserved
            cost.reserved, cost.starts = Decimal(0), None

    def admit_plan(self, query: PlanQuery, items: Sequence[Item]) -> tuple[list[Item], float | None]:
        """The items with their prices, those that no budget admits deferred; and when the first window ends."""
        for cost in query.costs:
            self.know(query.app, cost.quota)
        priced = [replace(item, costs=_priced(query, item)) for item in items]
        ends: list[float] = []
        for cost in query.costs:
            quota = cost.quota
            if quota.per == "second":
                continue
            priced = self._defer_never(quota, priced)
            if quota.is_budget:
                priced = self._defer(query.app, quota, priced)
                ends.append(window(quota, self.tables.clock())[1])
        return priced, min(ends, default=None)

    def _defer_never(self, quota: Quota, items: Sequence[Item]) -> list[Item]:
        cost, rank = _by_run(quota, items)
        never = {no for no in cost if cost[no] > quota.amount - self._kept(quota, rank[no])}
        return [
            replace(item, deferred_by=quota.name, deferred_until=NEVER) if item.run_no in never else item
            for item in items
        ]

    def _defer(self, app: str, quota: Quota, items: Sequence[Item]) -> list[Item]:
        now = self.tables.clock()
        starts, _ = window(quota, now)
        present = self.windows.get((app, quota.name, 0, starts), Window(0.0))
        left = quota.amount - present.used - present.reserved
        cost, rank = _by_run(quota, [item for item in items if item.deferred_by is None])
        used, ahead, late = quota.amount - left, 0, dict[int, float]()
        for no, one in cost.items():
            if one > 0 and used + one > quota.amount - self._kept(quota, rank[no]):  # the next window's
                ahead, used = ahead + 1, Decimal(0)
            used += one
            if one > 0 and ahead:
                late[no] = window(quota, now, ahead)[0]
        return [
            replace(item, deferred_by=quota.name, deferred_until=late[item.run_no])
            if item.deferred_by is None and item.run_no in late
            else item
            for item in items
        ]

    def use(self, app: str) -> list[QuotaUse]:
        """Every quota in its present window."""
        return [self._use(app, quota) for (of, _), quota in sorted(self.quotas.items()) if of == app]

    def _use(self, app: str, quota: Quota) -> QuotaUse:
        starts, ends = window(quota, self.tables.clock())
        present = self.windows.get((app, quota.name, 0, starts), Window(ends))
        mine = [draw for draw in self.draws if draw.app == app and draw.quota.name == quota.name]
        return QuotaUse(
            name=quota.name,
            limit=quota.amount,
            reserve=quota.kept,
            per=quota.per,
            timezone=quota.timezone,
            starts_at=_finite(starts),
            ends_at=_finite(ends),
            used=self._used(app, quota, present),
            reserved=present.reserved,
            open=sum((draw.amount for draw in mine if draw.settled is None), Decimal(0)),
        )

    def _window(self, app: str, quota: Quota, run: Run, starts: float | None = None) -> Window:
        scope = run.id if quota.per == "run" else 0
        first, ends = window(quota, self.tables.clock())
        at = first if starts is None else starts
        return self.windows.setdefault((app, quota.name, scope, at), Window(ends))

    def _used(self, app: str, quota: Quota, present: Window) -> Decimal:
        if quota.per is not None:
            return present.used
        alive = self.tables.processes
        return sum(
            (
                draw.amount
                for draw in self.draws
                if draw.app == app
                and draw.quota.name == quota.name
                and draw.settled is None
                and alive[draw.process].alive
            ),
            Decimal(0),
        )

    def _own(self, quota: Quota, run: Run) -> Decimal:
        cost = run.costs.get(quota.name)
        if cost is None or cost.starts != window(quota, self.tables.clock())[0]:
            return Decimal(0)
        return cost.reserved

    def _kept(self, quota: Quota, rank: int) -> Decimal:
        return Decimal(0) if rank < TOP_RANKS else quota.kept


def summary(items: Sequence[Item]) -> tuple[Mapping[str, Decimal], list[tuple[str, int, datetime | None]]]:
    """The cost of all items by quota, and what is deferred by which."""
    cost: dict[str, Decimal] = {}
    late: dict[str, list[float]] = {}
    for item in items:
        for name, one in item.costs:
            cost[name] = cost.get(name, Decimal(0)) + one
        if item.deferred_by is not None:
            late.setdefault(item.deferred_by, []).append(item.deferred_until or NEVER)
    return cost, [(name, len(times), _finite(min(times))) for name, times in sorted(late.items())]


def _by_run(quota: Quota, items: Sequence[Item]) -> tuple[dict[int, Decimal], dict[int, int]]:
    cost: dict[int, Decimal] = {}
    rank: dict[int, int] = {}
    for item in items:
        cost[item.run_no] = cost.get(item.run_no, Decimal(0)) + dict(item.costs)[quota.name]
        rank[item.run_no] = min(rank.get(item.run_no, 9), item.rank)
    return cost, rank


def _priced(query: PlanQuery, item: Item) -> tuple[tuple[str, Decimal], ...]:
    quotas = [cost.quota for cost in query.costs]
    found: list[tuple[str, Decimal]] = []
    for n, cost in enumerate(query.costs):
        amount = _one(cost, n, item.unit, quotas, query.pipeline)
        if amount < 0:
            values = ", ".join(str(item.unit[name]) for name in query.key.kinds)
            raise DefinitionError(f"{query.pipeline}: the cost of ({values}) is below 0.")
        found.append((cost.quota.name, amount))
    return tuple(found)


def _one(cost: UnitCost, n: int, unit: Mapping[str, Any], quotas: Sequence[Quota], pipeline: str) -> Decimal:
    if cost.field is None:
        return cost.amount or Decimal(0)
    value = unit[cost.field]
    if not cost.operations:
        return Decimal(str(value or 0))
    try:
        return price(value or "", quotas)[n]
    except DefinitionError:
        names = [name.strip() for name in value.split("+")]
        known = sorted({name for quota in quotas for name in quota.costs})
        odd = next(name for name in names if name not in known)
        msg = f"{pipeline}: no quota lists the operation {odd!r}; there are {', '.join(known)}."
        raise DefinitionError(msg) from None


def _finite(at: float) -> datetime | None:
    return None if math.isinf(at) else moment(at)
