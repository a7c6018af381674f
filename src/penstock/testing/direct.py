"""A context for calling a handler directly, as the function that it is."""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast
from uuid import UUID, uuid4

from penstock.definition.context import Context
from penstock.definition.step import Step
from penstock.engines.executor.measuring import metrics
from penstock.engines.executor.spending import RunningDraw
from penstock.model.quality import Issue
from penstock.model.quota import Number, Quota, price
from penstock.model.results import Outcome

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

U = TypeVar("U")
T = TypeVar("T")
P = ParamSpec("P")


def context(unit: U, *, attempt: int = 1) -> Context[U]:
    """A context for calling a handler directly: `await write(context(RY), FakeWriter())`.

    `once` remembers in memory for as long as the context lives, `log` goes to Python's logger `penstock.run`, and
    `fail` raises, as it does in a run of one unit.

    Args:
        unit: The unit of the call.
        attempt: What the handler is told of its number.
    """
    return _DirectContext(unit, attempt)


class _DirectContext(Generic[U]):
    """See `penstock.Context`."""

    def __init__(self, unit: U, attempt: int) -> None:
        self._unit, self.attempt, self.forced = unit, attempt, False
        self.run_id: UUID = uuid4()
        self._once: dict[str, Any] = {}
        self._folder: Path | None = None

    @property
    def unit(self) -> U:
        """The unit."""
        return self._unit

    @property
    def units(self) -> Sequence[U]:
        """The unit alone."""
        return [self._unit]

    @property
    def log(self) -> FilteringBoundLogger:
        """A structlog logger that ends in Python's logging."""
        import structlog

        logger: FilteringBoundLogger = structlog.wrap_logger(
            logging.getLogger("penstock.run"),
            processors=[structlog.processors.format_exc_info, structlog.stdlib.render_to_log_kwargs],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        )
        return logger

    @property
    def workdir(self) -> Path:
        """A temporary folder, removed with the context."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="penstock-context-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.now(UTC)

    def progress(self, done: int, total: int) -> None:
        """Nobody listens."""

    def count(self, *, read: int = 0, written: int = 0, filtered: int = 0, failed: int = 0, bytes: int = 0) -> None:  # noqa: A002
        """Nobody adds up."""

    def measure(self, *, total: int, valid: int, issues: Sequence[Issue] = (), table: str | None = None) -> None:
        """Nobody keeps it, but what does not fit is refused.

        Raises:
            InvalidData: There are more valid records than records.
        """
        metrics(total=total, valid=valid, issues=issues, table=table)

    def fail(self, unit: U, error: Exception) -> None:
        """Raise it, as in a run of one unit.

        Raises:
            error: Always, if the unit is this context's.
            ValueError: It is another unit.
        """
        if unit != self._unit:
            raise ValueError(f"{unit!r} is not the unit of this context.")
        raise error

    def outcome(self, step: Step[T]) -> Outcome[T]:
        """Refused: no other step has run.

        Raises:
            AssertionError: Always.
        """
        raise AssertionError(f"A context of its own knows no outcome of {step}: test this with a Simulation.")

    async def once(self, key: str, func: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do it once, as long as this context lives."""
        if key not in self._once:
            self._once[key] = await func(*args, **kwargs)
        return cast("T", self._once[key])

    @asynccontextmanager
    async def spend(self, quota: Quota | Sequence[Quota], cost: Number | str) -> AsyncGenerator[RunningDraw]:
        """Let it be drawn: a context of its own has no budget that could be spent."""
        quotas = [quota] if isinstance(quota, Quota) else list(quota)
        yield RunningDraw(quotas, price(cost, quotas))

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """Refused: there is no database.

        Raises:
            AssertionError: Always.
        """
        raise AssertionError("A context of its own has no database: test this with penstock.testing.database(app).")
