"""What a call of a handler came to, before it is recorded."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.engines.executor.carried import UnitFailure
from penstock.engines.executor.classify import Failure
from penstock.model.attempt import OutcomeKind
from penstock.model.states import AttemptState
from penstock.ports.ledger import StepTransaction


class Result:
    """What a call came to, before it is recorded."""

    __slots__ = ("counts", "error", "failed", "failure", "output", "quality", "recorded", "state", "transaction")

    def __init__(
        self,
        state: AttemptState,
        *,
        output: str | None = None,
        error: str | None = None,
        failure: Failure | None = None,
        failed: Mapping[int, UnitFailure] | None = None,
        recorded: bool = False,
        counts: str | None = None,
    ) -> None:
        self.state: AttemptState = state
        self.output, self.error, self.failure = output, error, failure
        self.failed, self.recorded, self.counts = dict(failed or {}), recorded, counts
        self.quality: str | None = None
        self.transaction: StepTransaction | None = None


def outcome_kind(state: AttemptState) -> OutcomeKind:
    """What the driver is told of an attempt in this state."""
    match state:
        case "failed" | "cancelled" | "held":
            return state
        case _:
            return "done"
