"""Plan: from a pipeline and what was asked for to the query that finds its gaps, and back to a plan."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from penstock.definition.costs import unit_costs
from penstock.definition.pipeline import Pipeline
from penstock.definition.shaping import shape_of
from penstock.definition.units import first_fault
from penstock.model.errors import DefinitionError, InvalidData, PlanStale
from penstock.model.results import Deferred, Gap, Plan, Remembered
from penstock.model.shape import Shape
from penstock.model.values import DateGaps, SqlGaps
from penstock.operations.dates import date_units
from penstock.planning.forecast import forecast
from penstock.ports.records import ListedUnit, PlanQuery, StoredGap, StoredPlan

Call = Callable[[Callable[..., Any]], Awaitable[Any]]
STALE_AFTER: Final = 24 * 3600.0
_PERCENT: Final = re.compile(r"%%|%\(\w+\)s|%")
TOP: Final = 5
"""The priority of what a person or a program asked for by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What somebody wants planned."""

    units: Sequence[Any] | None = None
    where: Mapping[str, Any] | None = None
    start: date | None = None
    end: date | None = None
    force: bool = False
    params: object = None
    triggered_by: str = "manual"
    one_run: bool = False
    priority: int | None = None


async def plan_query(
    app: str, pipeline: Pipeline[Any], ask: Ask, call: Call, now: datetime, *, shape: Shape | None = None
) -> PlanQuery:
    """Everything that the ledger needs to find the gaps.

    Args:
        app: The app's name.
        pipeline: Whose gaps.
        ask: What was asked for.
        call: Calls a function with its parameters filled by type.
        now: The time that dates are counted to.
        shape: The pipeline's, with the ledger's overrides in it; as the code says it by default.

    Raises:
        DefinitionError: The pipeline finds no gaps of its own and no units were given.
        InvalidData: A value does not fit its field, or the range ends before it starts.
    """
    if ask.start is not None and ask.end is not None and ask.start > ask.end:
        raise InvalidData(f"start={ask.start} is after end={ask.end}.")
    shape = shape or shape_of(pipeline)
    where = _where(pipeline, ask.where or {})
    org = where.get(pipeline.org) if pipeline.org is not None else None
    gaps = pipeline.gaps
    wanted: str | Sequence[ListedUnit]
    existing, binds, keys = None, dict[str, Any](), None
    wanted_name = "wanted"
    if isinstance(gaps, SqlGaps):
        wanted_name = str(gaps.wanted) if str(gaps.wanted).endswith(".sql") else "wanted"
        wanted = bindable(pipeline.sql(gaps.wanted))
        existing = None if gaps.existing is None else bindable(pipeline.sql(gaps.existing))
        binds = dict(await call(gaps.binds) if callable(gaps.binds) else gaps.binds or {})
        if ask.units is not None:
            keys = tuple(pipeline.units.key_text(_unit(pipeline, unit)) for unit in ask.units)
    else:
        units = await _units(pipeline, ask, call, now)
        wanted = [_listed(pipeline, unit) for unit in _ordered(pipeline, units) if _fits(pipeline, unit, where, ask)]
        where = {}
    return PlanQuery(
        app=app,
        pipeline=pipeline.name,
        space=pipeline.space,
        shape=shape,
        definition=definition_hash(pipeline, shape),
        fields=tuple(pipeline.units.fields),
        key=pipeline.units.key,
        wanted=wanted,
        existing=existing,
        binds=binds,
        lane=pipeline.lane,
        order=pipeline.order,
        where=where,
        keys=keys,
        date=pipeline.date,
        start=ask.start,
        end=ask.end,
        forced=ask.force,
        params=_params(pipeline, ask.params),
        triggered_by=ask.triggered_by,
        priority=ask.priority,
        one_run=ask.one_run,
        wanted_name=wanted_name,
        unit_name=pipeline.unit.__name__,
        roles=(pipeline.org, pipeline.instance, pipeline.instance_name),
        org=None if org is None else str(pipeline.units.dumped(pipeline.org or "", org)),
        costs=tuple(unit_costs(pipeline.name, pipeline.units, pipeline.cost)),
    )


def bindable(sql: str) -> str:
    """A user's query without its last semicolon, every `%` that begins no `%(name)s` doubled for the driver."""
    text = sql.strip().rstrip(";")
    return _PERCENT.sub(lambda found: found[0] if len(found[0]) > 1 else "%%", text)


def definition_hash(pipeline: Pipeline[Any], shape: Shape) -> str:
    """What a plan was made from: the shape, the queries, key, lane and order. A plan of another one is stale."""
    gaps = pipeline.gaps
    parts = [shape.to_json(), repr((pipeline.key, pipeline.space, pipeline.lane, pipeline.order))]
    if isinstance(gaps, SqlGaps):
        parts += [pipeline.sql(gaps.wanted), "" if gaps.existing is None else pipeline.sql(gaps.existing)]
    if pipeline.cost:
        parts.append(repr(sorted((repr(quota), repr(cost)) for quota, cost in pipeline.cost.items())))
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def check_fresh(stored: StoredPlan, pipeline: Pipeline[Any], shape: Shape) -> None:
    """An open plan may be applied while its definition is the same, overrides included, and it is not too old.

    Raises:
        PlanStale: Plan again.
    """
    if stored.state != "open":
        return
    again = f"Plan again: penstock plan {pipeline.name}."
    if stored.definition != definition_hash(pipeline, shape):
        raise PlanStale(f"Plan {stored.id} was made from another definition of {pipeline.name}. {again}")
    if stored.window_over:
        raise PlanStale(f"Plan {stored.id} was admitted under a quota whose window has ended since. {again}")
    if stored.age > STALE_AFTER:
        raise PlanStale(f"Plan {stored.id} is {stored.age / 3600:.0f} hours old; plans hold for 24. {again}")


def public_plan(stored: StoredPlan, slots: int, pages: Callable[[], Any] | None = None) -> Plan[Any]:
    """A stored plan as its users see it."""
    return Plan(
        id=stored.uuid,
        number=stored.id,
        pipeline=stored.pipeline,
        counts=stored.counts,
        lanes=stored.lanes,
        seconds=forecast(
            runs=stored.runs, longest_lane=stored.longest_lane, slots=slots, seconds_a_run=stored.seconds_a_run
        ),
        in_flight=stored.in_flight,
        remembered=[Remembered(verdict, count, until) for verdict, count, until in stored.remembered],
        repeating=stored.repeating,
        forced=stored.forced,
        created_at=stored.created_at,
        state=stored.state,
        cost=stored.cost,
        deferred=[Deferred(quota, count, until) for quota, count, until in stored.deferred],
        pages=pages,
    )


def public_gap(pipeline: Pipeline[Any], gap: StoredGap) -> Gap[Any]:
    """A stored gap as its users see it."""
    return Gap(
        unit=pipeline.units.load(gap.unit),
        reason=gap.reason,
        priority=gap.priority,
        source_version=gap.source_version,
        lane=gap.lane,
        cost=dict(gap.costs),
        deferred=gap.deferred_by,
        deferred_until=gap.deferred_until,
    )


def _where(pipeline: Pipeline[Any], where: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in where.items():
        try:
            pipeline.units.check_field(pipeline.name, "where", name)
        except DefinitionError as error:
            raise InvalidData(str(error)) from None
        values[name] = pipeline.units.value(name, value)
    return values


def _unit(pipeline: Pipeline[Any], unit: Any) -> Any:
    if not isinstance(unit, pipeline.unit):
        msg = f"{pipeline.name}: {unit!r} is no {pipeline.unit.__name__}; give units={pipeline.unit.__name__}(...)."
        raise InvalidData(msg)
    return unit


async def _units(pipeline: Pipeline[Any], ask: Ask, call: Call, now: datetime) -> list[Any]:
    gaps = pipeline.gaps
    if ask.units is not None:
        return [_unit(pipeline, unit) for unit in ask.units]
    if isinstance(gaps, DateGaps):
        return date_units(pipeline, gaps, now, start=ask.start, end=ask.end)
    if callable(gaps):
        found = await call(gaps)
        if inspect.isasyncgen(found):
            return [_unit(pipeline, unit) async for unit in found]
        return [_unit(pipeline, unit) for unit in found]
    msg = f"{pipeline.name} finds no gaps of its own: give it units."
    raise DefinitionError(msg)


def _ordered(pipeline: Pipeline[Any], units: Iterable[Any]) -> list[Any]:
    """The units by the pipeline's order; what it leaves open stays as it was listed."""
    ordered = list(units)
    for field in reversed(pipeline.order):
        ordered.sort(key=lambda unit: getattr(unit, field.lstrip("-")), reverse=field.startswith("-"))
    return ordered


def _fits(pipeline: Pipeline[Any], unit: Any, where: Mapping[str, Any], ask: Ask) -> bool:
    if any(getattr(unit, name) != value for name, value in where.items()):
        return False
    if pipeline.date is None or ask.units is not None:
        return True
    day = getattr(unit, pipeline.date)
    day = day.astimezone(UTC).date() if isinstance(day, datetime) else day
    return (ask.start is None or day >= ask.start) and (ask.end is None or day <= ask.end)


def _listed(pipeline: Pipeline[Any], unit: Any) -> ListedUnit:
    return ListedUnit(
        key=pipeline.units.key_text(unit),
        unit=pipeline.units.dump(unit),
        lane=None if pipeline.lane is None else str(getattr(unit, pipeline.lane)),
    )


def _params(pipeline: Pipeline[Any], params: object) -> str | None:
    if params is None:
        return None
    if pipeline.params is None:
        msg = f"{pipeline.name} takes no parameters; give its Pipeline(params=...) a class for them."
        raise InvalidData(msg)
    adapter = TypeAdapter[Any](pipeline.params)
    try:
        value = adapter.validate_python(params) if isinstance(params, Mapping) else params
        return adapter.dump_json(value).decode()
    except ValidationError as error:
        msg = f"{pipeline.name}: the parameters do not fit {pipeline.params.__name__}: {first_fault(error)}"
        raise InvalidData(msg) from None
