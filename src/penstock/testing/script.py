"""What a simulation does instead of calling handlers: give outputs, raise errors, die."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from penstock.definition.step import Step
from penstock.definition.units import show
from penstock.engines.executor.calling import Caller
from penstock.engines.executor.carried import Carried
from penstock.engines.executor.context import RunningContext
from penstock.engines.executor.resources import Resources

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Crash:
    """The process dies here."""


class NotGiven(AssertionError):  # noqa: N818 - what is wrong
    """A handler asks for what the test did not give."""

    def __init__(self, kind: Any) -> None:
        super().__init__(kind)
        self.kind = kind


class Unprepared(AssertionError):  # noqa: N818 - what the test is
    """The test is wrong, not the step."""


class Script:
    """What the test said, and what was called. `crash` ends the process that carries a run."""

    def __init__(self, crash: Callable[[Carried], None]) -> None:
        self.stubs: dict[str, Any] = {}
        self.faults: dict[str, deque[Exception | Crash]] = defaultdict(deque)
        self.calls: list[tuple[str, Any]] = []
        self.executing: dict[str, int] = defaultdict(int)
        self.crash = crash
        self.broken: asyncio.Future[NoReturn] | None = None

    def give_up(self, why: Unprepared) -> None:
        """End the simulation: `sim.run()` raises this."""
        if self.broken is not None and not self.broken.done():
            self.broken.set_exception(why)

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Any]:
        """What `ctx.connection()` gives: it may be handed on to what the test has patched, but not used."""
        yield _NoConnection(self)

    def output(self, step: Step[Any], context: RunningContext) -> Any:
        """What the stub gives; a function is asked for each unit, or for the list in a step that takes the batch."""
        stub = self.stubs[step.name]
        if not callable(stub):
            return stub
        return stub(context.unit if step.per_unit else list(context.units))


class ScriptedCaller(Caller):
    """Calls what the script says, else the handler, whose plain functions run in the event loop's own thread."""

    def __init__(self, script: Script) -> None:
        super().__init__(1)
        self._script = script

    async def attempt(
        self,
        run: Carried,
        step: Step[Any],
        context: RunningContext,
        fill: Callable[[], Awaitable[Mapping[str, Any]]],
        timeout: float | None,  # noqa: ASYNC109 - handed on
    ) -> Any:
        """Play what the script has for this step. A stub needs none of the step's parameters."""
        script, name = self._script, step.name
        script.calls.extend((name, unit) for unit in context.units)
        script.executing[name] += 1
        try:
            if script.faults[name]:
                fault = script.faults[name].popleft()
                if isinstance(fault, Exception):
                    raise fault.with_traceback(None)
                script.crash(run)
                await _for_ever()
            if name in script.stubs:
                return script.output(step, context)
            if step.signature.takes_transaction:
                await self._give_up(
                    f"{step} asks for a database, which a Simulation has not: sim.stub({name}, ...), or test it "
                    f"with penstock.testing.database(app)."
                )
            try:
                arguments = await fill()
            except NotGiven as missing:
                await self._give_up(_not_given(step, missing.kind))
            return await self.call(run, step, arguments, timeout)
        finally:
            script.executing[name] -= 1

    async def call(
        self,
        run: Carried,
        step: Step[Any],
        arguments: Mapping[str, Any],
        timeout: float | None,  # noqa: ASYNC109 - handed on
    ) -> Any:
        """Call the handler here: a thread or another process would be in another time."""
        if step.signature.is_async:
            return await super().call(run, step, arguments, timeout)
        return step.handler(**arguments)

    async def _give_up(self, why: str) -> NoReturn:
        self._script.give_up(Unprepared(why))
        await _for_ever()


class GivenResources(Resources):
    """What the test gave, by type; nothing is made."""

    async def get(self, kind: Any) -> Any:
        """The object of this type.

        Raises:
            NotGiven: There is none.
        """
        if kind not in self._made:
            raise NotGiven(kind)
        return self._made[kind]


class _NoConnection:
    def __init__(self, script: Script) -> None:
        self._script = script

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        why = Unprepared(
            f"ctx.connection() gives no database in a Simulation, and .{name} was asked of it: stub the step, patch "
            f"what reads there, or test it with penstock.testing.database(app)."
        )
        self._script.give_up(why)
        raise why


def _not_given(step: Step[Any], kind: Any) -> str:
    name = next((name for name, want in step.signature.parameters.items() if want is kind), "?")
    return (
        f"{step} asks for '{name}: {show(kind)}', which this Simulation was not given: say "
        f"Simulation(..., resources={{{show(kind)}: ...}}), or sim.stub({step.name}, ...)."
    )


async def _for_ever() -> NoReturn:
    """Until whoever waits for this is cancelled."""
    while True:
        await asyncio.Event().wait()
