"""What a statement does to a ledger: its plan, and what was read of each table, functions included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

SMALL = frozenset(
    {
        "installation",
        "spaces",
        "pipelines",
        "shapes",
        "plans",
        "processes",
        "quotas",
        "overrides",
        "notice_targets",
        "event_logs",
        "event_readers",
        "schedules",
        "api_tokens",
        "api_requests",
        "migrations",
    }
)
"""Tables that stay small however long a ledger is used; every other one must be read by an index."""
CUSTOM_PLANS = 5
"""How often PostgreSQL plans a prepared statement for its values before it considers one plan for all values."""
_BIND = re.compile(r"%(%|\((\w+)\)s)")


@dataclass(frozen=True)
class Work:
    """What one statement did.

    `returned` counts rows; `scanned` names the large tables that were read whole; `read` counts rows of large tables
    that were fetched; `sorted` is the most rows that went into a sort of the statement itself (what its functions
    sort, they have read before).
    """

    returned: int
    scanned: frozenset[str]
    read: int
    sorted: int
    plan: str


def work_of(connection: psycopg.Connection[Any], statement: str, binds: Mapping[str, Any], *, often: bool) -> Work:
    """Carry the statement out and take it back.

    Args:
        connection: Not in a transaction.
        statement: With `%(name)s` for values.
        binds: The values.
        often: As PostgreSQL plans it after it was carried out often on one connection, perhaps without its values.
    """
    text, names = _prepared(statement)
    try:
        connection.execute(f"prepare asked as {text}".encode())
        values = sql.SQL(", ").join(sql.Literal(binds[name]) for name in names)
        call = sql.SQL("execute asked({})").format(values) if names else sql.SQL("execute asked")
        for _ in range(CUSTOM_PLANS if often else 0):
            with connection.transaction(force_rollback=True):
                connection.execute(call)
        before = _counts(connection)
        explained = connection.execute(sql.SQL("explain (analyze, timing off, format json) {}").format(call)).fetchone()
        after = _counts(connection)
        as_text = connection.execute(sql.SQL("explain {}").format(call)).fetchall()
    finally:
        connection.rollback()
        connection.execute("deallocate all")
        connection.rollback()
    assert explained is not None
    root = explained[0][0]["Plan"]
    new = {table: (a - before[table][0], b - before[table][1]) for table, (a, b) in after.items()}
    return Work(
        returned=round(root["Actual Rows"] * root["Actual Loops"]),
        scanned=frozenset(table for table, (scans, _) in new.items() if scans),
        read=sum(rows for _, rows in new.values()),
        sorted=max(
            (_input(node) for node in _nodes(root) if "Sort Key" in node and "Sort" in node["Node Type"]), default=0
        ),
        plan="\n".join(row[0] for row in as_text),
    )


def _prepared(statement: str) -> tuple[str, list[str]]:
    """The statement with numbered parameters, and their names in order."""
    names: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        if match[2] not in names:
            names.append(match[2])
        return f"${names.index(match[2]) + 1}"

    return _BIND.sub(numbered, statement), names


def _counts(connection: psycopg.Connection[Any]) -> dict[str, tuple[int, int]]:
    """Whole scans and rows fetched of each large table in this transaction."""
    rows = connection.execute(
        "select relname, coalesce(seq_scan, 0), coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)"
        " from pg_stat_xact_user_tables where schemaname = 'penstock'"
    )
    return {name: (scans, read) for name, scans, read in rows if name not in SMALL}


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _input(node: dict[str, Any]) -> int:
    """Rows that went into a sort."""
    child = node["Plans"][0]
    return round(float(child["Actual Rows"]) * int(child["Actual Loops"]))
