"""The driver's effects in this process."""

from __future__ import annotations

import asyncio

from penstock.engines.executor.carried import Carried
from penstock.engines.executor.execute import Executor
from penstock.model.attempt import AttemptOutcome, Instant
from penstock.model.states import WaitReason

SHORT = 0.5
"""Seconds: a shorter wait keeps its slot, since letting the run go and taking it up again costs as much."""


class Released(Exception):  # noqa: N818 - what happened
    """The run was let go until a time; the driver is thrown away and begins again from the record."""

    def __init__(self, until: Instant, reason: WaitReason) -> None:
        super().__init__(until, reason)
        self.until = until
        self.reason: WaitReason = reason


class LocalEffects:
    """See `planning.drive.Effects`."""

    def __init__(self, executor: Executor, run: Carried) -> None:
        self._executor, self._run = executor, run
        self._told: Instant | None = None

    async def execute(self, step: str, n: int) -> AttemptOutcome:
        """Execute an attempt, unless the run is being handed over."""
        if self._run.handing_over:
            raise Released(self._executor.worker.now(), "handover")
        return await self._executor.execute(self._run, step, n)

    async def sleep_until(self, at: Instant) -> None:
        """Sleep, or return when a cancel is asked for."""
        seconds = at - self._executor.worker.now()
        if seconds <= 0:
            return
        if self._run.closing:  # closing steps run on cancel too, and keep their patience
            self._tell(at)
            await asyncio.sleep(seconds)
            return
        if self._run.cancelled:
            return
        self._tell(at)
        try:
            async with asyncio.timeout(seconds):
                await self._run.cancel_event.wait()
        except TimeoutError:
            return

    async def idle(self, until: Instant, reason: WaitReason) -> None:
        """Let the run go when the wait is worth it."""
        if self._run.cancelled and not self._run.closing:
            return
        if self._run.handing_over or until - self._executor.worker.now() > SHORT:
            self._tell(until)
            raise Released(until, reason)

    def _tell(self, until: Instant) -> None:
        # What is left of a wait that began before this claim was told then.
        if self._run.moved and until > self._executor.worker.now() and self._told != until:
            self._told = until
            self._executor.emit("execution.waiting", self._run, {"seconds": until - self._run.last_at, "until": until})
