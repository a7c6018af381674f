"""From what operations return to what is answered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from penstock.api.http.bodies import GapShown, PlanShown, RunShown, StepShown
from penstock.api.http.problems import Problem
from penstock.definition.pipeline import Pipeline
from penstock.model.errors import InvalidData
from penstock.model.results import Gap, Plan, Run


def plan_shown(plan: Plan[Any]) -> PlanShown:
    """A plan."""
    fields = {name: getattr(plan, name) for name in PlanShown.model_fields if name not in ("gaps", "admitted")}
    return PlanShown.model_validate({**fields, "gaps": len(plan), "admitted": plan.admitted}, from_attributes=True)


def gap_shown(pipeline: Pipeline[Any], gap: Gap[Any]) -> GapShown:
    """A gap."""
    fields = {name: getattr(gap, name) for name in GapShown.model_fields if name != "unit"}
    return GapShown.model_validate({**fields, "unit": pipeline.units.dump(gap.unit)})


def run_shown(pipeline: Pipeline[Any], run: Run[Any]) -> RunShown:
    """A run."""
    fields = {name: getattr(run, name) for name in RunShown.model_fields if name not in ("units", "steps")}
    steps = [StepShown.model_validate(step) for step in run.steps]
    return RunShown.model_validate({**fields, "units": [_unit(pipeline, unit) for unit in run.units], "steps": steps})


def _unit(pipeline: Pipeline[Any], unit: Any) -> dict[str, Any]:
    """The unit's fields; as they were stored, where its class has changed since."""
    return dict(vars(unit)) if isinstance(unit, SimpleNamespace) else pipeline.units.dump(unit)


def units_of(pipeline: Pipeline[Any], bodies: list[dict[str, Any]] | None) -> list[Any] | None:
    """The units that a request names.

    Raises:
        Problem: One has a field that the unit has not.
        InvalidData: One does not fit.
    """
    if bodies is None:
        return None
    for number, body in enumerate(bodies):
        unknown = sorted(set(body) - set(pipeline.units.fields))
        if unknown:
            known = ", ".join(pipeline.units.fields)
            raise Problem("invalid", f"body.units.{number}: there is no field {unknown[0]!r}; there are {known}.")
    return [pipeline.units.load(body) for body in bodies]


def key_of(pipeline: Pipeline[Any], given: dict[str, Any]) -> dict[str, Any]:
    """The values of a key, typed.

    Raises:
        InvalidData: One is missing, is not in the key, or does not fit.
    """
    if set(given) != set(pipeline.key):
        raise InvalidData(f"A unit of {pipeline.name} is told by {', '.join(pipeline.key)}.")
    return {name: pipeline.units.value(name, value) for name, value in given.items()}
