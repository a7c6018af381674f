"""What an operator set instead of the code's figures: checked when it is written and when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.definition.pipeline import Pipeline
from penstock.definition.registry import Registry
from penstock.definition.shaping import shape_of
from penstock.model.errors import NotFound
from penstock.model.override import Override, place_of, value_of
from penstock.model.shape import Shape
from penstock.planning.defaulting import Defaults, defaulted
from penstock.planning.overriding import overridden
from penstock.ports.ledger import Ledger


class Overrides:
    """Figures in the ledger that hold instead of the code's; from `client.overrides`.

    Those of a quota hold at once, all others from the next plan on.
    """

    def __init__(self, registry: Registry, ledger: Ledger, defaults: Defaults | None = None) -> None:
        self._registry, self._ledger, self._defaults = registry, ledger, defaults or Defaults()

    async def list(self) -> Sequence[Override]:
        """Every row of this app, those for the whole app first; wrong ones too."""
        return await self._ledger.overrides(self._registry.name)

    async def shape(self, pipeline: Pipeline[Any]) -> Shape:
        """The shape that a plan of this pipeline is made with now.

        Raises:
            SettingError: A row is wrong; the message names it.
        """
        rows = await self._ledger.overrides(self._registry.name)
        shape = defaulted(shape_of(pipeline), self._defaults)
        return overridden(shape, [row for row in rows if row.pipeline in (None, pipeline.name)])

    async def set(
        self, name: str, value: str, *, pipeline: str | None = None, note: str | None = None, by: str | None = None
    ) -> Override:
        """Set a figure, for one pipeline or for the whole app. It holds from the next plan on, a quota's at once.

        Plans made before are stale, and no run is changed, unless it is a quota's.

        Args:
            name: Such as `retry.network.attempts`; the reference lists them.
            value: As text, such as `5` or `90s`.
            pipeline: Whose; None for every pipeline of the app.
            note: Why, for whoever reads it later.
            by: Who; the database's user by default.

        Raises:
            NotFound: There is no such pipeline.
            SettingError: The name, the value or the step is wrong.
        """
        row = Override(
            app=self._registry.name, pipeline=pipeline, name=name, value=value.strip(), note=note, changed_by=by
        )
        value_of(row)
        if pipeline is not None:
            overridden(shape_of(self._registry.pipeline(pipeline)), [row])
        await self._ledger.set_override(row)
        return row

    async def unset(self, name: str, *, pipeline: str | None = None) -> None:
        """Take a row away; the code's figure holds again. It need not be a right one.

        Raises:
            NotFound: There is none of that name.
        """
        if not await self._ledger.unset_override(self._registry.name, pipeline, name):
            whose = f"pipeline {pipeline}" if pipeline else f"the whole app {self._registry.name}"
            msg = f"No override {name} is set for {whose}; penstock overrides list shows what there is."
            raise NotFound(msg)

    def fault(self, row: Override) -> str | None:
        """What is wrong with a row, if anything is: its name, its value, its pipeline or its step."""
        from penstock.model.errors import PenstockError

        try:
            place_of(row)
            value_of(row)
            if row.pipeline is not None:
                overridden(shape_of(self._registry.pipeline(row.pipeline)), [row])
        except PenstockError as error:
            return str(error)
        return None
