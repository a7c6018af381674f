"""What the tests of the API client have in common: a running step that pays, counts and keeps its log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

import penstock as ps
from penstock.definition.context import running_as
from penstock.model.quota import price


@dataclass
class Line:
    """A line of the log."""

    level: str
    message: str
    fields: dict[str, Any]


@dataclass
class Log:
    """Keeps what is said."""

    lines: list[Line] = field(default_factory=list[Line])

    def info(self, message: str, **fields: Any) -> None:
        self.lines.append(Line("info", message, fields))

    def warning(self, message: str, **fields: Any) -> None:
        self.lines.append(Line("warning", message, fields))


@dataclass
class Draw:
    """What was drawn: by quota, and what it was settled at."""

    amounts: dict[str, Decimal]
    settled: Decimal | None = None

    def settle(self, actual: Decimal) -> None:
        self.settled = actual


@dataclass
class Step:
    """Stands for the context of a running handler, as far as an API client asks it."""

    log: Log = field(default_factory=Log)
    draws: list[Draw] = field(default_factory=list[Draw])
    left: dict[str, Decimal] = field(default_factory=dict[str, Decimal])

    @asynccontextmanager
    async def spend(self, quotas: Sequence[ps.Quota], cost: Any) -> AsyncGenerator[Draw]:
        draw = Draw({quota.name: amount for quota, amount in zip(quotas, price(cost, quotas), strict=True)})
        for name, amount in draw.amounts.items():
            if amount > self.left.get(name, Decimal("Infinity")):
                raise ps.QuotaSpent(f"{name} is spent")
        self.draws.append(draw)
        yield draw

    @property
    def spent(self) -> dict[str, Decimal]:
        """What the draws count for, by quota."""
        totals: dict[str, Decimal] = {}
        for draw in self.draws:
            for name, amount in draw.amounts.items():
                totals[name] = totals.get(name, Decimal(0)) + (amount if draw.settled is None else draw.settled)
        return totals


@contextmanager
def running(**given: Any) -> Generator[Step]:
    """The step that runs in this block."""
    step = Step(**given)
    done = running_as(cast("Any", step))
    try:
        yield step
    finally:
        done()
