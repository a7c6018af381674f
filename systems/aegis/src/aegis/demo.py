"""The demonstration: sample transcripts are loaded, the gaps shown and filled, and a report opened.

Everything lies in `.penstock/` of the current folder, unless the settings name another database.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aegis.console import CommandError, run, say
from aegis.ingest import add_availability, ingest
from aegis.ingest_command import show
from aegis.institutions import load_institutions
from aegis.kinds import etl_of, job
from aegis.orchestrator import print_results
from aegis.overview import paths_of, prepare, transcript_versions
from aegis.pipelines import Report, app, reports
from aegis.samples import other_availability, write_samples

if TYPE_CHECKING:
    import penstock as ps

FOLDER = Path(".penstock") / "demo"
_BANKS_SHOWN = 3
_LINES_SHOWN = 14
_BAR = 30


def main() -> int:
    """`penstock demo`: returns its exit code. A second time there is nothing to do."""
    os.environ.setdefault("AEGIS_REPORTS_DIR", str(FOLDER / "reports"))
    return run(lambda: asyncio.run(_main()))


async def _main() -> int:
    say("Aegis writes a call summary and key themes for every earnings call of 14 banks.")
    say("The transcripts are samples with made-up figures; the reports quote them word for word.")
    say()
    say(f"1. Transcripts go from {FOLDER / 'transcripts'} into PostgreSQL")
    code = 0
    async with app.client() as client:
        await _load(client)
        say()
        say("2. What should exist and does not")
        plan = await client.plan(reports)
        if len(plan) or plan.in_flight:
            _show_gaps(plan, [gap.unit async for gap in client.gaps(plan)])
            say()
            say("3. The gaps are filled, four banks at a time")
            with _bar(len(plan) + plan.in_flight) as on_event:
                summary = await client.apply(plan, lanes=4, on_event=on_event)
            code = print_results(summary)
        else:
            say("Nothing to do: every transcript has its two reports, and they are up to date.")
        say()
        await _show_report(client)
    return code


async def _load(client: ps.Client) -> None:
    """The samples, into a database that holds no other transcripts."""
    paths = write_samples(FOLDER / "transcripts")
    institutions = load_institutions()
    await prepare(client)
    samples = {sha256(path.read_bytes()).hexdigest() for path in paths}
    if await transcript_versions(client) - samples:
        raise CommandError(
            "This database holds transcripts that are no samples, and the demonstration would replace some of "
            "them: name another by PENSTOCK_DATABASE_URL, or none to have one started here."
        )
    async with client.connection() as conn:
        result = await ingest(conn, FOLDER / "transcripts", institutions)
        await add_availability(conn, other_availability(), institutions)
    show(result)


def _show_gaps(plan: ps.Plan[Report], missing: Iterable[Report]) -> None:
    """The gaps of the first banks, and how many more there are."""
    if plan.in_flight:
        say(f"{plan.in_flight} reports were begun by a run that was interrupted; they are finished now.")
    units = sorted(missing, key=lambda unit: unit.bank_id)
    banks = [(name, list(group)) for name, group in groupby(units, key=lambda unit: unit.bank_name)]
    if not banks:
        return
    say(f"📋 GAPS IDENTIFIED: {len(plan)} missing reports")
    for name, group in banks[:_BANKS_SHOWN]:
        wanted = ", ".join(f"{unit.fiscal_year} {unit.quarter} {etl_of(unit)}" for unit in group)
        say(f"  {name} ({group[0].bank_symbol}): {wanted}")
    if len(banks) > _BANKS_SHOWN:
        rest = sum(len(group) for _, group in banks[_BANKS_SHOWN:])
        say(f"  and {rest} more of {len(banks) - _BANKS_SHOWN} other banks")


@contextmanager
def _bar(total: int) -> Generator[Callable[[ps.Event], None]]:
    """Shows how many reports are done: a bar on a terminal, a line for every seventh report elsewhere."""
    if not sys.stdout.isatty():
        yield _Lines(total)
        return
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(_BAR),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task("Reports", total=total)

        def on_event(event: ps.Event) -> None:
            if event.type in ("execution.completed", "execution.failed"):
                progress.advance(task)
            elif event.type == "attempt.failed":
                progress.console.print(f"❌ {job(event.data['unit'])}: {event.data['error']}", markup=False)

        yield on_event


class _Lines:
    """Progress where there is no terminal."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._every = max(1, total // 8)

    def __call__(self, event: ps.Event) -> None:
        if event.type == "attempt.failed":
            say(f"❌ {job(event.data['unit'])}: {event.data['error']}")
        if event.type not in ("execution.completed", "execution.failed"):
            return
        self._done += 1
        if self._done % self._every == 0 or self._done == self._total:
            say(f"  {self._done}/{self._total} reports, the last one {job(event.data['unit'])}")


async def _show_report(client: ps.Client) -> None:
    """The first lines of one report, and where it lies."""
    bank = next(iter(load_institutions().values()))
    report = Report(bank.id, bank.symbol, bank.name, 2025, "Q2", "Call Summary")
    paths = await paths_of(client, report)
    if paths is None or not paths[1].is_file():
        return
    word, markdown = paths
    say(f"One of the reports: {word}")
    say(f"The same as text, {markdown}, begins:")
    say()
    for line in markdown.read_text(encoding="utf-8").splitlines()[:_LINES_SHOWN]:
        say(f"    {line}")


if __name__ == "__main__":
    raise SystemExit(main())
