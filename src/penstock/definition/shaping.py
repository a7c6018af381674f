"""From a pipeline as written to its shape as data."""

from __future__ import annotations

from typing import Any

from penstock.definition.pipeline import Pipeline
from penstock.definition.step import Retries, Step
from penstock.model.shape import PLAIN_RETRY, Policy, Shape, StepShape
from penstock.model.states import ErrorClass
from penstock.model.values import Retry, seconds


def shape_of(pipeline: Pipeline[Any]) -> Shape:
    """The shape that is stored with every plan of this pipeline."""
    return Shape(
        steps=tuple(_step(pipeline, step) for step in pipeline.steps.values()),
        batch=pipeline.batch,
        timeout=pipeline.timeout,
        max_wait=pipeline.max_wait,
        version=pipeline.version,
        remember=pipeline.remember,
    )


def _step(pipeline: Pipeline[Any], step: Step[Any]) -> StepShape:
    return StepShape(
        name=step.name,
        after=tuple(earlier.name for earlier in step.after),
        on_failure=step.on_failure,
        when=step.when,
        policies=policies(pipeline.retry) | policies(step.retry),
        timeout=None if step.timeout is None else seconds(step.timeout),
        parallel=step.parallel,
        per_unit=step.per_unit,
    )


def policies(retry: Retries | None) -> dict[ErrorClass, Policy]:
    """Policies by class, in plain seconds."""
    if retry is None:
        return {}
    by_class = dict.fromkeys(PLAIN_RETRY, retry) if isinstance(retry, Retry) else dict(retry)
    return {name: _policy(one) for name, one in by_class.items()}


def _policy(retry: Retry) -> Policy:
    return Policy(
        attempts=retry.attempts,
        first=seconds(retry.first),
        limit=seconds(retry.limit),
        factor=retry.factor,
        jitter=retry.jitter,
    )
