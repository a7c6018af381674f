"""`python -m aegis.ingest SOURCE`: loads a folder or a zip of transcripts and says what became of every file."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from aegis.console import run, say
from aegis.ingest import IngestResult, ingest
from aegis.institutions import load_institutions
from aegis.overview import prepare
from aegis.pipelines import app
from aegis.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aegis.institutions import Institution

_WIDTH = 120
"""Columns of the table where there is no terminal: in a log, lines are not folded to 80."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code. Files that are rejected are no failure: they are shown."""
    parser = argparse.ArgumentParser(
        prog="python -m aegis.ingest",
        description="Loads transcripts (TICKER_YYYY_Qn.txt or TICKER_qn_YYYY.txt) and the data availability with them.",
    )
    parser.add_argument("source", type=Path, help="a folder or a zip of transcripts")
    parser.add_argument("--institutions", type=Path, metavar="FILE", help="the monitored institutions' YAML file")
    options = parser.parse_args(arguments)
    return run(lambda: asyncio.run(_main(options.source, options.institutions)))


async def _main(source: Path, file: Path | None) -> int:
    institutions = load_institutions(file or load_settings().institutions)
    show(await load(source, institutions))
    return 0


async def load(source: Path, institutions: Mapping[str, Institution]) -> IngestResult:
    """Ingests a source into the database that the settings say, its tables made first where they are missing."""
    async with app.client() as client:
        await prepare(client)
        async with client.connection() as conn:
            return await ingest(conn, source, institutions)


def show(result: IngestResult) -> None:
    """The counts, and every file that was flagged or rejected with its reason."""
    say(
        f"Accepted: {result.accepted} transcripts "
        f"({result.new} new, {result.changed} changed, {result.unchanged} unchanged)"
    )
    say(f"Flagged: {len(result.flagged)}")
    if result.flagged:
        _table(
            (flag.reason.value, transcript.name, flag.detail)
            for transcript in result.flagged
            for flag in transcript.flags
        )
    reasons = ", ".join(f"{reason} {count}" for reason, count in result.reasons.items())
    say(f"Rejected: {len(result.rejected)}{f' ({reasons})' if reasons else ''}")
    if result.rejected:
        _table((rejection.reason.value, rejection.name, rejection.detail) for rejection in result.rejected)
    if result.ignored:
        say(f"Ignored: {result.ignored} files that are no transcripts")


def _table(rows: Iterable[tuple[str, str, str]]) -> None:
    console = Console(width=None if Console().is_terminal else _WIDTH)
    table = Table("Reason", "File", "Detail", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.columns[0].no_wrap = True
    for row in sorted(rows):
        # A file's name is somebody else's text: no markup, no control characters.
        table.add_row(*("".join(c if c.isprintable() else "�" for c in text).replace("[", "\\[") for text in row))
    console.print(table)
