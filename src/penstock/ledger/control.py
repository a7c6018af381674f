"""What people steer in the ledger: cancel, pause, resume, forget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from penstock.ledger.connect import Connected, translated
from penstock.ledger.queries import load
from penstock.model.attempt import PlanId, RunId
from penstock.model.errors import LedgerUnavailable, NotFound


class Control(Connected):
    """The steering half of the ledger; see `ports.ledger`."""

    async def pause(self, *, plan: PlanId | None = None, pipeline: tuple[str, str] | None = None, paused: bool) -> None:
        """No further run of the plan or pipeline starts, or they do again."""
        sql = load("control")
        with translated():
            async with self.pool.connection() as connection:
                if plan is not None:
                    cursor = await connection.execute(sql["pause_plan"], {"plan": plan, "paused": paused})
                    what = f"plan {plan}"
                else:
                    app, name = pipeline or ("", "")
                    cursor = await connection.execute(
                        sql["pause_pipeline"], {"app": app, "pipeline": name, "paused": paused}
                    )
                    what = f"pipeline {name} in the ledger; it is there from its first plan on"
                row = await cursor.fetchone()
                if row is None:
                    msg = f"There is no {what}."
                    raise NotFound(msg)
                held = {"plan": plan, "pipeline": row.get("pipeline_id"), "paused": paused}
                await connection.execute(sql["set_held"], held)
        await self.notify("resumed")

    async def cancel(self, *, run: RunId | None = None, plan: PlanId | None = None) -> Mapping[RunId, str]:
        """Cancel a run, or what is live of a plan."""
        sql = load("control")
        runs = [run] if run is not None else [r["run_id"] for r in await self.rows(sql["live_of_plan"], plan=plan)]
        rows = await self.rows(sql["cancel"], runs=runs)
        if run is not None and not rows:
            msg = f"There is no run {run}; 'penstock runs list' shows the ids there are."
            raise NotFound(msg)
        await self.notify("cancel")
        return {RunId(row["run_id"]): row["now_state"] for row in rows}

    async def forget(self, app: str, pipeline: str, keys: Sequence[str]) -> int:
        """Zero failures and waiting times."""
        with translated():
            async with self.pool.connection() as connection:
                cursor = await connection.execute(
                    load("control")["forget"], {"app": app, "pipeline": pipeline, "keys": list(keys)}
                )
                return cursor.rowcount

    async def notify(self, topic: str) -> None:
        """Tell the other processes that there is news; they poll as well, so what was done before need not fail."""
        with suppress(LedgerUnavailable):
            await self.rows(load("control")["notify"], topic=topic)
