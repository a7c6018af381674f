"""What a running handler is given as its context."""

from __future__ import annotations

import asyncio
import json
import logging
import typing
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from penstock.definition.step import Step
from penstock.engines.executor.carried import Carried, Slot, UnitFailure, units_of
from penstock.engines.executor.classify import classify
from penstock.engines.executor.measuring import metrics
from penstock.engines.executor.spending import RunningDraw, settled_together
from penstock.model.errors import DefinitionError, LeaseLost
from penstock.model.quality import Issue
from penstock.model.quota import Number, Quota
from penstock.model.redaction import redact
from penstock.model.results import Outcome
from penstock.ports.records import LogRecord

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from penstock.engines.executor.execute import Executor

T = TypeVar("T")
P = ParamSpec("P")


class RunningContext:
    """See `penstock.Context`; one per call of a handler.

    Args:
        executor: Who executes.
        run: The run in hand.
        step: The step's name.
        attempt: The number of this try.
        slot: The unit of this call, in a step that a batch calls once per unit.
    """

    def __init__(self, executor: Executor, run: Carried, step: str, attempt: int, slot: Slot | None) -> None:
        self._executor, self._run, self._step, self._slot = executor, run, step, slot
        self.attempt = attempt
        self.counts: dict[str, int] = {}
        self.metrics: list[str] = []
        self.failed: dict[int, UnitFailure] = {}
        self._log: FilteringBoundLogger | None = None
        self._kept: dict[str, str] | None = None

    @property
    def unit(self) -> Any:
        """The unit of this call, or of a run of one."""
        if self._slot is not None:
            return self._slot.unit
        if self._run.is_batch and len(self._run.slots) > 1:
            name, step = self._run.pipeline.unit.__name__, self._run.pipeline.steps[self._step]
            msg = (
                f"{step}: ctx.unit in a batch of {len(self._run.slots)} names no one unit. Take {name.lower()}: {name} "
                f"to be called once per {name.lower()}, or list[{name}]."
            )
            raise DefinitionError(msg)
        return self._run.slots[0].unit

    @property
    def units(self) -> Sequence[Any]:
        """The units that are still in the run."""
        return [self._slot.unit] if self._slot is not None else units_of(self._run.alive)

    @property
    def run_id(self) -> UUID:
        """The run."""
        return self._run.claimed.uuid

    @property
    def forced(self) -> bool:
        """Whether it was made although nothing was missing."""
        return self._run.forced

    @property
    def log(self) -> FilteringBoundLogger:
        """A logger that writes to the ledger and to stderr."""
        if self._log is None:
            self._log = _bound_logger(self._executor, self._run, self._step, self.attempt)
        return self._log

    @property
    def workdir(self) -> Path:
        """The run's own folder, made now."""
        folder = self._executor.workdir(self._run)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def now(self) -> datetime:
        """The ledger's time in UTC."""
        return datetime.fromtimestamp(self._executor.worker.now(), UTC)

    def progress(self, done: int, total: int) -> None:
        """Say how far the step is."""
        self._executor.emit("progress", self._run, {"step": self._step, "done": done, "total": total})

    def count(self, *, read: int = 0, written: int = 0, filtered: int = 0, failed: int = 0, bytes: int = 0) -> None:  # noqa: A002
        """Add to the step's counts."""
        given = {"read": read, "written": written, "filtered": filtered, "failed": failed, "bytes": bytes}
        for name, number in given.items():
            if number:
                self.counts[name] = self.counts.get(name, 0) + number

    def measure(self, *, total: int, valid: int, issues: Sequence[Issue] = (), table: str | None = None) -> None:
        """Keep what was found of the records' quality for the step's record."""
        self.metrics += metrics(total=total, valid=valid, issues=issues, table=table)

    def fail(self, unit: Any, error: Exception) -> None:
        """Take one unit out of the batch.

        Raises:
            error: When it is the only one there could be: then the step itself fails.
            ValueError: The unit is not in the batch.
        """
        if not self._run.is_batch:
            raise error
        slot = next((slot for slot in self._run.alive if slot.unit == unit), None)
        if slot is None:
            msg = f"{unit!r} is not a unit of this batch, or is out of it already."
            raise ValueError(msg)
        failure = classify(error, self._executor.worker.now(), self._executor.errors)
        self.failed[slot.no] = UnitFailure(self._step, failure.error_class, failure.error, failure.not_before)

    def outcome(self, step: Step[T]) -> Outcome[T]:
        """What became of an earlier step.

        Raises:
            DefinitionError: This step does not come after it.
        """
        shape = self._run.steps[self._step]
        if shape.when == "ok" and step.name not in _before(self._run, self._step):
            msg = (
                f"{self._run.pipeline.steps[self._step]} reads ctx.outcome({step.name}), but does not come after it: "
                f"say after={step.name}."
            )
            raise DefinitionError(msg)
        return self._run.outcome(step.name, slot=self._slot)

    async def once(self, key: str, func: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do it once for this unit and version."""
        slot = self._slot or self._run.slots[0]
        version = f"{slot.version or ''}/{self._run.shape.version}"
        worker = self._executor.worker
        if self._kept is None:
            self._kept = dict(await worker.once(slot.id, version, self._step))
        adapter = TypeAdapter[Any](_returned(func))
        if key not in self._kept:
            async with settled_together() as settled:
                try:
                    text = adapter.dump_json(await func(*args, **kwargs)).decode()
                except BaseException:
                    await asyncio.shield(self._executor.spender.settle(settled))
                    raise
            await worker.keep_once(self._run.hold, (slot.id, version), self._step, key, text, settled=settled)
            self._kept[key] = text
        result: T = adapter.validate_json(self._kept[key])
        return result

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """A connection outside the transaction."""
        connection: AbstractAsyncContextManager[Any] = self._executor.connection()
        return connection

    def spend(self, quota: Quota | Sequence[Quota], cost: Number | str) -> AbstractAsyncContextManager[RunningDraw]:
        """Draw from a quota."""
        quotas = [quota] if isinstance(quota, Quota) else list(quota)
        return self._executor.spender.spend(self._run, self._step, quotas, cost)

    @property
    def quality_json(self) -> str | None:
        """What was measured, as a JSON array; an empty one takes back the word of an attempt before; None: no word."""
        return f"[{','.join(self.metrics)}]" if self.metrics or self.attempt > 1 else None

    @property
    def counts_json(self) -> str | None:
        """The counts as JSON, None when nothing was counted."""
        return json.dumps(self.counts) if self.counts else None


def _returned(func: Callable[..., Any]) -> Any:
    """What a function's annotation says it returns; Any when it does not say."""
    target = func if hasattr(func, "__annotations__") else getattr(func, "__call__", func)  # noqa: B004 - an object's method
    try:
        return typing.get_type_hints(target).get("return", Any)
    except NameError:
        return Any


def _before(run: Carried, step: str) -> set[str]:
    """Every step that this one comes after, near or far."""
    found: set[str] = set()
    todo = list(run.steps[step].after)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(run.steps[name].after)
    return found


class _LedgerLogger:
    """Where the bound logger's lines end: the ledger, and Python's logging for whoever watches."""

    def __init__(self, executor: Executor, run: Carried, step: str, attempt: int) -> None:
        self._executor, self._run, self._step, self._attempt = executor, run, step, attempt
        self._stderr = logging.getLogger(f"penstock.run.{run.pipeline.name}")

    def msg(self, level: str, event: str, **fields: Any) -> None:
        """One line."""
        number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
        more = "".join(f" {name}={value}" for name, value in fields.items())
        self._stderr.log(number, "%s: %s", self._step, redact(f"{event}{more}"))
        try:
            self._executor.worker.log(
                LogRecord(
                    run=self._run.id,
                    step=self._step,
                    attempt=self._attempt,
                    at=self._executor.worker.now(),
                    level=level,
                    message=event,
                    fields=fields,
                )
            )
        except LeaseLost as error:
            self._stderr.warning("not kept in the ledger: %s", error)

    debug = info = warning = error = critical = fatal = failure = err = warn = exception = log = msg


def _bound_logger(executor: Executor, run: Carried, step: str, attempt: int) -> FilteringBoundLogger:
    import structlog

    def render(_: Any, method: str, event: Any) -> tuple[tuple[str, str], dict[str, Any]]:
        fields = dict(event)
        return (method, str(fields.pop("event", ""))), fields

    logger: FilteringBoundLogger = structlog.wrap_logger(
        _LedgerLogger(executor, run, step, attempt),
        processors=[structlog.processors.format_exc_info, render],
        wrapper_class=structlog.make_filtering_bound_logger(executor.log_level),
    )
    return logger
