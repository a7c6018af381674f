"""The stage on which every part of the engine's contract plays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

import penstock as ps
from penstock.model.states import TERMINAL
from penstock.testing.contracts.engine_units import A, Letter
from penstock.testing.contracts.ledger_case import until

Connect = Callable[[ps.App], AbstractAsyncContextManager[ps.Client]]
QUICK = ps.Retry(attempts=3, first=0.05, jitter=False)
"""A patience that a test can wait for."""


def letters(**options: Any) -> ps.Pipeline[Letter]:
    """A pipeline without steps, in one lane for each `lane`."""
    given: dict[str, Any] = {"lane": "lane", **options}
    return ps.Pipeline("letters", Letter, **given)


@dataclass(frozen=True, slots=True)
class Played:
    """What a plan came to, with its runs in the order in which they were made, and what was told on the way."""

    summary: ps.Summary[Letter]
    runs: Sequence[ps.Run[Letter]]
    events: Sequence[ps.Event]

    @property
    def states(self) -> list[str]:
        """How the runs ended."""
        return [run.state for run in self.runs]

    @property
    def run(self) -> ps.Run[Letter]:
        """The only run."""
        (run,) = self.runs
        return run

    @property
    def steps(self) -> dict[str, str]:
        """How the steps of the only run ended."""
        return {step.step: step.state for step in self.run.steps}

    @property
    def outputs(self) -> dict[str, Any]:
        """What the steps of the only run gave."""
        return {step.step: step.output for step in self.run.steps}

    @property
    def waits(self) -> list[float]:
        """The seconds that runs waited."""
        return [round(event.data["seconds"], 6) for event in self.events if event.type == "execution.waiting"]


class Play:
    """Pipelines played on the engine under test."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    @asynccontextmanager
    async def on(self, pipeline: ps.Pipeline[Letter], **options: Any) -> AsyncGenerator[Scene]:
        """The pipeline in an app of its own, with a client on it."""
        async with self.of(ps.App("contract", [pipeline], **options)) as client:
            yield Scene(client, pipeline)

    def of(self, app: ps.App) -> AbstractAsyncContextManager[ps.Client]:
        """A client for this app."""
        return self._connect(app)

    async def run(self, pipeline: ps.Pipeline[Letter], *units: Letter, **more: Any) -> Played:
        """Run the units, or `a`, to their end."""
        async with self.on(pipeline) as scene:
            return await scene.run(*units, **more)


class Scene:
    """A client, and the pipeline that is played."""

    def __init__(self, client: ps.Client, pipeline: ps.Pipeline[Letter]) -> None:
        self.client, self.pipeline = client, pipeline

    async def run(self, *units: Letter, **more: Any) -> Played:
        """Plan these units, or `a`, and apply the plan."""
        events: list[ps.Event] = []
        given = list(units) or [A]
        summary = await self.client.run(self.pipeline, units=given, on_event=events.append, **more)
        return Played(summary, await self.runs(), events)

    async def runs(self) -> Sequence[ps.Run[Letter]]:
        """All runs with their steps, in the order in which they were made."""
        found = await self.client.runs(self.pipeline, limit=1_000)
        return [await self.client.show_run(run.number) for run in reversed(found)]

    async def started(self) -> int:
        """The number of the only run, as soon as there is one."""

        async def first() -> int:
            found = await self.client.runs(self.pipeline)
            return found[0].number if found else 0

        return await until(first)

    async def finished(self) -> Sequence[ps.Run[Letter]]:
        """All runs when each is over, worked on until then."""

        async def over() -> bool:
            await self.client.work([self.pipeline])
            return all(run.state in TERMINAL for run in await self.client.runs(self.pipeline, limit=1_000))

        await until(over)
        return await self.runs()


async def soon(happened: asyncio.Event) -> None:
    """Wait for it, but not for ever."""
    async with asyncio.timeout(10):
        await happened.wait()


class EngineCase:
    """What every part of the contract is given.

    Attributes:
        has_database: Whether the ledger is in a database that steps can write to.
    """

    has_database = True

    @pytest.fixture
    def play(self, connect: Connect) -> Play:
        """The stage."""
        return Play(connect)
