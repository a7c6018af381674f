"""A Temporal workflow whose body is `drive`; the sandbox loads this module and all of Penstock that it names anew."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from temporalio import workflow

from penstock.model.attempt import AttemptOutcome, Ended, Instant, RunId
from penstock.model.shape import Policy, StepShape
from penstock.model.states import WaitReason
from penstock.planning.drive import drive

STEPS = (
    StepShape("extract", policies={"network": Policy(attempts=2, first=10, limit=10, jitter=True)}),
    StepShape("prices", after=("extract",), on_failure="continue"),
    StepShape("volumes", after=("extract",)),
    StepShape("load", after=("prices", "volumes")),
    StepShape("report", when="always"),
)


class Activities:
    """Effects by activities and timers."""

    async def execute(self, step: str, n: int) -> AttemptOutcome:
        return cast(
            AttemptOutcome,
            await workflow.execute_activity(
                "step", args=[step, n], start_to_close_timeout=timedelta(minutes=1), result_type=AttemptOutcome
            ),
        )

    async def sleep_until(self, at: Instant) -> None:
        seconds = max(0.0, at - workflow.now().timestamp())
        try:
            await workflow.wait_condition(_never, timeout=timedelta(seconds=seconds))
        except TimeoutError:
            return

    async def idle(self, until: Instant, reason: WaitReason) -> None:
        return


def _never() -> bool:
    return False


@workflow.defn
class DrivenWorkflow:
    @workflow.run
    async def run(self, run: int) -> Ended:
        return await drive(RunId(run), STEPS, (), Activities())
