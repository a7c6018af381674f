"""`db prune`: what ended long ago leaves the ledger."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import printing
from penstock.cli.faults import WrongUse, say
from penstock.cli.options import JsonOption
from penstock.cli.session import database_of
from penstock.cli.spoken import counted

if TYPE_CHECKING:
    from penstock.ledger.prune import Pruned

LEAST = timedelta(hours=1)
"""Whoever ended a run may still be about to say something of it."""
SECONDS_BETWEEN_LINES = 5.0


def prune(
    ctx: typer.Context,
    *,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="What ended longer ago: 12h, 90d, 13w.")
    ],
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", metavar="NAME", help="Only of this one: its name, or app/name.")
    ] = None,
    keep_failed: Annotated[bool, typer.Option("--keep-failed", help="Failed and partial runs stay.")] = False,
    events_older_than: Annotated[
        str, typer.Option("--events-older-than", metavar="AGE", help="Events of the log that all sinks have.")
    ] = "30d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and delete nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete runs that ended long ago, with all that is recorded of them. Units, the memory, stay.

    It may be interrupted, and goes on when it is called again.
    """
    from penstock.cli.words import span
    from penstock.ledger import migrate
    from penstock.ledger.prune import prune as delete

    age = span(older_than, "--older-than")
    if age < LEAST:
        raise WrongUse(f"--older-than {older_than}: at least 1h, since who ended a run may still be writing of it.")
    events_age = span(events_older_than, "--events-older-than")
    _, url = database_of(ctx)
    migrate.upgrade(url)
    told = _Progress(dry_run=dry_run)
    try:
        done = delete(
            url,
            age,
            pipeline=pipeline,
            keep_failed=keep_failed,
            dry_run=dry_run,
            events_older_than=events_age,
            on_window=told,
        )
    except KeyboardInterrupt:
        if not dry_run and told.last is not None:
            say(f"Stopped after {counted(told.last.runs, 'run')}, which are gone; the same command goes on from here.")
        raise
    if as_json:
        printing.document({**asdict(done), "dry_run": dry_run})
        return
    printing.pairs(_words(done, dry_run=dry_run))


class _Progress:
    """A line on stderr every few seconds."""

    def __init__(self, *, dry_run: bool) -> None:
        self.last: Pruned | None = None
        self._verb = "looked at" if dry_run else "pruned"
        self._next = time.monotonic() + SECONDS_BETWEEN_LINES

    def __call__(self, done: Pruned) -> None:
        self.last = done
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + SECONDS_BETWEEN_LINES
            say(f"{done.runs:,} runs {self._verb}, {done.rows:,} rows")


def _words(done: Pruned, *, dry_run: bool) -> dict[str, str]:
    """What went by name; what stays only where there is some."""
    would = "would go" if dry_run else "gone"
    rows = "" if dry_run else f", {done.rows:,} rows with them"
    told = {
        "ended before": done.before.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "runs": f"{done.runs:,} {would}{rows}",
    }
    for name, count in (
        ("plans", done.plans),
        ("gaps of forgotten plans", done.gaps),
        ("results of ctx.once", done.onces),
        ("windows of quotas", done.windows),
        ("processes", done.processes),
        ("events", done.events),
    ):
        if count:
            told[name] = f"{count:,} {would}"
    for name, count in (
        ("their plan is still at work", done.kept_at_work),
        ("somebody is yet to be told of them", done.kept_undelivered),
        ("failed or partial", done.kept_failed),
    ):
        if count:
            told.setdefault("kept", "")
            told["kept"] = "; ".join(filter(None, [told["kept"], f"{counted(count, 'run')}: {name}"]))
    return told
