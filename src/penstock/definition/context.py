"""What a handler may ask for: the running attempt and its transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol
from uuid import UUID

from typing_extensions import TypeVar

from penstock.model.quality import Issue
from penstock.model.quota import Number, Quota
from penstock.model.results import Outcome
from penstock.model.values import Day

if TYPE_CHECKING:
    from psycopg import AsyncConnection, AsyncCursor
    from sqlalchemy.ext.asyncio import AsyncSession
    from structlog.typing import FilteringBoundLogger

    from penstock.definition.step import Step

U = TypeVar("U", default=Day)
T = TypeVar("T")
P = ParamSpec("P")


class Transaction(Protocol):
    """The step's transaction: taken at its first use, committed with the step's record when the handler returns.

    Where its database is the ledger's, that commit is the step's completion: what it wrote is there exactly once, and
    a late zombie's rows are turned away with its record. An exception rolls back all of it.
    """

    async def execute(
        self, query: str, params: Mapping[str, Any] | Sequence[Any] | None = None
    ) -> AsyncCursor[tuple[Any, ...]]:
        """Run one statement; placeholders are psycopg's `%s` and `%(name)s`."""
        ...

    async def connection(self) -> AsyncConnection[tuple[Any, ...]]:
        """The psycopg connection itself; never commit or roll back on it."""
        ...

    async def session(self) -> AsyncSession:
        """A SQLAlchemy session on it, flushed before the commit; needs `penstock[sqlalchemy]`."""
        ...


class Draw(Protocol):
    """What was drawn from a quota, at its worst case until it is settled."""

    @property
    def amount(self) -> Decimal:
        """The worst case; the first quota's, where several were drawn from."""
        ...

    def settle(self, actual: Number | str) -> None:
        """Say what it really cost, an amount or operations; 0 when it is certain that nothing was asked for."""


class Context(Protocol[U]):
    """What a running handler knows, and what it can ask for."""

    @property
    def unit(self) -> U:
        """The unit of this run, or of this call in a batch."""
        raise NotImplementedError

    @property
    def units(self) -> Sequence[U]:
        """The units of the batch that are still in it."""
        ...

    @property
    def run_id(self) -> UUID:
        """The run, the same in every attempt and after a crash: a key for idempotent writes elsewhere."""
        ...

    @property
    def attempt(self) -> int:
        """The number of this try of the step; 1 is the first."""
        ...

    @property
    def forced(self) -> bool:
        """Whether somebody asked for it although nothing was missing."""
        ...

    @property
    def log(self) -> FilteringBoundLogger:
        """A structlog logger that knows run, step and attempt; what it says is kept in the ledger too."""
        ...

    @property
    def workdir(self) -> Path:
        """A folder of this run's own, the same in every attempt, removed when the run has completed."""
        raise NotImplementedError

    def now(self) -> datetime:
        """The time in UTC; in a simulation the simulation's."""
        ...

    def progress(self, done: int, total: int) -> None:
        """Say how far the step is, in whatever is counted."""

    def count(self, *, read: int = 0, written: int = 0, filtered: int = 0, failed: int = 0, bytes: int = 0) -> None:  # noqa: A002
        """Add to the step's counts of records (and bytes)."""

    def measure(self, *, total: int, valid: int, issues: Sequence[Issue] = (), table: str | None = None) -> None:
        """Say what the step found of its records' quality; kept with the step's record, and made into the score.

        Args:
            total: How many records were looked at; 0 where issues alone are told.
            valid: How many of them are valid.
            issues: What is wrong with the others, by type.
            table: Where they are, or would have gone.
        """

    def fail(self, unit: U, error: Exception) -> None:
        """Fail one unit of a batch and keep the rest."""

    def outcome(self, step: Step[T]) -> Outcome[T]:
        """What became of a step that this one comes after."""
        ...

    async def once(self, key: str, func: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do it once: what it gave is on disk before this returns, and a later attempt gets it back.

        It is kept for (pipeline, unit, version, step, key) until the unit completes, so also for another run on
        another day. The result is kept as JSON by the function's return annotation.
        """
        ...

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection[tuple[Any, ...]]]:
        """A connection outside the step's transaction, for reading and for work that may repeat.

        Committed when the block ends well, else rolled back.
        """
        ...

    def spend(self, quota: Quota | Sequence[Quota], cost: Number | str) -> AbstractAsyncContextManager[Draw]:
        """Draw from a quota, or from several at once or none: `async with ctx.spend(usd, 0.30) as draw:`.

        The draw is recorded, at its worst case, before the block begins; `draw.settle(actual)` says what it really
        cost. Without that, and when the block raises, the worst case stands. A budget that is spent makes the step
        wait for its next window, which uses no attempt; a cap per run that is spent ends it.

        Args:
            quota: The quota or quotas.
            cost: At most so much: an amount, or operations joined by `+`.

        Raises:
            QuotaSpent: It does not fit in this window.
            Rejected: It does not fit in the run's own cap, or in no window at all.
        """
        ...


_RUNNING: ContextVar[Context[Any] | None] = ContextVar("penstock_running", default=None)


def running() -> Context[Any] | None:
    """The context of the handler that runs here, for what a handler shares with others; None outside of one."""
    return _RUNNING.get()


def running_as(context: Context[Any]) -> Callable[[], None]:
    """From now on, and in tasks begun from here, this is the running context; call what is returned when it ends."""
    token = _RUNNING.set(context)
    return lambda: _RUNNING.reset(token)
