"""A client that is bound to one organization: it asks for no rows but that organization's own.

This is the first wall. The second one is the ledger that it is given, which would not show others if it asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from typing_extensions import TypeVar

from penstock.definition.pipeline import Pipeline
from penstock.definition.registry import Registry
from penstock.model.errors import Forbidden, InvalidData, NotFound
from penstock.model.narrowing import is_mapping
from penstock.model.results import Plan, Run, Why
from penstock.model.values import Day, SqlGaps
from penstock.operations.client import Client
from penstock.operations.planning import Ask, Call
from penstock.ports.engine import OpenEngine
from penstock.ports.ledger import Ledger
from penstock.ports.records import StoredRun

U = TypeVar("U", default=Day)


class TenantClient(Client):
    """Every operation that one organization may ask for.

    Args:
        registry: The app.
        ledger: As this organization sees it.
        open_engine: Never called: a service's own engine carries out what is asked for.
        call: Calls a function with its parameters filled.
        lanes: For forecasts.
        org: The organization, as text: the value of the field that pipelines name by `org=`.
    """

    def __init__(
        self, registry: Registry, ledger: Ledger, open_engine: OpenEngine, call: Call, *, lanes: int, org: str
    ) -> None:
        super().__init__(registry, ledger, open_engine, call, lanes=lanes)
        self.org = org

    @classmethod
    def of(cls, client: Client, ledger: Ledger, org: str) -> TenantClient:
        """The client as one organization has it."""
        return cls(client._registry, ledger, client._open_engine, client._call, lanes=client._lanes, org=org)  # noqa: SLF001 - its parent's

    def sees(self, pipeline: Pipeline[Any]) -> bool:
        """Whether the pipeline's units belong to organizations at all."""
        return pipeline.org is not None

    async def _plan(self, pipeline: Pipeline[Any], ask: Ask) -> Plan[Any]:
        """What was asked for, of this organization's units only."""
        field = self._org_field(pipeline)
        given = (ask.where or {}).get(field)
        if given is not None and str(given) != self.org:
            msg = f"This token is bound to {field}={self.org}; it cannot plan for {field}={str(given)[:200]}."
            raise Forbidden(msg)
        if ask.units is not None and field not in pipeline.key and not isinstance(pipeline.gaps, SqlGaps):
            msg = (
                f"Units of {pipeline.name} are told apart without {field}, so one that is named may be anybody's: "
                f"a token that is bound to {field}={self.org} says where= instead."
            )
            raise Forbidden(msg)
        for unit in ask.units or ():
            self._check(pipeline, getattr(unit, field, None))
        own = {**(ask.where or {}), field: self._org_value(pipeline, field)}
        return await super()._plan(pipeline, replace(ask, where=own))

    async def runs(self, pipeline: Pipeline[U], **asked: Any) -> Sequence[Run[U]]:
        """Runs of this organization, newest first."""
        field = self._org_field(pipeline)
        found = await super().runs(pipeline, **asked)
        return [run for run in found if all(str(getattr(unit, field, None)) == self.org for unit in run.units)]

    async def why(self, pipeline: Pipeline[Any], unit: Any) -> Why:
        """Why a unit of this organization was run or not."""
        field = self._org_field(pipeline)
        key: dict[str, Any] = {name: unit[name] if is_mapping(unit) else getattr(unit, name) for name in pipeline.key}
        if field in key:
            self._check(pipeline, key[field])
            return await super().why(pipeline, key)
        # The organization is a fact and not in the key: only what the ledger knows to be its own may be asked for.
        row = await self._ledger.unit(app=self._registry.name, pipeline=pipeline.name, key=pipeline.units.key.text(key))
        if row is None or str(row["unit"].get(field)) != self.org:
            msg = f"There is no such unit of {pipeline.name}."
            raise NotFound(msg)
        return await super().why(pipeline, key)

    async def units(
        self, pipeline: Pipeline[Any], *, verdict: str | None = None, after: int | None = None, limit: int = 50
    ) -> Sequence[Mapping[str, Any]]:
        """Rows of `penstock.v1_units` of this organization."""
        field = self._org_field(pipeline)
        found = await super().units(pipeline, verdict=verdict, after=after, limit=limit)
        return [row for row in found if str(row["unit"].get(field)) == self.org]

    async def _stored(self, run: Any) -> StoredRun:
        stored = await super()._stored(run)
        field = self._org_field(self._registry.pipeline(stored.pipeline))
        if any(str(unit.get(field)) != self.org for unit in stored.units):
            msg = f"There is no run {run}."
            raise NotFound(msg)
        return stored

    def _org_field(self, pipeline: Pipeline[Any]) -> str:
        if pipeline.org is None:
            msg = f"{pipeline.name} belongs to no organization, and this token is bound to {self.org}."
            raise Forbidden(msg)
        return pipeline.org

    def _org_value(self, pipeline: Pipeline[Any], field: str) -> Any:
        try:
            return pipeline.units.value(field, self.org)
        except InvalidData:
            msg = f"This token is bound to {self.org}, which is no {field} of {pipeline.name}."
            raise Forbidden(msg) from None

    def _check(self, pipeline: Pipeline[Any], value: object) -> None:
        if str(value) != self.org:
            msg = f"This token is bound to {self._org_field(pipeline)}={self.org}; the unit is not of it."
            raise Forbidden(msg)
