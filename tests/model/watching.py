"""What is looked at after each step: the ledger as it is, and how it became so from what it was."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

Row = dict[str, Any]
Key = tuple[Any, ...]
Tables = dict[str, dict[Key, Row]]

_PARTS = re.split(r"^-- name: (\w+)\n", Path(__file__).with_name("invariants.sql").read_text(), flags=re.MULTILINE)[1:]
INVARIANTS = dict(zip(_PARTS[::2], _PARTS[1::2], strict=True))
KEYS: Mapping[str, Sequence[str]] = {
    "runs": ("run_id",),
    "run_units": ("run_id", "unit_no"),
    "attempts": ("run_id", "seq"),
    "calls": ("run_id", "step", "unit_no"),
    "lanes": ("lane_id",),
    "units": ("unit_id",),
    "plans": ("plan_id",),
    "outbox": ("event_id",),
}
TERMINAL = frozenset({"completed", "partial", "failed", "cancelled", "skipped"})
RUN_MOVES: Mapping[str, frozenset[str]] = {  # semantics: what a run may become, seen from one step to the next
    "scheduled": frozenset({"scheduled", "running", "cancelled"}),
    "running": frozenset({"running", "waiting", "scheduled", "completed", "partial", "failed", "cancelled"}),
    "waiting": frozenset({"waiting", "running", "scheduled"}),  # claimed, did not fit its quota, put off: one commit
}
PLAN_MOVES: Mapping[str, frozenset[str]] = {
    "open": frozenset({"open", "applied", "discarded"}),
    "applied": frozenset({"applied"}),
    "discarded": frozenset({"discarded"}),
}
MEMORY = (
    "verdict",
    "source_version",
    "failures",
    "repeats",
    "not_before",
    "alone",
    "completed_at",
    "completed_version",
)


class Watch:
    """Looks at one ledger; `look` after each step."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self._cursor = self.connection.cursor(row_factory=dict_row)
        self._tables: Tables = {}

    def close(self) -> None:
        self.connection.close()

    def forget(self) -> None:
        """Begin anew: the next look has no past."""
        self._tables = {}

    def rows(self, query: str, **binds: Any) -> list[Row]:
        return self._cursor.execute(query.encode(), binds).fetchall()

    def look(self, *, pruned: bool = False) -> None:
        """Every invariant holds, and what changed since the last look changed as it may."""
        for name, query in INVARIANTS.items():
            broken = self._cursor.execute(query.encode()).fetchall()
            assert broken == [], (name, broken)
        was = self._tables
        self.take()
        if was:
            self._compare(was, self._tables, pruned=pruned)

    def take(self) -> None:
        """See how it is now, without asking how it became so."""
        self._tables = {table: self._read(table) for table in KEYS}

    def _read(self, table: str) -> dict[Key, Row]:
        query = sql.SQL("select to_jsonb(t) from penstock.{} t").format(sql.Identifier(table))
        rows: list[Row] = [row for (row,) in self.connection.execute(query)]  # times as text: some are -infinity
        return {tuple(row[name] for name in KEYS[table]): row for row in rows}

    def _compare(self, was: Tables, now: Tables, *, pruned: bool) -> None:
        for key, old in was["runs"].items():
            if pruned and key not in now["runs"]:
                assert old["state"] in TERMINAL, old
                continue
            new = now["runs"][key]
            if old["state"] in TERMINAL:
                assert new == old, ("terminal is for ever", old, new)
                continue
            assert new["state"] in RUN_MOVES[old["state"]], (old, new)
            assert new["claims"] >= old["claims"], (old, new)
            assert (new["fence"] or 0) >= (old["fence"] or 0), (old, new)
            if new["state"] == "cancelled" and old["state"] == "scheduled":
                assert old["claims"] == 0, ("only what never began is cancelled at once", old)
            assert new["cancel_requested"] or not old["cancel_requested"], ("a cancel is not taken back", old, new)
        for key in now["runs"].keys() - was["runs"].keys():
            assert now["runs"][key]["state"] == "scheduled", now["runs"][key]
        self._frozen("attempts", was, now, {key for key, row in was["attempts"].items() if row["state"] != "open"})
        self._frozen("calls", was, now, set(was["calls"]))
        over = {key for key, row in was["runs"].items() if row["state"] in TERMINAL}
        self._frozen("run_units", was, now, {key for key in was["run_units"] if (key[0],) in over})
        for key, old in was["lanes"].items():
            new = now["lanes"][key]
            assert new["fence"] >= old["fence"], ("fences rise", old, new)
            if (new["run_id"], new["process_id"]) != (old["run_id"], old["process_id"]):
                assert new["fence"] > old["fence"], ("who holds a lane shows in its fence", old, new)
        for key, old in was["units"].items():
            new = now["units"][key]
            assert new["rev"] >= old["rev"], ("rev rises", old, new)
            if any(new[name] != old[name] for name in MEMORY):
                assert new["rev"] > old["rev"], ("what changes a unit's memory raises its rev", old, new)
        for key, old in was["plans"].items():
            if key in now["plans"] or not pruned:
                assert now["plans"][key]["state"] in PLAN_MOVES[old["state"]], (old, now["plans"][key])

    def _frozen(self, table: str, was: Tables, now: Tables, over: set[Key]) -> None:
        """Rows that are over stay as they are, while their run is there."""
        for key in over:
            if (was[table][key]["run_id"],) in now["runs"]:
                assert now[table].get(key) == was[table][key], (table, was[table][key], now[table].get(key))
