"""An engine, as the operations see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from penstock.model.attempt import PlanId, RunId
from penstock.model.results import Event

OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Drained:
    """What an engine did until nothing was left: the runs that it ended itself.

    Those of the plan that was asked for are not among them, since that plan tells of its own.
    """

    ended: frozenset[RunId]


class Engine(Protocol):
    """Carries out runs of some pipelines while its context is entered."""

    @property
    def at_work(self) -> bool:
        """It holds a lease and takes work: neither stopping, nor held up by a handler that will not end."""
        ...

    async def drain(self, plan: PlanId | None = None, *, stay: bool = False) -> Drained:
        """Carry out what is there until nothing is left to do but what is deferred.

        With `plan`, that plan's runs are waited for even where another process carries them. With `stay`, work that
        comes later is waited for too, and nothing is counted. Returns early after `stop`.
        """
        ...

    async def stop(self, grace: float) -> None:
        """Claim nothing more; steps that execute may finish within `grace` seconds, the rest is handed back."""
        ...


class OpenEngine(Protocol):
    """Makes an engine for some pipelines."""

    def __call__(
        self, pipelines: Sequence[str], *, slots: int | None = None, on_event: OnEvent | None = None
    ) -> AbstractAsyncContextManager[Engine]:
        """An engine that carries at most `slots` runs at once."""
        ...
