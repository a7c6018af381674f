"""SIGTERM and SIGINT: stop in good order, and at once when asked twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self

FORCED = 130
"""The exit status of a process that was interrupted twice."""


class Stopper:
    """While entered, the first signal calls `stop` in the loop; a second SIGINT ends the process there and then.

    Args:
        loop: Where the work runs.
        stop: Stops it in good order.
        signals: Which signals.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        stop: Callable[[], Coroutine[Any, Any, None]],
        signals: Sequence[signal.Signals],
    ) -> None:
        self._loop, self._stop, self._signals = loop, stop, signals
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def stopped(self) -> bool:
        """A signal came."""
        return self._asked

    def _on_signal(self, number: int, _: object) -> None:
        if not self._asked:
            self._asked = True
            sys.stderr.write("Stopping: steps that run may finish; interrupt again to end at once.\n")
            self._loop.call_soon_threadsafe(self._begin)
        elif number == signal.SIGINT:
            os._exit(FORCED)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._stop())
