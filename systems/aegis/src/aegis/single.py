"""One report, made now whether or not it exists: the command behind `aegis.etls.<kind>.main`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from aegis.console import CommandError, log, run, say
from aegis.institutions import load_institutions
from aegis.kinds import REPORT_TYPES, job
from aegis.orchestrator import check_symbol, why
from aegis.overview import paths_of, prepare
from aegis.pipelines import ATTEMPTS, Report, app, reports
from aegis.progress_log import ExecutionLog
from aegis.settings import load_settings


def main(etl: str, arguments: Sequence[str] | None = None) -> int:
    """The command for one kind of report; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog=f"python -m aegis.etls.{etl}.main",
        description=f"Makes one {REPORT_TYPES[etl]} report now, whether or not it exists.",
    )
    parser.add_argument("--bank", required=True, metavar="SYMBOL", help="the bank's symbol, such as RY")
    parser.add_argument("--year", required=True, type=int, help="the fiscal year, such as 2025")
    parser.add_argument("--quarter", required=True, choices=("Q1", "Q2", "Q3", "Q4"), help="the fiscal quarter")
    options = parser.parse_args(arguments)
    return run(lambda: _main(etl, options))


def _main(etl: str, options: argparse.Namespace) -> int:
    check_symbol(options.bank, load_institutions(load_settings().institutions))
    asyncio.run(_prepare())
    plan = app.plan(
        reports,
        where={
            "bank_symbol": options.bank,
            "fiscal_year": options.year,
            "quarter": options.quarter,
            "report_type": REPORT_TYPES[etl],
        },
        force=True,
    )
    name = f"{options.bank} {options.year} {options.quarter} [{etl}]"
    if not len(plan):
        if plan.in_flight:
            raise CommandError(f"{name} is being made by another run right now; wait for it, or try again then.")
        raise CommandError(
            f"{name}: No transcript data found. Load the transcript first: python -m aegis.ingest FOLDER_OR_ZIP"
        )
    report = next(iter(plan)).unit
    summary = app.apply(plan, on_event=ExecutionLog(ATTEMPTS))
    failure = next((failure for failure in summary.failed if failure.unit == report), None)
    if failure is not None:
        raise CommandError(f"{job(report)}: {why(failure)}")
    return asyncio.run(_show(report))


async def _prepare() -> None:
    async with app.client() as client:
        await prepare(client)


async def _show(report: Report) -> int:
    async with app.client() as client:
        paths = await paths_of(client, report)
    if paths is None:
        log.error("%s was not finished; run the command again", job(report))
        return 1
    for path in paths:
        say(str(path))
    return 0
