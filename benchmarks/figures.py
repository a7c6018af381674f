"""Figures: what was measured beside what was aimed at, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measure.

    `aim` is the trial's figure (`docs/benchmarks.md` tells where it is from), in the same unit; `more` says whether a
    greater value is the better one.
    """

    benchmark: str
    what: str
    value: float
    unit: str
    aim: float | None = None
    more: bool = False

    @property
    def times(self) -> float | None:
        """How many times worse than the aim this is; below 1 it is better."""
        if not self.aim or not self.value:
            return None
        return self.aim / self.value if self.more else self.value / self.aim


def show(figures: Sequence[Figure]) -> None:
    """Print the table."""
    table = Table("benchmark", "what", "measured", "unit", "aim", "times the aim")
    for name in ("measured", "aim", "times the aim"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for figure in figures:
        aim = "" if figure.aim is None else _short(figure.aim)
        times = "" if figure.times is None else f"{figure.times:.2f}"
        table.add_row(figure.benchmark, figure.what, _short(figure.value), figure.unit, aim, times)
    Console(width=None if Console().is_terminal else 140).print(table)


def write(figures: Sequence[Figure], facts: dict[str, str], path: Path) -> None:
    """Write them as JSON."""
    path.write_text(json.dumps({"machine": facts, "figures": [asdict(figure) for figure in figures]}, indent=2) + "\n")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
