"""Retention: what ended long ago is deleted, a window at a time, beside whatever is at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from penstock.ledger.connect import translated
from penstock.ledger.link import plain
from penstock.ledger.queries import load
from penstock.model.errors import Conflict, NotFound

WINDOW = 2_000
"""Runs, plans or units that one transaction looks at."""
GAPS = 10_000
"""Gaps of forgotten plans that one transaction deletes."""
EVENTS = timedelta(days=30)
"""For so long the log of events is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What went, and what was old enough but stays.

    Attributes:
        before: What ended before this time was looked at.
        runs: Runs that went.
        rows: Rows that went with them, their own included: attempts, calls, units of runs, logs, draws from quotas.
        plans: Plans of which no run is left.
        gaps: Gaps of plans that were never applied.
        onces: What `ctx.once` kept for units that nobody has tried since.
        windows: Windows of quotas that are over.
        processes: Processes that ended.
        events: Events of the log that all its readers have.
        kept_at_work: Runs that stay since others of their plan are not over.
        kept_undelivered: Runs that stay since an event of theirs was not handed over yet.
        kept_failed: Failed and partial runs that stay since that was asked for.
    """

    before: datetime
    runs: int = 0
    rows: int = 0
    plans: int = 0
    gaps: int = 0
    onces: int = 0
    windows: int = 0
    processes: int = 0
    events: int = 0
    kept_at_work: int = 0
    kept_undelivered: int = 0
    kept_failed: int = 0


def prune(
    url: str,
    older_than: timedelta,
    *,
    pipeline: str | None = None,
    keep_failed: bool = False,
    dry_run: bool = False,
    events_older_than: timedelta = EVENTS,
    on_window: Callable[[Pruned], None] | None = None,
) -> Pruned:
    """Delete what ended longer ago than this. Safe beside processes at work and other prunes, and may be interrupted.

    Each window is committed for itself, so an interrupted prune has done what it has told; the next goes on from
    there. Units, which are the memory, and lanes stay.

    Args:
        url: The ledger's database.
        older_than: How long ago, by the ledger's clock.
        pipeline: Only what is of this one: its name, or app/name.
        keep_failed: Failed and partial runs stay.
        dry_run: Count, and delete nothing.
        events_older_than: How long ago that happened which the log of events keeps no more.
        on_window: Told after each window what was done so far.

    Raises:
        LedgerUnavailable: The database does not answer.
        NotFound: No pipeline has this name.
        Conflict: Pipelines of several apps have it.
    """
    with (
        translated(),
        psycopg.connect(
            plain(url), autocommit=True, connect_timeout=10, application_name="penstock prune"
        ) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        # What a crash of the server brings back is pruned again.
        cursor.execute("set synchronous_commit = off")
        work = _Prune(cursor, older_than, pipeline, events_older_than, keep_failed=keep_failed, dry_run=dry_run)
        for _ in work.windows():
            if on_window is not None:
                on_window(work.done)
        return work.done


class _Prune:
    """One prune under way."""

    def __init__(
        self,
        cursor: psycopg.Cursor[dict[str, Any]],
        older_than: timedelta,
        pipeline: str | None,
        events_older_than: timedelta,
        *,
        keep_failed: bool,
        dry_run: bool,
    ) -> None:
        self._cursor, self._sql = cursor, load("pruning")
        begun = self._ask("begin", older_than=older_than)
        self.done = Pruned(before=begun["before"])
        self._dry_run = dry_run
        self._binds: dict[str, Any] = {
            "before": begun["before"],
            "live": begun["live"],
            "pipeline": None if pipeline is None else self._pipeline(pipeline),
            "keep_failed": keep_failed,
            "dry_run": dry_run,
            "limit": WINDOW,
            "events_older_than": events_older_than,
        }

    def windows(self) -> Iterator[None]:
        """Do it; the caller may stop after each window."""
        yield from self._walk("runs", "runs", "rows", at_work="kept_at_work", undelivered="kept_undelivered",
                              failed="kept_failed")  # fmt: skip
        yield from self._repeat("gaps", GAPS)
        yield from self._walk("plans", "plans")
        yield from self._walk("onces", "onces")
        if self._binds["pipeline"] is None:
            yield from self._repeat("windows", WINDOW)
            yield from self._repeat("processes", WINDOW)
            yield from self._repeat("events", WINDOW)

    def _repeat(self, what: str, limit: int) -> Iterator[None]:
        """Some at a time until none is left; a dry run counts all of them at once."""
        while count := self._ask(what, **{**self._binds, "limit": limit})[what]:
            self._count(**{what: count})
            yield
            if self._dry_run:
                return

    def _walk(self, query: str, *counted: str, **renamed: str) -> Iterator[None]:
        """Window after window in order of the key."""
        after: int | None = 0
        while after is not None:
            row = self._ask(query, **self._binds, after=after)
            after = row["last"]
            self._count(**{name: row[name] for name in counted}, **{new: row[old] for old, new in renamed.items()})
            yield

    def _count(self, **more: int) -> None:
        so_far = asdict(self.done)
        self.done = replace(self.done, **{name: so_far[name] + count for name, count in more.items()})

    def _ask(self, query: str, **binds: Any) -> dict[str, Any]:
        row = self._cursor.execute(self._sql[query], binds).fetchone()
        assert row is not None, query  # noqa: S101 - each of them gives one row
        return row

    def _pipeline(self, name: str) -> int:
        found = self._cursor.execute(self._sql["pipelines"], {"pipeline": name}).fetchall()
        if not found:
            msg = f"There is no pipeline {name} in this ledger; it is there from its first plan on."
            raise NotFound(msg)
        if len(found) > 1:
            names = ", ".join(row["name"] for row in found)
            msg = f"Several apps have a pipeline {name} in this ledger; say which: {names}."
            raise Conflict(msg)
        return int(found[0]["pipeline_id"])
