"""Quotas on the ledger: their rows, and the draws of one process."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from penstock.ledger.connect import Connected, translated
from penstock.ledger.queries import load
from penstock.model.attempt import Instant, ProcessId
from penstock.model.quota import Quota
from penstock.ports.records import Hold, Refused


async def quota_row(connection: Any, app: str, quota: Quota) -> int:
    """The number of a quota's row, made or brought up to date with the code."""
    cursor = await connection.execute(
        load("work")["ensure_quota"],
        {
            "app": app,
            "name": quota.name,
            "amount": quota.amount,
            "per": quota.per,
            "reserve": quota.kept,
            "starts": f"{quota.starts}:00",
            "timezone": quota.timezone,
        },
    )
    row: dict[str, Any] = await cursor.fetchone()
    return int(row["quota_id"])


class Draws:
    """What one process draws.

    Args:
        ledger: The ledger.
        app: Whose quotas.
        process: Whose lease every draw shows.
    """

    def __init__(self, ledger: Connected, app: str, process: ProcessId) -> None:
        self._ledger, self._app, self._process = ledger, app, process
        self._numbers: dict[str, tuple[Quota, int]] = {}

    async def spend(self, hold: Hold, step: str, draws: Sequence[tuple[Quota, Decimal]]) -> list[int] | Refused:
        """Draw from all of them or from none; see `ports.ledger`."""
        numbers = [await self._number(quota) for quota, _ in draws]
        rows = await self._ledger.rows(
            load("work")["spend"],
            process=self._process,
            lane=hold.lane,
            run=hold.run,
            fence=hold.fence,
            step=step,
            quotas=numbers,
            amounts=[amount for _, amount in draws],
        )
        for row in rows:
            if row["draw_id"] is None:
                until = None if row["until"] is None else Instant(row["until"])
                return Refused(quota=row["quota"], limit=row["limit"], free=row["free"], until=until)
        by_name = {row["quota"]: int(row["draw_id"]) for row in rows}
        return [by_name[quota.name] for quota, _ in draws]

    async def settle(self, settled: Sequence[tuple[int, Decimal]]) -> None:
        """What draws really cost; see `ports.ledger`."""
        with translated():
            async with self._ledger.pool.connection() as connection:
                await settle_on(connection, settled)

    async def living(self) -> int:
        """How many processes of this app are alive."""
        rows = await self._ledger.rows(load("work")["living"], app=self._app)
        return int(rows[0]["living"])

    async def _number(self, quota: Quota) -> int:
        known, number = self._numbers.get(quota.name, (None, 0))
        if known != quota:
            with translated():
                async with self._ledger.pool.connection() as connection:
                    number = await quota_row(connection, self._app, quota)
            self._numbers[quota.name] = (quota, number)
        return number


async def settle_on(connection: Any, settled: Sequence[tuple[int, Decimal]]) -> None:
    """Settle in the transaction of this connection."""
    binds = {"draws": [number for number, _ in settled], "actual": [amount for _, amount in settled]}
    await connection.execute(load("work")["settle"], binds)
