"""What a pipeline's unit costs, by quota, checked against the unit's fields."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import UnionType
from typing import TypeAlias

from penstock.definition.units import UnitType, show
from penstock.model.errors import DefinitionError
from penstock.model.quota import Number, Quota, UnitCost, amount

Cost: TypeAlias = Number | str


def check_costs(pipeline: str, units: UnitType, cost: Mapping[Quota, Cost]) -> dict[Quota, Cost]:
    """The costs as they were written.

    Raises:
        DefinitionError: An amount or a field does not fit, or two quotas have one name.
    """
    unit_costs(pipeline, units, cost)
    names = [quota.name for quota in cost]
    for name in names:
        if names.count(name) > 1:
            msg = f"Pipeline({pipeline!r}): two quotas in cost= are called {name!r}; they are told apart by name."
            raise DefinitionError(msg)
    return dict(cost)


def unit_costs(pipeline: str, units: UnitType, cost: Mapping[Quota, Cost]) -> Sequence[UnitCost]:
    """The costs, each with what it is made of."""
    found: list[UnitCost] = []
    for quota, value in cost.items():
        if not isinstance(value, str):
            found.append(UnitCost(quota, amount=amount(value, f"Pipeline({pipeline!r}): cost of {quota.name}")))
            continue
        units.check_field(pipeline, "cost", value)
        kinds = _kinds(units.hints[value])
        if kinds <= {int, float, Decimal, type(None)}:
            found.append(UnitCost(quota, field=value))
        elif kinds <= {str, type(None)}:
            if not quota.costs:
                msg = (
                    f"Pipeline({pipeline!r}): cost={{{quota.name}: {value!r}}} is a field of operations, but "
                    f"{quota.name} lists none: Quota({quota.name!r}, ..., costs={{'operation': 1}})."
                )
                raise DefinitionError(msg)
            found.append(UnitCost(quota, field=value, operations=True))
        else:
            msg = (
                f"Pipeline({pipeline!r}): cost={{{quota.name}: {value!r}}} is {show(units.hints[value])}; a cost is a "
                f"number, or text that names operations joined by '+'."
            )
            raise DefinitionError(msg)
    return found


def _kinds(annotation: object) -> set[object]:
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        return {kind for arg in typing.get_args(annotation) for kind in _kinds(arg)}
    return {annotation}
