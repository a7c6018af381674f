"""The executor: one attempt of one step, from its parameters to its record."""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penstock.definition.context import Context, Transaction, running_as
from penstock.definition.step import OutputOf, Step
from penstock.engines.executor.calling import Caller, Cancelled, StubbornHandler
from penstock.engines.executor.carried import Carried, Slot, UnitFailure, step_state, units_of
from penstock.engines.executor.classify import Failure, classify
from penstock.engines.executor.context import RunningContext
from penstock.engines.executor.resources import Resources
from penstock.engines.executor.result import Result, outcome_kind
from penstock.engines.executor.spending import Spender
from penstock.model.attempt import AttemptOutcome, Instant
from penstock.model.errors import InvalidData, LeaseLost, LedgerUnavailable, QuotaSpent, Skip
from penstock.model.shape import StepShape
from penstock.model.states import ErrorClass, EventType
from penstock.planning.retry import LOSSES
from penstock.ports.ledger import StepTransaction, Worker
from penstock.ports.records import AttemptRecord, CallRecord

OUTPUT_LIMIT = 64 * 1024
SUSPECT = 2
"""Losses in a row from which on the steps of such runs execute one by one: which of them it is that kills shows, and
the others, which died with it, live on."""
Emit = Callable[[EventType, Carried, Mapping[str, Any]], None]


class Executor:
    """Executes steps for one worker.

    Args:
        worker: Where records go.
        resources: What handlers share.
        caller: How handlers are called.
        errors: The app's own table of foreign errors.
        emit: Told of what happens, in this process.
        connection: Gives connections outside transactions.
        work: The folder under which runs have theirs.
        log_level: The least level that `ctx.log` keeps.
    """

    def __init__(
        self,
        worker: Worker,
        resources: Resources,
        caller: Caller,
        *,
        errors: Mapping[type[Exception], ErrorClass],
        emit: Emit,
        connection: Callable[[], Any],
        work: Path,
        log_level: int = 20,
    ) -> None:
        self.worker, self.resources, self.caller = worker, resources, caller
        self.errors, self.emit, self.connection, self.log_level = errors, emit, connection, log_level
        self._work = work
        self._alone = asyncio.Lock()
        self.spender = Spender(worker)

    def workdir(self, run: Carried) -> Path:
        """The run's own folder."""
        return self._work / str(run.claimed.uuid)

    async def execute(self, run: Carried, name: str, n: int) -> AttemptOutcome:
        """Attempt `n` of a step; recorded when this returns.

        Raises:
            LeaseLost: The run is another's now.
            LedgerUnavailable: Whether it was recorded is not known.
            StubbornHandler: An interrupted handler did not go.
        """
        async with self._alone if run.losses >= SUSPECT else nullcontext():
            return await self._attempt(run, name, n)

    async def _attempt(self, run: Carried, name: str, n: int) -> AttemptOutcome:
        if self.worker.lost:  # it slept past its lease, say: whatever is done now another does too
            raise LeaseLost("This process has lost its lease; another one goes on.")
        shape, memory, seq = run.steps[name], run.step(name), run.next_seq()
        if (barred := self._barred(run, shape)) is not None:
            return await self._record(run, shape, n, seq, barred, 0.0)
        run.closing |= shape.when != "ok"
        opened = AttemptRecord(hold=run.hold, seq=seq, step=name, attempt=n, state="open")
        if run.losses:  # it has killed a process before: know which step it was
            await self.worker.opened_now(opened)
        else:
            self.worker.opened(opened)
        self.emit("attempt.started", run, {"step": name, "attempt": n})
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            if run.is_batch and shape.per_unit:
                result = await self._each(run, shape, n)
            else:
                result = await self._call(run, shape, n, None)
            return await self._record(run, shape, n, seq, result, loop.time() - began)
        except (asyncio.CancelledError, LedgerUnavailable):  # no outcome and no death: what is next begins anew
            memory.state = "running"
            lost = AttemptRecord(
                hold=run.hold,
                seq=seq,
                step=name,
                attempt=n,
                state="lost",
                elapsed=loop.time() - began,
                reason="handover",
            )
            await asyncio.shield(self.worker.opened_now(lost))
            raise

    def _barred(self, run: Carried, shape: StepShape) -> Result | None:
        """Why the attempt must not begin, if so. Closing steps run whatever happened."""
        memory = run.step(shape.name)
        if memory.lost >= LOSSES or (memory.lost >= LOSSES - 1 and run.losses >= LOSSES):
            error = f"the process died {LOSSES} times in a row while it ran {shape.name}"
            return Result("failed", failure=Failure("lost", error))
        if shape.when != "ok":
            return None
        if run.cancelled:
            return Result("cancelled")
        if self._left(run) == 0:
            return Result("failed", failure=_too_late(run))
        return None

    def _left(self, run: Carried) -> float | None:
        if run.shape.timeout is None:
            return None
        return max(0.0, run.claimed.started + run.shape.timeout - self.worker.now())

    async def _call(self, run: Carried, shape: StepShape, n: int, slot: Slot | None) -> Result:
        """Call the handler for the run, or for one unit of it; nothing is recorded yet but what it commits."""
        step = run.pipeline.steps[shape.name]
        context = RunningContext(self, run, shape.name, n, slot)
        transaction = self.worker.transaction(run.hold) if step.signature.takes_transaction else None
        done = running_as(context)
        limits = [t for t in (shape.timeout, self._left(run) if shape.when == "ok" else None) if t is not None]
        try:
            fill = partial(self._fill, run, step, context, transaction, slot)
            output = await self.caller.attempt(run, step, context, fill, min(limits, default=None))
            text = self._kept(step, output)
        except Skip as skip:
            result = Result("skipped", error=str(skip) or None)
        except (LeaseLost, LedgerUnavailable, StubbornHandler):
            await _drop(transaction)
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                await asyncio.shield(_drop(transaction))
                raise
            # nobody cancelled us: the handler awaited something that was cancelled
            result = Result("failed", failure=classify(error, self.worker.now(), self.errors))
        except Cancelled:
            result = Result("cancelled")
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises is its failure, SystemExit too
            if isinstance(error, TimeoutError) and self._left(run) == 0:
                result = Result("failed", failure=_too_late(run))
            else:
                result = self._failed(error)
                self._log_failure(context, error, result)
        else:
            result = Result("done", output=text, failed=context.failed)
        finally:
            done()
        result.counts, result.quality = context.counts_json, context.quality_json
        if result.state == "done" and transaction is not None and transaction.used:
            result.transaction = transaction
        else:
            await _drop(transaction)
        return result

    def _failed(self, error: BaseException) -> Result:
        """A failure, unless there is a time at which the budget that was spent is there again: then a wait."""
        failure = classify(error, self.worker.now(), self.errors)
        holds = isinstance(error, QuotaSpent) and failure.not_before is not None
        return Result("held" if holds else "failed", failure=failure)

    def _log_failure(self, context: RunningContext, error: BaseException, result: Result) -> None:
        if result.failure is not None and result.failure.error_class == "unknown":
            context.log.error(result.failure.error, exc_info=error)

    def _kept(self, step: Step[Any], output: Any) -> str | None:
        try:
            raw = step.signature.adapter.dump_json(output, warnings="error")
            step.signature.adapter.validate_json(raw)
        except (ValidationError, ValueError) as error:
            msg = f"{step} returned {type(output).__name__}, which does not fit its annotation: {error}"
            raise InvalidData(msg) from None
        if len(raw) > OUTPUT_LIMIT:
            msg = (
                f"{step} returned {len(raw)} bytes of JSON; an output is at most {OUTPUT_LIMIT}. Put rows in a table "
                f"or a file and return where they are."
            )
            raise InvalidData(msg)
        return raw.decode()

    async def _fill(
        self, run: Carried, step: Step[Any], context: RunningContext, db: StepTransaction | None, slot: Slot | None
    ) -> dict[str, Any]:
        pipeline, arguments = run.pipeline, dict[str, Any]()
        for name, want in step.signature.parameters.items():
            if isinstance(want, OutputOf):
                arguments[name] = run.outputs(want.step.name) if want.many else run.output(want.step.name, slot=slot)
            elif want is pipeline.unit:
                arguments[name] = context.unit
            elif want is Transaction:
                arguments[name] = db
            elif (typing.get_origin(want) or want) is Context:
                arguments[name] = context
            elif want == list[pipeline.unit]:  # type: ignore[name-defined]
                arguments[name] = units_of(run.alive)
            elif pipeline.params is not None and want is pipeline.params:
                arguments[name] = self._params(run)
            else:
                arguments[name] = await self.resources.get(want)
        return arguments

    def _params(self, run: Carried) -> Any:
        from pydantic import TypeAdapter

        kind: Any = run.pipeline.params
        return kind() if run.claimed.params is None else TypeAdapter(kind).validate_json(run.claimed.params)

    async def _each(self, run: Carried, shape: StepShape, n: int) -> Result:
        """Call a step once per unit, so many at once; each call has its own transaction, record and failure."""
        memory = run.step(shape.name)
        todo = [slot for slot in run.alive if slot.no not in memory.calls]
        gate, held = asyncio.Semaphore(max(1, shape.parallel)), list[Result]()

        async def one(slot: Slot) -> bool:
            async with gate:
                if held or (run.cancelled and shape.when == "ok"):
                    return False
                result = await self._call(run, shape, n, slot)
                if result.state == "held":
                    held.append(result)
                if result.state in ("cancelled", "held"):
                    return False
                await self._record_call(run, shape.name, slot, result)
                return True

        tasks = [asyncio.create_task(one(slot), name=f"penstock-run-{run.id}-{slot.no}") for slot in todo]
        try:
            went = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not all(went):
            return held[0] if held and not run.cancelled else Result("cancelled")
        failed = {slot.no: slot.failure for slot in todo if slot.failure is not None}
        return Result("done", failed=failed, recorded=True)

    async def _record_call(self, run: Carried, step: str, slot: Slot, result: Result) -> None:
        failure = result.failure
        record = CallRecord(
            hold=run.hold,
            step=step,
            unit_no=slot.no,
            state="failed" if result.state == "failed" else "skipped" if result.state == "skipped" else "done",
            error_class=failure.error_class if failure else None,
            error=failure.error if failure else result.error,
            not_before=failure.not_before if failure else None,
            output=result.output,
            counts=result.counts,
            quality=result.quality,
        )
        if result.transaction is not None:
            try:
                await result.transaction.commit(None, [record])
            except (LeaseLost, LedgerUnavailable):
                raise
            except Exception as error:  # noqa: BLE001 - a deferred constraint fails at the commit
                result.transaction, result.state = None, "failed"
                result.failure = classify(error, self.worker.now(), self.errors)
                await self._record_call(run, step, slot, result)
                return
        else:
            await self.worker.call(record)
        if failure is not None:
            slot.failure = UnitFailure(step, failure.error_class, failure.error, failure.not_before)
            self.emit("attempt.failed", run, {"step": step, "error": failure.error, "unit": slot.unit})
        else:
            run.step(step).calls[slot.no] = result.output

    async def _record(  # noqa: PLR0917 - what an attempt consists of
        self, run: Carried, shape: StepShape, n: int, seq: int, result: Result, elapsed: float
    ) -> AttemptOutcome:
        """Put the attempt on disk, with the handler's transaction if it used one."""
        failure, ended = result.failure, run.next_ended()
        out = len(result.failed)
        left = len(run.alive) - (0 if result.recorded else out)
        record = AttemptRecord(
            hold=run.hold,
            seq=seq,
            step=shape.name,
            attempt=n,
            state=result.state,
            elapsed=elapsed,
            ended=ended,
            units_left=left,
            units_failed=out,
            error_class=failure.error_class if failure else None,
            error=failure.error if failure else result.error,
            not_before=failure.not_before if failure else None,
            reason="quota" if result.state == "held" else None,
            output=result.output,
            counts=result.counts,
            quality=result.quality,
            fresh=run.losses > 0,
        )
        calls = [] if result.recorded else [self._failed_call(run, no, why) for no, why in result.failed.items()]
        try:
            if result.transaction is not None:
                at = await result.transaction.commit(record, calls)
            else:
                at = await self._write(record, calls)
        except (LeaseLost, LedgerUnavailable):
            raise
        except Exception as error:
            if result.transaction is None:
                raise
            failed = Result("failed", failure=classify(error, self.worker.now(), self.errors), counts=result.counts)
            run._ended -= 1  # noqa: SLF001 - the same outcome, told otherwise
            return await self._record(run, shape, n, seq, failed, elapsed)
        for no, why in result.failed.items():
            next(slot for slot in run.slots if slot.no == no).failure = why
        return self._remember(run, shape.name, n, record, at)

    async def _write(self, record: AttemptRecord, calls: Sequence[CallRecord]) -> Instant:
        """The attempt and its calls in one group."""
        if not calls:
            return await self.worker.attempt(record)
        attempt = asyncio.ensure_future(self.worker.attempt(record))
        await asyncio.gather(*map(self.worker.call, calls), attempt)
        return attempt.result()

    def _failed_call(self, run: Carried, no: int, why: UnitFailure) -> CallRecord:
        return CallRecord(
            hold=run.hold,
            step=why.step,
            unit_no=no,
            state="failed",
            error_class=why.error_class,
            error=why.error,
            not_before=why.not_before,
        )

    def _remember(self, run: Carried, name: str, n: int, record: AttemptRecord, at: Instant) -> AttemptOutcome:
        memory = run.step(name)
        memory.state, memory.seconds, run.moved = step_state(record.state), record.elapsed, True
        memory.output, memory.error, memory.error_class = record.output, record.error, record.error_class
        memory.attempts += record.state != "held"
        memory.lost, run.losses, run.last_at = 0, 0, at
        kind = outcome_kind(record.state)
        data = {"step": name, "attempt": n, "seconds": record.elapsed}
        if kind == "failed":
            run.until = record.not_before
            self.emit("attempt.failed", run, {**data, "error": record.error, "error_class": record.error_class})
        elif kind != "held":
            self.emit("attempt.completed", run, {**data, "state": record.state})
        return AttemptOutcome(
            kind=kind,
            at=at,
            units_left=record.units_left or 0,
            units_failed=record.units_failed or 0,
            error_class=record.error_class,
            error=record.error,
            not_before=record.not_before if record.error_class in ("rate_limit", "quota") else None,
            reason=record.reason or "backoff",
        )


async def _drop(transaction: StepTransaction | None) -> None:
    if transaction is not None:
        await transaction.rollback()


def _too_late(run: Carried) -> Failure:
    return Failure("deadline", f"the run took longer than {run.shape.timeout:g} s")
