"""How good aegis's reports are, by labels that people gave: `python -m benchmarks aegis_quality`."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.aegis_quality.labels import PARTS, Calls, Part
from benchmarks.aegis_quality.reports import write
from benchmarks.aegis_quality.scores import Score, guidance, of_part

TRANSCRIPTS = "transcripts/us_banks_2024Q1-2025Q2_txt.zip"


def measure(source: Path) -> dict[Part, list[Score]]:
    """The scores of each part, which take the reports of the labelled calls only."""
    calls = Calls(source)
    written = write(calls, calls.labelled())
    return {part: of_part(part, calls, written) for part in PARTS}


def main() -> None:
    """Print the scores beside their bars."""
    data = Path(os.environ.get("PENSTOCK_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
    if not (data / TRANSCRIPTS).is_file():
        print(f"aegis_quality: no {TRANSCRIPTS}; set PENSTOCK_TEST_DATA to the folder that holds transcripts/")
        return
    scores = {str(part): each for part, each in measure(data / TRANSCRIPTS).items()}
    scores["all"] = [guidance(Calls(data / TRANSCRIPTS))]
    table = Table("point", "what", "bar", *scores, title="aegis's reports by labels")
    for point, what in dict.fromkeys((score.point, _plain(score.what)) for each in scores.values() for score in each):
        row = {part: score for part, each in scores.items() for score in each if _plain(score.what) == what}
        limit = next(iter(row.values()))
        bar = "" if limit.bar is None else f"{'≤' if limit.most else '≥'} {limit.bar:.2f}"
        table.add_row(str(point), what, bar, *(_shown(row.get(part)) for part in scores))
    Console(width=None if Console().is_terminal else 140).print(table)


def _plain(what: str) -> str:
    """A score's name without the call that it is of."""
    return what.split(" (", maxsplit=1)[0]


def _shown(score: Score | None) -> str:
    if score is None or not score.cases:
        return ""
    return f"{score.share:.2f} ({score.hits}/{score.cases}){'' if score.reached else ' below'}"
