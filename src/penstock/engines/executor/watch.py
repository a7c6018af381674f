"""Sees when a handler holds the event loop, and says which, and where.

An `async def` that blocks stops every other lane of its process. A thread looks whether the loop's heart beats; where
it does not, the loop's own stack tells the step, the line of the step's code, and the line that blocks.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from penstock.engines.executor import calling
from penstock.engines.executor.carried import Carried

BEAT: Final = 0.25
HELD: Final = 1.0
LONG: Final = 5.0
"""Seconds between two beats; without one until the loop counts as held; until that is said although it still is."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """Who held the loop: the run, the step, and the two lines of code."""

    run: Carried
    step: str
    blocks: str
    called: str

    def message(self, seconds: float) -> str:
        """What its author is told."""
        where = self.blocks if self.blocks == self.called else f"{self.blocks}, called at {self.called}"
        return (
            f"{self.run.pipeline.name}.{self.step} held the event loop for {seconds:.1f} s, so every other lane stood "
            f"still ({where}). Make it a plain def, which runs in a thread, or use an async client."
        )


class LoopWatch:
    """Watches the running loop while entered.

    Args:
        callers: The code of the functions that call handlers; each has the run in `run` and the step in `step`.
        warn: Told once per step, in the loop, when it beats again.
        say: Told from the watching thread of one that has held the loop for long and still does.
        give_up: Told from that thread of one whose time was over long ago.
    """

    def __init__(
        self,
        callers: frozenset[CodeType],
        warn: Callable[[Culprit, float], None],
        say: Callable[[str], object],
        give_up: Callable[[str], None],
    ) -> None:
        self._callers, self._warn, self._say, self._give_up = callers, warn, say, give_up
        self._said: Culprit | None = None
        self._given_up = False
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._beaten = time.monotonic()
        self._culprit: Culprit | None = None
        self._told: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self._handle = self._loop.call_later(BEAT, self._beat)
        self._thread = threading.Thread(target=self._watch, name="penstock-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._stop.set()
        self._handle.cancel()
        self._thread.join(timeout=5)

    def _beat(self) -> None:
        now = time.monotonic()
        held, culprit = now - self._beaten, self._culprit
        self._beaten, self._culprit = now, None
        if culprit is not None and held > HELD and (key := (culprit.run.pipeline.name, culprit.step)) not in self._told:
            self._told.add(key)
            self._warn(culprit, held)
        self._handle = self._loop.call_later(BEAT, self._beat)

    def _watch(self) -> None:
        while not self._stop.wait(BEAT):
            held = time.monotonic() - self._beaten
            if self._culprit is None and held > HELD:
                self._culprit = self._find(sys._current_frames().get(self._thread_id))  # noqa: SLF001 - as faulthandler
            culprit = self._culprit
            if culprit is None or held < HELD:
                continue
            if held > LONG and self._said is not culprit:
                self._said = culprit
                self._say(f"{culprit.message(held)} It still does.")
            limit = culprit.run.steps[culprit.step].timeout
            if limit is not None and held > limit + calling.STUBBORN and not self._given_up:
                self._given_up = True
                self._give_up(
                    f"{culprit.run.pipeline.name}.{culprit.step} has taken longer than {limit:g} s and does not go: it "
                    f"holds the event loop ({culprit.blocks})."
                )

    def _find(self, frame: FrameType | None) -> Culprit | None:
        innermost, called = frame, frame
        while frame is not None:
            if frame.f_code in self._callers:
                values: dict[str, Any] = frame.f_locals
                run, step = values.get("run"), values.get("step")
                if isinstance(run, Carried) and step is not None and innermost is not None and called is not None:
                    return Culprit(run, step.name, _place(innermost), _place(called))
                return None
            called, frame = frame, frame.f_back
        return None


def _place(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    short = "/".join(path.parts[-2:]) if "site-packages" in path.parts else path.name
    return f"{short}:{frame.f_lineno}"
