"""Draws from quotas: recorded before what they pay for, settled after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from penstock.engines.executor.carried import Carried
from penstock.model.errors import LeaseLost, LedgerUnavailable, QuotaSpent, Rejected
from penstock.model.quota import Number, Quota, price
from penstock.ports.ledger import Worker
from penstock.ports.records import Refused

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

Settled: TypeAlias = list[tuple[int, Decimal]]
_LATER: ContextVar[Settled | None] = ContextVar("penstock_settled_with_once", default=None)
LOOK: Final = 0.25
"""Seconds between two looks for room in a quota of so much at once."""
COUNTED: Final = 5.0
"""Seconds for which the number of living processes holds, among which a rate per second is shared out."""


class RunningDraw:
    """See `penstock.definition.context.Draw`."""

    def __init__(self, quotas: Sequence[Quota], amounts: Sequence[Decimal]) -> None:
        self._quotas, self.amounts = quotas, list(amounts)
        self.amount = self.amounts[0] if self.amounts else Decimal(0)

    def settle(self, actual: Number | str) -> None:
        """Say what it really cost."""
        self.amounts = price(actual, self._quotas)


class Spender:
    """Draws for the runs of one worker.

    Args:
        worker: Where draws are recorded.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._backlog: Settled = []
        self._limiters: dict[str, tuple[AsyncLimiter, float, float]] = {}

    @asynccontextmanager
    async def spend(
        self, run: Carried, step: str, quotas: Sequence[Quota], cost: Number | str
    ) -> AsyncGenerator[RunningDraw]:
        """Draw before the block, settle after it; see `Context.spend`."""
        draw = RunningDraw(quotas, price(cost, quotas))
        counted = [n for n, quota in enumerate(quotas) if quota.per != "second" and draw.amounts[n] > 0]
        for quota, amount in zip(quotas, draw.amounts, strict=True):
            if quota.per == "second":
                await self._pace(quota, amount)
        numbers: Sequence[int] = ()
        if counted:
            numbers = await self._draw(run, step, [(quotas[n], draw.amounts[n]) for n in counted])
        try:
            yield draw
        finally:
            if numbers:
                settled = [(number, draw.amounts[n]) for number, n in zip(numbers, counted, strict=True)]
                later = _LATER.get()
                if later is not None:
                    later.extend(settled)
                else:
                    await asyncio.shield(self.settle(settled))

    async def settle(self, settled: Sequence[tuple[int, Decimal]]) -> None:
        """Settle, with what could not be settled before. While the ledger does not answer, the worst case stands."""
        self._backlog.extend(settled)
        todo, self._backlog = self._backlog, []
        if not todo:
            return
        try:
            await self._worker.settle(todo)
        except (LedgerUnavailable, LeaseLost) as error:
            self._backlog = todo + self._backlog
            structlog.get_logger("penstock").warning("draws are settled later", draws=len(todo), reason=str(error))

    async def _draw(self, run: Carried, step: str, draws: Sequence[tuple[Quota, Decimal]]) -> Sequence[int]:
        while True:
            granted = await self._worker.spend(run.hold, step, draws)
            if not isinstance(granted, Refused):
                return granted
            amount, quota = next((amount, quota) for quota, amount in draws if quota.name == granted.quota)
            if amount > granted.limit or quota.per == "run":
                raise Rejected(_never(quota, amount, granted))
            if quota.per is not None:
                raise QuotaSpent(
                    f"{quota.name}: {granted.free:,f} of {granted.limit:,f} a {quota.per} is free, and this may cost "
                    f"{amount:,f}.",
                    until=None if granted.until is None else datetime.fromtimestamp(granted.until, UTC),
                )
            await asyncio.sleep(LOOK)

    async def _pace(self, quota: Quota, amount: Decimal) -> None:
        """Wait for this process's share of a rate per second."""
        from aiolimiter import AsyncLimiter

        clock = asyncio.get_running_loop().time
        limiter, rate, until = self._limiters.get(quota.name, (None, 0.0, 0.0))
        if limiter is None or clock() >= until:
            before, rate = rate, float(quota.amount) / max(1, await self._worker.living())
            if limiter is None or rate != before:
                limiter = AsyncLimiter(1, 1 / rate) if rate < 1 else AsyncLimiter(rate, 1)
            self._limiters[quota.name] = (limiter, rate, clock() + COUNTED)
        left = float(amount)
        while left > 0:
            some = min(left, limiter.max_rate)
            await limiter.acquire(some)
            left -= some


@asynccontextmanager
async def settled_together() -> AsyncGenerator[Settled]:
    """What is drawn inside is settled by whoever opened this, with what they keep."""
    settled: Settled = []
    token = _LATER.set(settled)
    try:
        yield settled
    finally:
        _LATER.reset(token)


def _never(quota: Quota, amount: Decimal, refused: Refused) -> str:
    if amount > refused.limit:
        return f"{quota.name}: this may cost {amount:,f}, more than the whole limit of {refused.limit:,f}."
    return (
        f"{quota.name}: the cap of {refused.limit:,f} a run has {refused.free:,f} left, and this may cost {amount:,f}."
    )
