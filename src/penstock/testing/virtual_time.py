"""An event loop whose clock jumps when nothing is left to do but wait, so that hours pass in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from typing_extensions import TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@dataclass(slots=True)
class VirtualClock:
    """Time that passes only when a loop on it has nothing to do, or somebody moves it.

    Attributes:
        start: Where it begins, in seconds since 1970.
        passed: Seconds since then.
    """

    start: float
    passed: float = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return self.start + self.passed

    def moment(self) -> datetime:
        """The same in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it to its end in an event loop on this clock."""
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(self)) as runner:
            return runner.run(work)


class _Jump(selectors.DefaultSelector):
    """Where a loop would wait, this moves the clock instead, unless a thread is at work for the loop."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.threads:  # it will wake the loop; until then no time passes
            return super().select(None)
        if timeout is None:
            raise RuntimeError("Everything waits for something that nothing will bring about, on a virtual clock too.")
        self._clock.passed += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock. While a thread works for it the clock stands; it is not for sockets."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock, self._jump = clock, _Jump(clock)
        super().__init__(self._jump)

    def time(self) -> float:
        """Seconds on the virtual clock."""
        return self._clock.passed

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run it in a thread; the clock stands until it has returned."""
        future = super().run_in_executor(executor, func, *args)
        self._jump.threads += 1
        future.add_done_callback(self._returned)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - the loop's own signature
        """End idle threads; the clock stands meanwhile."""
        self._jump.threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._jump.threads -= 1

    def _returned(self, _: asyncio.Future[Any]) -> None:
        self._jump.threads -= 1
