"""From the shape that the code says to the one with the defaults of `penstock.yaml`: weaker than anything said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from penstock.model.shape import PLAIN_RETRY, Policy, Shape, StepShape
from penstock.planning.retry import DEFAULTS, ONCE

if TYPE_CHECKING:
    from penstock.model.etl_block import EtlBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds where neither a pipeline nor a step says anything; None leaves Penstock's own.

    Attributes:
        timeout: The longest attempt of a step, in seconds.
        attempts: Tries in all of what a `Retry` alone covers: network, timeout, unknown.
        first: Seconds before the second try.
        limit: The longest wait in seconds.
        factor: What each wait is multiplied by.
    """

    timeout: float | None = None
    attempts: int | None = None
    first: float | None = None
    limit: float | None = None
    factor: float | None = None

    @classmethod
    def of(cls, block: EtlBlock | None) -> Defaults:
        """What the block `etl:` says of it."""
        if block is None:
            return cls()
        return cls(
            timeout=block.activity_timeout,
            attempts=block.max_attempts,
            first=block.initial_interval,
            limit=block.max_interval,
            factor=block.backoff_coefficient,
        )


def defaulted(shape: Shape, defaults: Defaults) -> Shape:
    """The shape with the defaults where nothing was said; the same shape if they change nothing."""
    figures: dict[str, Any] = {
        name: value
        for name in ("attempts", "first", "limit", "factor")
        if (value := getattr(defaults, name)) is not None
    }
    steps = tuple(_step(step, figures, defaults.timeout) for step in shape.steps)
    return shape if steps == shape.steps else replace(shape, steps=steps, base=shape.code)


def _step(step: StepShape, figures: dict[str, Any], timeout: float | None) -> StepShape:
    policies = dict(step.policies)
    if figures:
        for name in PLAIN_RETRY:
            policies.setdefault(name, _policy(DEFAULTS.get(name, ONCE), figures))
    return replace(step, policies=policies, timeout=timeout if step.timeout is None else step.timeout)


def _policy(policy: Policy, figures: dict[str, Any]) -> Policy:
    changed = replace(policy, **figures)
    # Only the first wait was said, and it is longer than Penstock's own longest: it is what was meant.
    return replace(changed, limit=max(changed.limit, changed.first)) if "limit" not in figures else changed
