"""Planning in memory: which of the units that Python listed are gaps, why, in which order, lane and run."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from penstock.model.errors import DefinitionError
from penstock.model.states import Reason
from penstock.ports.records import ListedUnit, PlanQuery
from penstock.testing.memory_rows import Item, Tables, Unit, moment

Existing = Mapping[str, str | None]
"""What there is: version by canonical key; None where the ledger has to know the version."""


@dataclass(slots=True)
class Found:
    """What planning found."""

    items: list[Item] = field(default_factory=list[Item])
    counts: Counter[Reason] = field(default_factory=Counter[Reason])
    in_flight: int = 0
    remembered: list[tuple[str, int, datetime | None]] = field(default_factory=list[tuple[str, int, datetime | None]])
    repeating: int = 0


@dataclass(frozen=True, slots=True)
class _Gap:
    listed: ListedUnit
    unit: Unit | None
    version: str | None
    reason: Reason
    priority: int

    @property
    def alone(self) -> bool:
        return self.unit is not None and self.unit.alone


def refuse_sql(query: PlanQuery) -> None:
    """SQL has to be asked of a database.

    Raises:
        DefinitionError: `wanted` or `existing` is SQL text.
    """
    if isinstance(query.wanted, str) or query.existing is not None:
        raise DefinitionError(
            f"{query.pipeline} finds its gaps by SQL, which memory does not answer: give Simulation wanted=[...], "
            "or test it with penstock.testing.database(app)."
        )


def version_of(query: PlanQuery, listed: ListedUnit) -> str | None:
    """The version that counts: the source's, and the pipeline's own when it was raised."""
    if query.shape.version == 1:
        return listed.source_version
    return f"{listed.source_version or ''}#{query.shape.version}"


class Search:
    """One look for gaps.

    Args:
        tables: What is remembered.
        query: What to plan.
        existing: What there is; None: what the ledger knows as completed.
    """

    def __init__(self, tables: Tables, query: PlanQuery, existing: Existing | None) -> None:
        self.tables, self.query, self.existing = tables, query, existing
        self.found = Found()
        self._remembered: dict[str, list[float]] = {}

    def run(self) -> Found:
        """Look.

        Raises:
            DefinitionError: A unit is given twice, or `wanted` is SQL.
        """
        refuse_sql(self.query)
        keys = None if self.query.keys is None else set(self.query.keys)
        wanted = [unit for unit in self.query.wanted if isinstance(unit, ListedUnit)]
        seen: set[str] = set()
        looked = [self._look(listed, seen) for listed in wanted if keys is None or listed.key in keys]
        gaps = [gap for gap in looked if gap is not None]
        gaps.sort(key=lambda gap: -gap.priority)  # stable: the rest is the order of the list
        self.found.items = self._items(gaps)
        self.found.counts = Counter(gap.reason for gap in gaps)
        self.found.remembered = [(v, len(at), moment(min(at))) for v, at in sorted(self._remembered.items())]
        return self.found

    def _look(self, listed: ListedUnit, seen: set[str]) -> _Gap | None:
        query = self.query
        unit = self.tables.unit_of.get((query.app, query.pipeline, listed.key))
        version = version_of(query, listed)
        absent, stale = self._differs(listed, unit, version)
        if not (absent or stale or query.forced):
            return None
        if listed.key in seen:
            values = ", ".join(str(value) for value in json.loads(listed.key).values())
            raise DefinitionError(
                f"{query.pipeline}: {query.wanted_name} gives ({values}) more than once; a wanted unit must come once."
            )
        seen.add(listed.key)
        sees_data = self.existing is not None
        if unit is not None and absent and sees_data and unit.verdict == "completed" and unit.repeats > 1:
            self.found.repeating += 1
        if unit is not None and unit.active is not None:
            self.found.in_flight += 1
            return None
        if unit is not None and not query.forced and self._holds(unit, version, loops=absent and sees_data):
            self._remembered.setdefault(unit.verdict, []).append(unit.not_before or 0.0)
            return None
        reason: Reason = "stale" if stale else "forced"
        if absent:
            reason = "missing"
            if unit is not None and unit.verdict in ("failed", "rejected", "partial"):
                reason = unit.verdict
        return _Gap(listed, unit, version, reason, listed.priority)

    def _differs(self, listed: ListedUnit, unit: Unit | None, version: str | None) -> tuple[bool, bool]:
        completed = unit is not None and unit.completed_at is not None
        outdated = unit is not None and completed and version is not None and unit.completed_version != version
        if self.existing is None:
            return not completed, outdated
        has = self.existing.get(listed.key)
        differs = has is not None and listed.source_version is not None and has != listed.source_version
        return listed.key not in self.existing, differs or (outdated and (has is None or self.query.shape.version > 1))

    def _holds(self, unit: Unit, version: str | None, *, loops: bool) -> bool:
        """Negative knowledge that still holds."""
        if unit.not_before is None or unit.not_before <= self.tables.clock() or unit.source_version != version:
            return False
        return unit.verdict in ("failed", "rejected", "no_data", "partial") or (unit.verdict == "completed" and loops)

    def _items(self, gaps: Sequence[_Gap]) -> list[Item]:
        query = self.query
        first_of: dict[object, int] = {}
        counted: Counter[tuple[str, bool]] = Counter()
        lanes: dict[object, str] = {}
        items: list[Item] = []
        for position, gap in enumerate(gaps, 1):
            lane = "=" + hashlib.md5(gap.listed.key.encode(), usedforsecurity=False).hexdigest()
            if query.lane:
                lane = gap.listed.lane or ""
            group = lane if query.lane else ""
            chunk: object = position
            if query.one_run:
                chunk = "all"
            elif query.shape.batch > 1 and not gap.alone:
                chunk = (group, counted[group, False] // query.shape.batch)
                counted[group, False] += 1
            run_no = first_of.setdefault(chunk, 1 if query.one_run else position)
            if not query.lane:
                lane = lanes.setdefault(chunk, lane)
            rank = min(9, max(0, 5 - gap.priority)) if query.priority is None else 5 - query.priority
            items.append(
                Item(
                    position=position,
                    run_no=run_no,
                    key=gap.listed.key,
                    unit=gap.listed.unit,
                    lane=lane,
                    rank=rank,
                    priority=gap.priority,
                    reason=gap.reason,
                    source_version=gap.version,
                    rev=0 if gap.unit is None else gap.unit.rev,
                )
            )
        return items
