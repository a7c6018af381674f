"""What an operator set instead of the code's figures, as the database has it."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.ledger.connect import Connected
from penstock.ledger.queries import load
from penstock.ledger.text import clean
from penstock.model.override import Override


class Overriding(Connected):
    """The ledger's overrides; see `ports.ledger`. For the whole app the column `pipeline` is empty, not null."""

    async def overrides(self, app: str) -> Sequence[Override]:
        """What is set, for the whole app first."""
        return [Override(**row) for row in await self.rows(load("overrides")["overrides"], app=app)]

    async def set_override(self, override: Override) -> None:
        """Set it, in the place of the one before."""
        await self.rows(
            load("overrides")["set_override"],
            app=override.app,
            pipeline=override.pipeline or "",
            name=override.name,
            value=override.value,
            note=None if override.note is None else clean(override.note),
            by=override.changed_by,
        )
        await self._wake(override.app, override.name)

    async def unset_override(self, app: str, pipeline: str | None, name: str) -> bool:
        """Take it away; whether it was there."""
        rows = await self.rows(load("overrides")["unset_override"], app=app, pipeline=pipeline or "", name=name)
        await self._wake(app, name)
        return bool(rows)

    async def _wake(self, app: str, name: str) -> None:
        if name.startswith("quota."):
            await self.rows(load("overrides")["wake_quota"], app=app)
