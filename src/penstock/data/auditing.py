"""SQL checks over what was written: what each found, the score, and whether the gate opens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import tuple_row

from penstock.data.measuring import SAMPLE, report, sample_of
from penstock.data.names import mentioned
from penstock.data.place import Place, excerpt
from penstock.data.values import Check, Quality, Status
from penstock.model.errors import DefinitionError
from penstock.model.quality import Issue, score
from penstock.model.redaction import redact


async def audit(
    connection: AsyncConnection[Any], place: Place, checks: Sequence[Check], total: int
) -> tuple[Quality, list[str]]:
    """Run the checks and report them.

    Returns:
        The quality, and what closes the gate: a line for each failed check of severity error or critical.

    Raises:
        DefinitionError: Two checks of one name, or SQL that is wrong.
    """
    names = [check.name for check in checks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DefinitionError(f"Two checks are called {twice[0]!r}; a check is known by its name.")
    issues: list[Issue] = []
    refused: list[str] = []
    invalid, anonymous, warned = set[tuple[str, int]](), 0, False
    for check in checks:
        found, sample, table, rows = await _run(connection, place, check)
        if not found:
            continue
        passes = check.passes(found, total)
        issues.append(
            Issue(
                type=check.type,
                count=found,
                severity="info" if passes else check.severity,
                rule=check.name,
                sample=sample_of(sample),
            )
        )
        if check.severity != "info":
            if table is None:
                anonymous += found
            else:
                invalid.update((table, row) for row in rows)
        if not passes and check.severity in ("error", "critical"):
            refused.append(_refusal(check, found, total, sample))
        warned = warned or (not passes and check.severity == "warning")
    valid = max(0, total - len(invalid) - anonymous)
    status: Status = "FAIL" if refused else "PASS_WITH_WARNINGS" if warned else "PASS"
    report(total=total, valid=valid, issues=issues, table=", ".join(place.tables))
    counted = {str(issue.rule): issue.count for issue in issues}
    quality = Quality(score=score(total, valid), status=status, issues=counted, total=total, valid=valid)
    return quality, refused


def _refusal(check: Check, found: int, total: int, sample: Sequence[Any]) -> str:
    shown = json.dumps(sample_of(sample[:1])[0], ensure_ascii=False, default=str) if sample else ""
    if len(shown) > 300:  # noqa: PLR2004 - a message stays readable
        shown = shown[:299] + "…"
    allowed = f" ({check.threshold:g} let through)" if check.threshold else ""
    return redact(f"{check.name}: {found:,} rows of {total:,}{allowed}, such as {shown}")


async def _run(
    connection: AsyncConnection[Any], place: Place, check: Check
) -> tuple[int, list[Any], str | None, Sequence[int]]:
    """How many rows a check found, some of them, and by which table's key they are told."""
    client = psycopg.AsyncClientCursor(connection)
    try:
        text = client.mogrify(("\n" + place.pointed(check.sql) + "\n").encode(), {})
        body = sql.SQL("({})").format(_verbatim(text))
        async with place.seen(connection):
            cursor = connection.cursor(row_factory=tuple_row)
            await cursor.execute(sql.SQL("select * from {} as failing limit 0").format(body))
            columns = [column.name for column in cursor.description or ()]
            table, key = _told_by(place, check.sql, columns)
            rows = (
                sql.SQL("select array_agg(hashtextextended(row({})::text, 0)) from failing").format(
                    sql.SQL(", ").join(map(sql.Identifier, key))
                )
                if table
                else sql.SQL("select null::bigint[]")
            )
            await cursor.execute(
                sql.SQL(
                    "with failing as materialized (select * from {} as asked) select (select count(*) from failing), "
                    "(select json_agg(few) from (select * from failing limit {}) as few), ({})"
                ).format(body, sql.Literal(SAMPLE), rows)
            )
            row = await cursor.fetchone()
    except psycopg.ProgrammingError as error:
        said = error.diag.message_primary or str(error)
        raise DefinitionError(f"Check {check.name!r} cannot be run: {said}. It was: {excerpt(check.sql)}") from error
    found, sample, hashes = row or (0, None, None)
    return found, sample or [], table, hashes or ()


def _told_by(place: Place, text: str, columns: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The first table that the check names and whose key it selects."""
    by_name = {one.target.name: (written, one.key) for written, one in place.tables.items()}
    for name in mentioned(text):
        if name in by_name and set(by_name[name][1]) <= set(columns):
            return by_name[name]
    return None, ()


def _verbatim(text: str) -> sql.Composable:
    """The user's own SQL, as it stands."""
    return sql.SQL(text.replace("{", "{{").replace("}", "}}")).format()  # pyright: ignore[reportArgumentType]
