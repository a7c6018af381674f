"""Puts the gap query together: the user's SQL, the unit's fields and the pipeline's rules, in one statement.

Identifiers are quoted; values are bound. What the SQL promises stands in `queries/gaps.sql`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.ledger.queries import load
from penstock.model.quota import UnitCost
from penstock.ports.records import PlanQuery

LISTED = (
    'select ord as "~ord", key as "~listed", unit as "~listed_unit", lane as "~listed_lane", priority, source_version '
    "from penstock_listed"
)


def quote(name: str) -> str:
    """An SQL identifier; percent signs are doubled for the driver's placeholders."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def literal(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"


@dataclass(frozen=True, slots=True)
class GapQuery:
    """A composed query and its values."""

    sql: str
    binds: dict[str, Any]


class Composer:
    """Writes the parts for one plan.

    Args:
        query: What to plan.
        pipeline_id: The pipeline's row.
        wanted: The columns that `wanted` selects; empty when Python listed the units.
        existing: The columns that `existing` selects; empty without it.
    """

    def __init__(self, query: PlanQuery, pipeline_id: int, wanted: Sequence[str], existing: Sequence[str]) -> None:
        self.query, self.pipeline_id = query, pipeline_id
        self.listed = not isinstance(query.wanted, str)
        self.wanted, self.existing = set(wanted), set(existing)
        self.parts = {name: part.decode() for name, part in load("gaps").items()}

    @property
    def source_tells(self) -> bool:
        """Whether `existing` says by itself which version is there (or versions play no part)."""
        if self.query.existing is None or self.query.shape.version > 1:
            return False
        return "source_version" in self.existing or not self._has_version

    @property
    def _has_version(self) -> bool:
        return self.listed or "source_version" in self.wanted

    @property
    def key(self) -> str:
        """The canonical key of a wanted row, called `w`."""
        return 'w."~listed"' if self.listed else self.query.key.sql(lambda name: f"w.{quote(name)}")

    @property
    def version(self) -> str:
        """The version that counts: the source's, and the pipeline's own when it was raised."""
        source = "w.source_version::text" if self._has_version else "null::text"
        number = self.query.shape.version
        return source if number == 1 else f"coalesce({source}, '') || '#{number}'"

    def plan(self, plan_id: int) -> GapQuery:
        """The statement that finds, orders and stores the gaps of a plan."""
        query, batch = self.query, self.query.shape.batch
        absent, stale, join = self._found()
        lane = "'=' || md5(\"~key\")"
        if self.listed and query.lane:
            lane = "coalesce(r.\"~listed_lane\", '')"
        elif query.lane:
            lane = f"coalesce(r.{quote(query.lane)}::text, '')"
        run_no, chunk, final_lane = '"~position"', "0", '"~lane0"'
        if query.one_run:
            run_no = "1"
            final_lane = '"~lane0"' if query.lane else 'first_value("~lane0") over (order by "~position")'
        elif batch > 1:
            group = '"~lane0", ' if query.lane else ""
            chunk = (
                f'case when "~alone" then -"~position" else (row_number() over (partition by {group}coalesce("~alone", '
                f'false) order by "~position") - 1) / {batch} end'
            )
            run_no = f'min("~position") over (partition by {group}"~chunk")'
            if not query.lane:
                final_lane = 'first_value("~lane0") over (partition by "~chunk" order by "~position")'
        priority = "coalesce(priority::int, 0)" if self.listed or "priority" in self.wanted else "0"
        rank = 'least(9, greatest(0, 5 - "~priority"))'
        values = {
            "wanted": LISTED if self.listed else f"\n{query.wanted}\n",
            "existing": f"e as (\n{query.existing}\n), " if query.existing else "",
            "key": self.key,
            "version": self.version,
            "absent": absent,
            "stale": stale,
            "existing_join": join,
            "forced": "true" if query.forced else "false",
            "filter": self._filter(),
            "pipeline": str(self.pipeline_id),
            "sees_data": "true" if query.existing else "false",
            "priority": priority,
            "order": self._order(),
            "lane": lane,
            "chunk": chunk,
            "run_no": run_no,
            "final_lane": final_lane,
            "plan": str(plan_id),
            "unit": self._unit(),
            **self._costs(),
            "rank": str(5 - query.priority) if query.priority is not None else rank,
        }
        found = self.parts["by_source" if self.source_tells else "by_ledger"].format(**values)
        return GapQuery(self.parts["plan"].format(found=found, **values), self._binds())

    def _costs(self) -> dict[str, str]:
        """The parts that price each gap; empty for a pipeline without costs."""
        costs = self.query.costs
        if not costs:
            return {"cost_column": "", "cost_value": "", "cost_check": ""}
        priced = ", ".join(self._cost(n, cost) for n, cost in enumerate(costs))
        fields = {cost.field for cost in costs if cost.operations and cost.field is not None}
        check = "null"
        if fields:
            check = " , ".join(
                f"(select o from b, unnest(string_to_array({self._field(field)}, '+')) o "
                f"where trim(o) <> all (%(penstock.operations)s) limit 1)"
                for field in sorted(fields)
            )
            check = f"coalesce({check})"
        return {
            "cost_column": ", costs",
            "cost_value": f", array[{priced}]::numeric[]",
            "cost_check": f", {check} as operation",
        }

    def _cost(self, n: int, cost: UnitCost) -> str:
        if cost.field is None:
            return f"%(penstock.cost{n})s::numeric"
        if not cost.operations:
            return f"coalesce(({self._field(cost.field)})::numeric, 0)"
        return (
            f"(select coalesce(sum((%(penstock.cost{n})s::json ->> trim(o))::numeric), 0) "
            f"from unnest(string_to_array({self._field(cost.field)}, '+')) o)"
        )

    def _field(self, name: str) -> str:
        return f'(b."~listed_unit" ->> {literal(name)})' if self.listed else f"b.{quote(name)}"

    def twice(self, key: str) -> GapQuery:
        """How often `wanted` gives this key."""
        sql = self.parts["twice"].format(wanted=f"\n{self.query.wanted}\n", key=self.key)
        return GapQuery(sql, {**self._binds(), "penstock.key": key})

    def presence(self, key: str) -> GapQuery:
        """Whether this key is wanted and existing."""
        existing = f", e as (\n{self.query.existing}\n)" if self.query.existing else ""
        of_existing = self.query.key.sql(lambda name: f"e.{quote(name)}")
        version = "e.source_version::text" if "source_version" in self.existing else "null"
        present = (
            f"(select json_build_object('version', {version}) from e where {of_existing} = %(penstock.key)s limit 1)"
            if existing
            else "null"
        )
        sql = self.parts["presence"].format(
            wanted=f"\n{self.query.wanted}\n", existing=existing, key=self.key, version=self.version, present=present
        )
        return GapQuery(sql, {**self._binds(), "penstock.key": key})

    def _found(self) -> tuple[str, str, str]:
        """What tells that a wanted unit is absent, that it is stale, and the join with what exists."""
        fields = list(self.query.key.kinds)
        join = ""
        if self.query.existing:
            if self.listed:
                condition = f"{self.query.key.sql(lambda name: f'e.{quote(name)}')} = {self.key}"
            else:
                condition = " and ".join(f"e.{quote(name)} = w.{quote(name)}" for name in fields)
            join = f"left join e on {condition}"
        absent = f"e.{quote(fields[0])} is null" if join else "u.completed_at is null"
        by_source = (
            "e.source_version::text is distinct from w.source_version::text"
            if join and "source_version" in self.existing and self._has_version
            else "false"
        )
        by_ledger = "false"
        if not self.source_tells and (self._has_version or self.query.shape.version > 1):
            by_ledger = '(u.completed_at is not null and u.completed_version is distinct from w."~version")'
        if self.listed:  # a unit that was listed without a version is never stale, unless the pipeline's own was raised
            by_source = f"(w.source_version is not null and {by_source})"
            by_ledger = f'(w."~version" is not null and {by_ledger})' if by_ledger != "false" else "false"
        return absent, f"({by_source} or {by_ledger})", join

    def _filter(self) -> str:
        query = self.query
        if self.listed:
            return ""
        parts = [f"w.{quote(name)} = %(where.{n})s" for n, name in enumerate(query.where)]
        parts += [f"{self.key} = any(%(penstock.keys)s)"] if query.keys is not None else []
        if query.date is not None:
            parts += [f"w.{quote(query.date)} >= %(start)s"] if query.start is not None else []
            parts += [f"w.{quote(query.date)} <= %(end)s"] if query.end is not None else []
        return "".join(f" and {part}" for part in parts)

    def _order(self) -> str:
        if self.listed:
            return 'r."~ord", '
        return "".join(
            f"r.{quote(name.lstrip('-'))}{' desc' if name.startswith('-') else ''}, " for name in self.query.order
        )

    def _unit(self) -> str:
        if self.listed:
            return 'b."~listed_unit"'
        pairs = ", ".join(f"{literal(name)}, b.{quote(name)}" for name in self.query.fields)
        return f"json_build_object({pairs})"

    def _binds(self) -> dict[str, Any]:
        where = {f"where.{n}": value for n, value in enumerate(self.query.where.values())}
        keys = {} if self.query.keys is None else {"penstock.keys": list(self.query.keys)}
        costs: dict[str, Any] = {}
        for n, cost in enumerate(self.query.costs):
            prices = {name: str(price) for name, price in cost.quota.costs.items()}
            costs[f"penstock.cost{n}"] = json.dumps(prices) if cost.operations else cost.amount
        if any(cost.operations for cost in self.query.costs):
            costs["penstock.operations"] = sorted({name for cost in self.query.costs for name in cost.quota.costs})
        return {**self.query.binds, "start": self.query.start, "end": self.query.end, **where, **keys, **costs}
