"""The orchestrator's command: what is missing is found, shown, and made; one run at a time.

What is retried, what waits for what, and what a killed process leaves behind is Penstock's; here are the seed's flags
and printouts.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import penstock as ps
from aegis.console import CommandError, log, nearest, one_line, run, say
from aegis.institutions import Institution, load_institutions
from aegis.kinds import REPORT_TYPES, etl_of, job
from aegis.lock import exclusive
from aegis.overview import Overview, overview, prepare
from aegis.pipelines import RETRIED, Report, app, reports, retries
from aegis.progress_log import ExecutionLog
from aegis.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 80


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The constants of the script.

    Attributes:
        lock_file: Held while a run is under way.
        attempts: Tries of a job in all.
        first_delay: Seconds before the second; doubled for each further one.
        longest_delay: Seconds that no wait exceeds.
        parallel: Banks at once, where no flag says otherwise.
    """

    lock_file: Path
    attempts: int
    first_delay: float
    longest_delay: float
    parallel: int


def main(limits: Limits, arguments: Sequence[str] | None = None) -> int:
    """The script: returns its exit code."""
    options = _parser(limits).parse_args(arguments)
    return run(lambda: _main(limits, options))


def _main(limits: Limits, options: argparse.Namespace) -> int:
    institutions = load_institutions(load_settings().institutions)
    if options.bank_symbol is not None:
        check_symbol(options.bank_symbol, institutions)
    lock = nullcontext() if options.no_lock else exclusive(limits.lock_file, _waiting)
    with lock:
        found = asyncio.run(_look())
        wanted = {"bank_symbol": options.bank_symbol, "report_type": REPORT_TYPES.get(options.etl_type)}
        reports.retry = retries(limits.attempts, limits.first_delay, limits.longest_delay)
        plan = app.plan(reports, where={name: value for name, value in wanted.items() if value is not None})
        if options.dry_run:
            print_gaps(plan, institutions, found)
            return 0
        return fill(plan, attempts=limits.attempts, parallel=options.max_parallel)


def fill(plan: ps.Plan[Report], *, attempts: int, parallel: int) -> int:
    """Makes what the plan holds, and what killed processes left; the exit code."""
    for line in held_back(plan):
        log.warning("%s", line)
    if plan.in_flight:
        log.info("%d ETL jobs of another run are under way, or were left by one that was killed", plan.in_flight)
    if len(plan):
        periods = {(gap.unit.bank_symbol, gap.unit.fiscal_year, gap.unit.quarter) for gap in plan}
        log.info("Starting parallel execution of %d ETL jobs (max %d parallel)", len(plan), parallel)
        log.info("Grouped into %d bank-period combinations", len(periods))
    elif not plan.in_flight:
        log.info("No gaps identified, nothing to do")
        return 0
    summary = app.apply(plan, lanes=parallel, on_event=ExecutionLog(attempts))
    return print_results(summary)


def held_back(plan: ps.Plan[Report]) -> list[str]:
    """What is missing and yet not made now: reports that were made more than once and are gone again each time."""
    return [
        f"{held.count} missing reports were made before and are gone again"
        + (f"; they are made again after {held.until.astimezone():%Y-%m-%d %H:%M}" if held.until else "")
        for held in plan.remembered
    ]


def print_gaps(plan: ps.Plan[Report], institutions: Mapping[str, Institution], found: Overview) -> None:
    """The dry run's block: the gaps of every bank, banks in the order of the institutions' file."""
    by_bank: dict[str, list[ps.Gap[Report]]] = {}
    for gap in plan:
        by_bank.setdefault(gap.unit.bank_symbol, []).append(gap)
    stale = plan.counts.get("stale", 0)
    say("=" * WIDTH)
    say("ETL ORCHESTRATOR EXECUTION SUMMARY")
    say("=" * WIDTH)
    say(f"Timestamp: {datetime.now().isoformat()}")  # noqa: DTZ005 - the local time, as people read it in a log
    say(f"Monitored Institutions: {len(institutions)} banks")
    say(f"Data Availability: {found.periods} bank-period combinations with transcripts")
    say(f"Existing Reports: {found.reports} reports")
    if plan.in_flight:
        say(f"In Progress: {plan.in_flight} reports")
    for line in held_back(plan):
        say(f"Held Back: {line}")
    say()
    if not by_bank:
        say(f"✅ NO GAPS IDENTIFIED: {'all that is missing is in progress' if plan.in_flight else 'nothing to do'}")
    else:
        note = f" ({stale} of them stale: a transcript has changed)" if stale else ""
        say(f"📋 GAPS IDENTIFIED: {len(plan)} missing reports{note}")
        say("-" * WIDTH)
    say()
    for symbol in [symbol for symbol in institutions if symbol in by_bank]:
        say(f"{institutions[symbol].name} ({symbol}):")
        for gap in by_bank[symbol]:
            mark = " (stale)" if gap.reason == "stale" else ""
            say(f"  • {gap.unit.fiscal_year} {gap.unit.quarter}: {etl_of(gap.unit)}{mark}")
        say()
    say("=" * WIDTH)


def print_results(summary: ps.Summary[Report]) -> int:
    """The results' block; the exit code."""
    counts = summary.counts
    done = counts.get("completed", 0) + counts.get("skipped", 0)
    failed = sum(counts.get(state, 0) for state in ("failed", "partial", "cancelled"))
    left = sum(counts.values()) - done - failed + summary.deferred
    say()
    say("-" * WIDTH)
    say("EXECUTION RESULTS")
    say("-" * WIDTH)
    say(f"Total Jobs: {done + failed + left}")
    say(f"Successful: {done} ✅")
    say(f"Failed: {failed} ❌")
    if left:
        say(f"Not finished: {left}, which the next run takes up")
    say(f"Duration: {summary.seconds:.1f}s")
    if summary.failed:
        say()
        say("Failed Jobs:")
        for failure in summary.failed:
            say(f"  ❌ {job(failure.unit)}: {why(failure)}")
    say("=" * WIDTH)
    return 0 if summary.ok and not left else 1


def why(failure: ps.Run[Report]) -> str:
    """Why a job failed; of one that was tried as often as it may be, that too."""
    error = one_line(failure.error or failure.state)
    return f"Max retries exceeded - {error}" if failure.error_class in RETRIED else error


def check_symbol(symbol: str, institutions: Mapping[str, Institution]) -> None:
    """`CommandError` for a bank that is not monitored."""
    if symbol not in institutions:
        hint = nearest(symbol, institutions)
        raise CommandError(
            f"No monitored institution has the symbol {symbol}; {hint}There are {', '.join(institutions)}."
        )


async def _look() -> Overview:
    async with app.client() as client:
        await prepare(client)
        return await overview(client)


def _waiting(holder: str) -> None:
    log.info("Another run is under way (%s); waiting for it to end", holder or "it has just begun")


def _parser(limits: Limits) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="etl_orchestrator.py",
        description="Finds the reports that are missing for monitored institutions, and makes them.",
    )
    parser.add_argument("--dry-run", action="store_true", help="preview gaps without executing ETLs")
    parser.add_argument("--bank-symbol", metavar="SYMBOL", help="process one bank only (e.g. RY, JPM); all by default")
    parser.add_argument("--etl-type", choices=list(REPORT_TYPES), help="process one ETL type only; all by default")
    parser.add_argument(
        "--max-parallel",
        type=_count,
        default=limits.parallel,
        metavar="N",
        help="banks that are processed at once (default: %(default)s)",
    )
    parser.add_argument("--no-lock", action="store_true", help="do not wait for a run under way (testing only)")
    return parser


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return number
