"""From the shape that the code says and the ledger's overrides to the shape that a plan is made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, cast

from penstock.model.override import RETRY, Override, Place, fault, place_of, value_of
from penstock.model.shape import PLAIN_RETRY, Policy, Shape, StepShape
from penstock.model.states import ErrorClass
from penstock.planning.retry import DEFAULTS

UNSAID: Final = Policy(attempts=1, first=5, limit=300)
"""What figures are set in for a class that has one attempt by default: a wait that makes sense if it gets more."""


def overridden(shape: Shape, overrides: Sequence[Override]) -> Shape:
    """The shape with the overrides' figures in it; the same shape if none of them changes anything.

    What is narrower wins: a step's over the pipeline's over the app's, and in each of these a class's own over what is
    said for all that a `Retry` alone covers. Quotas are left to whoever prices.

    Args:
        shape: As the code says it.
        overrides: The rows of its app and its pipeline.

    Raises:
        SettingError: A row is wrong, or speaks of a step that is not there; the message names it.
    """
    found = [(override, place_of(override), value_of(override)) for override in overrides]
    changed = shape
    for override, place, value in sorted(found, key=lambda one: _rank(one[0], one[1])):
        match place.figure:
            case "max_wait":
                changed = replace(changed, max_wait=cast("float", value))
            case "remember":
                changed = replace(changed, remember=cast("float", value))
            case "timeout" if place.step is None:
                changed = replace(changed, timeout=cast("float | None", value))
            case "quota":
                pass
            case _:
                changed = _with_steps(changed, override, place, value)
    return shape if changed == shape else replace(changed, base=shape.code)


def _rank(override: Override, place: Place) -> tuple[int, int]:
    scope = 2 if place.step is not None else 1 if override.pipeline else 0
    return scope, place.error_class is not None


def _with_steps(shape: Shape, override: Override, place: Place, value: object) -> Shape:
    if place.step is not None and all(step.name != place.step for step in shape.steps):
        names = ", ".join(step.name for step in shape.steps)
        raise fault(override, f"the pipeline has no step {place.step}; it has {names}")
    steps = tuple(_with(step, place, value) if place.step in (None, step.name) else step for step in shape.steps)
    return replace(shape, steps=steps)


def _with(step: StepShape, place: Place, value: Any) -> StepShape:
    if place.figure not in RETRY:
        return replace(step, timeout=value)
    classes: tuple[ErrorClass, ...] = PLAIN_RETRY if place.error_class is None else (place.error_class,)
    policies = dict(step.policies)
    for name in classes:
        policies[name] = replace(policies.get(name) or DEFAULTS.get(name) or UNSAID, **{place.figure: value})
    return replace(step, policies=policies)
