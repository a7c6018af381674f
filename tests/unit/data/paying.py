"""A handler's purse for tests of the client alone: it writes down what is drawn, before and after."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

import penstock as ps


@dataclass
class Drawn:
    """One draw: what was reserved, and what it was settled at."""

    quotas: list[str]
    worst: Decimal
    settled: Decimal | None = None

    @property
    def amount(self) -> Decimal:
        return self.worst

    def settle(self, actual: Decimal) -> None:
        self.settled = actual

    @property
    def counts(self) -> Decimal:
        return self.worst if self.settled is None else self.settled


@dataclass
class Purse:
    """Stands for the context of a running handler, as far as money goes."""

    left: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    draws: list[Drawn] = field(default_factory=list[Drawn])

    @asynccontextmanager
    async def spend(self, quotas: Sequence[ps.Quota], cost: Decimal) -> AsyncGenerator[Drawn]:
        for quota in quotas:
            if cost > self.left.get(quota.name, Decimal("Infinity")):
                raise ps.QuotaSpent(f"{quota.name} is spent")
        draw = Drawn([quota.name for quota in quotas], cost)
        self.draws.append(draw)
        yield draw

    @property
    def spent(self) -> Decimal:
        """What the draws count for."""
        return sum((draw.counts for draw in self.draws), Decimal(0))


def carry(purse: Purse, monkeypatch: pytest.MonkeyPatch) -> Purse:
    """The purse of whoever asks from now on."""
    monkeypatch.setattr("penstock.data.llm.spending.running", lambda: purse)
    return purse
