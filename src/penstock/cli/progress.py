"""What happens while a plan is carried out: bars on a terminal, a line per event in a pipe; both on stderr."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from penstock.cli.faults import say
from penstock.cli.printing import joined
from penstock.cli.spoken import clock, length, unit_words
from penstock.definition.pipeline import Pipeline
from penstock.model.results import Event

if TYPE_CHECKING:
    from rich.progress import TaskID

ENDED = ("execution.completed", "execution.failed")
SECONDS_BETWEEN_PROGRESS = 10.0
MOST_BARS = 12


class Watcher(ABC):
    """Is told of every event; entered while a plan is carried out."""

    @abstractmethod
    def __call__(self, event: Event) -> None:
        """Show it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return


def watcher(pipeline: Pipeline[Any], total: int) -> Watcher:
    """Bars where a person watches, lines elsewhere.

    Args:
        pipeline: Whose plan.
        total: Units of the plan.
    """
    return Bars(pipeline, total) if sys.stderr.isatty() else Lines(pipeline)


def shown_unit(pipeline: Pipeline[Any], event: Event) -> str:
    """The event's unit in words, and how many more its run carries."""
    unit = event.data.get("unit")
    body = unit if isinstance(unit, dict) else pipeline.units.dump(unit)  # pyright: ignore[reportUnknownVariableType]
    more = int(event.data.get("units", 1)) - 1
    return unit_words(body, pipeline.key) + (f" +{more}" if more > 0 else "")  # pyright: ignore[reportUnknownArgumentType]


class Lines(Watcher):
    """One line per event: when, which run, which unit, what."""

    def __init__(self, pipeline: Pipeline[Any]) -> None:
        self._pipeline = pipeline
        self._began: dict[int, float] = {}
        self._said: dict[int, float] = {}

    def __call__(self, event: Event) -> None:
        words = self._words(event)
        if words is not None:
            say(f"{clock(event.time)}  run {event.data['number']}  {shown_unit(self._pipeline, event)}  {words}")

    def _words(self, event: Event) -> str | None:
        number, at, data = event.data["number"], event.time.timestamp(), event.data
        match event.type:
            case "execution.started":
                self._began[number] = self._said[number] = at
                return "started"
            case "attempt.failed":
                return f"{data['step']}: {_error(data)}"
            case "execution.completed" | "execution.failed":
                self._said.pop(number, None)
                began = self._began.pop(number, None)
                took = f" in {length(at - began)}" if began is not None else ""
                error = f": {_error(data)}" if data.get("error") else ""
                return f"{data['state']}{took}{error}"
            case "progress":
                if at - self._said.get(number, 0.0) < SECONDS_BETWEEN_PROGRESS:
                    return None
                self._said[number] = at
                return f"{data['step']}: {data['done']} of {data['total']}"
            case _:
                return None


class Bars(Watcher):
    """A bar for the whole plan, and one for each run that is under way."""

    def __init__(self, pipeline: Pipeline[Any], total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._pipeline, self._total = pipeline, total
        self._done = self._failed = 0
        self._bars: dict[int, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True, highlight=False),
            redirect_stdout=False,
        )
        self._all = self._progress.add_task(pipeline.name, total=total, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for bar in self._bars.values():
            self._progress.remove_task(bar)
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        number = int(event.data["number"])
        if event.type in ENDED:
            self._end(number, event)
            return
        bar = self._bars.get(number)
        if bar is None:
            if len(self._bars) >= MOST_BARS:
                return
            words = shown_unit(self._pipeline, event).replace("[", r"\[")
            bar = self._bars[number] = self._progress.add_task(f"  {words}", total=None, note="")
        data = event.data
        match event.type:
            case "progress":
                self._progress.update(bar, completed=data["done"], total=data["total"], note=str(data["step"]))
            case "attempt.started":
                self._progress.update(bar, note=str(data["step"]))
            case "attempt.failed":
                self._progress.update(bar, note=f"{data['step']}: {_error(data)}")
            case _:
                pass

    def _end(self, number: int, event: Event) -> None:
        bar = self._bars.pop(number, None)
        if bar is not None:
            self._progress.remove_task(bar)
        self._done += int(event.data.get("units", 1))
        self._failed += event.type == "execution.failed"
        note = f"{self._failed} failed" if self._failed else ""
        self._progress.update(self._all, completed=self._done, total=max(self._total, self._done), note=note)


def _error(data: Any) -> str:
    return joined(data.get("error") or "no message")[:200]
