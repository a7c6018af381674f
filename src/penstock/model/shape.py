"""The shape of a pipeline: its DAG as data. `drive` reads this and never the code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, TypeAlias

from penstock.model.states import ErrorClass

OnFailure: TypeAlias = Literal["stop", "continue", "skip_downstream"]
When: TypeAlias = Literal["ok", "failed", "always"]
PLAIN_RETRY: Final[tuple[ErrorClass, ...]] = ("network", "timeout", "unknown")
"""The classes that a `Retry` alone, not given per class, speaks of."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The patience for one class of errors, in plain seconds."""

    attempts: int
    first: float
    limit: float
    factor: float = 2.0
    jitter: bool = True


@dataclass(frozen=True, slots=True)
class StepShape:
    """One step: what it comes after, what its failure means, how patient it is.

    `when` other than `ok` makes a closing step. `timeout` is in seconds. `per_unit` says that a batch calls it once
    for each unit, `parallel` of them at once.
    """

    name: str
    after: tuple[str, ...] = ()
    on_failure: OnFailure = "stop"
    when: When = "ok"
    policies: Mapping[ErrorClass, Policy] = field(default_factory=dict[ErrorClass, Policy])
    timeout: float | None = None
    parallel: int = 1
    per_unit: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """All steps in order of declaration, which is a topological order, and what holds for the whole run.

    `timeout` bounds the run in seconds from its first start. A wait up to `max_wait` seconds keeps the lane. `remember`
    is the longest that a failure holds a unit back, in seconds; None: 7 days. `base` is the hash of the shape as the
    code says it, where the ledger's overrides made this one of it.
    """

    steps: tuple[StepShape, ...]
    batch: int = 1
    timeout: float | None = None
    max_wait: float = 900.0
    version: int = 1
    remember: float | None = None
    base: str | None = None

    def to_json(self) -> str:
        """Canonical JSON, so that equal shapes have equal text; what was not said is left out."""
        body = {name: value for name, value in asdict(self).items() if name not in _LATER or value is not None}
        return json.dumps(body, sort_keys=True, separators=(",", ":"))

    @property
    def code(self) -> str:
        """What the code said when this was made, whatever was set instead of it."""
        return self.base or self.hash

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str | Mapping[str, Any]) -> Shape:
        """The shape that `to_json` wrote; unknown keys of a newer version are an error."""
        body: dict[str, Any] = json.loads(text) if isinstance(text, str) else dict(text)
        body["steps"] = tuple(_step(step) for step in body["steps"])
        return cls(**body)


_LATER: Final = ("remember", "base")


def _step(body: Mapping[str, Any]) -> StepShape:
    fields: dict[str, Any] = dict(body)
    fields["policies"] = {name: Policy(**policy) for name, policy in body["policies"].items()}
    fields["after"] = tuple(body["after"])
    return StepShape(**fields)
