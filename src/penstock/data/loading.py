"""Rows into a table: COPY into a temporary table, then one statement that changes what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace as changed
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from psycopg import AsyncConnection, sql
from psycopg.errors import CardinalityViolation

from penstock.data.extra import frames_needed
from penstock.data.tables import Db, Table, connection_of, key_columns, table
from penstock.data.values import Loaded
from penstock.definition.context import running
from penstock.model.errors import DefinitionError, InvalidData
from penstock.model.spelling import did_you_mean

if TYPE_CHECKING:
    from penstock.data.staging import Rows, Staged

EVERY: Final = sql.SQL("true")
Mode: TypeAlias = Literal["upsert", "insert", "append", "replace"]


async def load(
    db: Db,
    rows: Rows,
    into: str,
    *,
    key: str | Sequence[str] | None = None,
    mode: Mode = "upsert",
    within: Mapping[str, Any] | None = None,
    history: bool | str = False,
    published: datetime | None = None,
    counts: bool = True,
) -> Loaded:
    """Load rows into a table: all of them or none.

    In a step's transaction they are committed with the step's record, so exactly once. A connection of another kind
    commits as it does: an autocommitting one when this returns, else when its owner commits.

    Args:
        db: The step's transaction, or a psycopg connection.
        rows: A polars frame, mappings, or a (perhaps asynchronous) iterator of frames. A key that a mapping lacks is
            null. Times without a zone are in UTC; a column without a zone gets UTC. Text goes into a json column as
            the document that it is.
        into: The table, as it stands in SQL: `rows`, `bronze.rows`, `bronze."Odd name"`.
        key: The columns that tell a row; a unique index on them must be there. Without it the primary key.
        mode: `upsert` inserts new keys and updates rows whose values differ, `insert` leaves the rows of known keys as
            they are, `append` looks at no key, `replace` makes the table (or its part `within`) hold these rows only.
        within: With `replace`: the part of the table that is replaced, as column and value, such as one day.
        history: With `upsert`: also keep every version of a row, in this table, or `<into>_history` for True.
        published: With `history`: when the source published these rows; now by default. Rows that are older than what
            is there go into their place in the history and change nothing else.
        counts: Whether the running step counts them as written; not so rows that are kept aside, such as rejected ones.

    Returns:
        How many rows were inserted, updated, and left as they were.

    Raises:
        InvalidData: Unknown or missing columns, a value that does not fit, a key that is null or comes twice, a
            constraint of the table that says no. Column, value and row are named; nothing was loaded.
        DefinitionError: No such table, no unique index on the key, or options that do not go together.
    """
    frames_needed()
    _options(mode, within, history, published)
    connection = await connection_of(db)
    target = await table(connection, into)  # begins the transaction, so that the block below is a savepoint in it
    async with connection.transaction():
        if history:
            from penstock.data.history import restate

            loaded = await restate(connection, rows, target, key, (history, published))
        else:
            part = within or {} if mode == "replace" else None
            loaded = await (
                _load(connection, rows, target, key, part)
                if mode in ("upsert", "replace")
                else _add(connection, rows, target, key, mode)
            )
    context = running()
    if context is not None and counts:
        context.count(written=loaded.rows)
    return loaded


def _options(mode: Mode, within: object, history: object, published: datetime | None) -> None:
    if mode not in get_args(Mode):
        raise DefinitionError(
            f"load(mode={mode!r}): the modes are {', '.join(get_args(Mode))}{did_you_mean(mode, get_args(Mode))}"
        )
    if within is not None and mode != "replace":
        raise DefinitionError(f"load(within=...) says which part mode='replace' replaces; the mode is {mode!r}.")
    if history and mode != "upsert":
        raise DefinitionError(f"load(history=...) goes with mode='upsert'; the mode is {mode!r}.")
    if published is not None and not history:
        raise DefinitionError("load(published=...) orders the versions of a history: say history=True or its table.")
    if published is not None and published.tzinfo is None:
        raise DefinitionError(f"load(published={published!r}) needs a time zone.")


async def _load(
    connection: AsyncConnection[Any],
    rows: Rows,
    target: Table,
    key: str | Sequence[str] | None,
    part: Mapping[str, Any] | None,
) -> Loaded:
    """Upsert, or replace a part of the table; an empty part is the whole table."""
    from penstock.data.staging import staged

    keyless = part is not None and key is None and not target.has_primary
    names = () if keyless else key_columns(target, key)
    async with staged(connection, rows, target, names) as given:
        if part is not None:
            return await replace(connection, given, target, names, part)
        return await upsert(connection, given, target, names)


async def _add(
    connection: AsyncConnection[Any], rows: Rows, target: Table, key: str | Sequence[str] | None, mode: Mode
) -> Loaded:
    """Append, or insert what is new."""
    from penstock.data.staging import appended, staged

    if mode == "append":
        number = await appended(connection, rows, target)
        return Loaded(table=target.written, rows=number, inserted=number, updated=0)
    names = key_columns(target, key)
    async with staged(connection, rows, target, names) as given:
        return await upsert(connection, given, target, names, update=False)


async def upsert(
    connection: AsyncConnection[Any],
    given: Staged,
    target: Table,
    key: Sequence[str],
    *,
    update: bool = True,
    only: sql.Composable = EVERY,
) -> Loaded:
    """One INSERT … ON CONFLICT, in the order of the key, so that loads side by side do not lock one another out."""
    from penstock.data.staging import fitting, once_each

    if not given.rows:
        return Loaded(table=target.written, rows=0, inserted=0, updated=0)
    values = [name for name in given.columns if name not in key]
    change: sql.Composable = sql.SQL("nothing")
    if update and values:
        change = sql.SQL("update set {} where {}").format(
            sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in values),
            differ(target, values, "there", "excluded"),
        )
    statement = sql.SQL(
        "with done as (insert into {into} as there ({columns}) select {columns} from {given} given where {only} "
        "order by {key} on conflict ({key}) do {change} returning {new} as new) "
        "select count(*) filter (where new), count(*) filter (where not new) from done"
    ).format(
        into=target.identifier,
        columns=listed(given.columns),
        given=given.name,
        only=only,
        key=listed(key),
        change=change,
        new=_is_new(target, key),
    )
    try:
        async with connection.transaction():
            with fitting(target):
                counted = await (await connection.execute(statement)).fetchone()
    except CardinalityViolation:  # a row was changed that had just been written
        await once_each(connection, given.name, key, target)
        raise
    inserted, updated = counted or (0, 0)
    if inserted < given.rows:  # else no key can have come twice, and there is nothing to look for
        await once_each(connection, given.name, key, target)
    return Loaded(
        table=target.written,
        rows=given.rows,
        inserted=inserted,
        updated=updated,
        unchanged=given.rows - inserted - updated,
    )


async def replace(
    connection: AsyncConnection[Any], given: Staged, target: Table, key: Sequence[str], within: Mapping[str, Any]
) -> Loaded:
    """Make the table, or a part of it, hold these rows only; readers see the old rows or the new ones.

    Raises:
        DefinitionError: The part is told by what is no column of the table.
        InvalidData: A row is outside of the part.
    """
    for name in within:
        if name not in target.columns:
            raise DefinitionError(
                f"within: {name!r} is not a column of {target.written}{did_you_mean(name, target.columns, quoted=True)}"
            )
    await lock(connection, target)
    if given.rows:  # it is joined with the table, whose planner knows nothing of it yet
        await connection.execute(sql.SQL("analyze {}").format(given.name))
    part = _part(within)
    if given.rows and within:
        await _all_within(connection, given, target, part, within)
    deleted = await remove_missing(connection, given, target, key, part)
    if not given.rows:
        return Loaded(table=target.written, rows=0, inserted=0, updated=0, deleted=deleted)
    if key:
        return changed(await upsert(connection, given, target, key), deleted=deleted)
    from penstock.data.staging import fitting

    with fitting(target):
        await connection.execute(
            sql.SQL("insert into {} ({}) select {} from {}").format(
                target.identifier, listed(given.columns), listed(given.columns), given.name
            )
        )
    return Loaded(table=target.written, rows=given.rows, inserted=given.rows, updated=0, deleted=deleted)


async def lock(connection: AsyncConnection[Any], target: Table) -> None:
    """Readers go on; whoever writes waits until this is committed, else two replacements would leave a mixture."""
    await connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(target.identifier))


async def remove_missing(
    connection: AsyncConnection[Any],
    given: Staged,
    target: Table,
    key: Sequence[str],
    part: sql.Composable = EVERY,
) -> int:
    """Delete the rows of the table, or of a part of it, whose keys are not given; how many."""
    from penstock.data.staging import fitting

    gone = part
    if given.rows and key:
        gone = sql.SQL("{} and not exists (select from {} given where {})").format(part, given.name, same(key))
    with fitting(target):
        cursor = await connection.execute(sql.SQL("delete from {} there where {}").format(target.identifier, gone))
    return cursor.rowcount


def _part(within: Mapping[str, Any]) -> sql.Composable:
    tests: list[sql.Composable] = [sql.SQL("true")]
    for name, value in within.items():
        column = sql.Identifier("there", name)
        tests.append(
            sql.SQL("{} is null").format(column)
            if value is None
            else sql.SQL("{} = {}").format(column, sql.Literal(value))
        )
    return sql.SQL(" and ").join(tests)


async def _all_within(
    connection: AsyncConnection[Any],
    given: Staged,
    target: Table,
    part: sql.Composable,
    within: Mapping[str, Any],
) -> None:
    if lacking := [name for name in within if name not in given.columns]:
        raise InvalidData(f"{target.written}: the rows lack {', '.join(lacking)}, by which within= tells the part.")
    outside = await connection.execute(
        sql.SQL("select count(*) from {} there where ({}) is not true").format(given.name, part)
    )
    counted = await outside.fetchone()
    if counted is not None and counted[0]:
        told = ", ".join(f"{name}={value}" for name, value in within.items())
        raise InvalidData(
            f"{target.written}: {counted[0]:,} of {given.rows:,} rows are not within {told}. Nothing was loaded."
        )


def _is_new(target: Table, key: Sequence[str]) -> sql.Composable:
    """Whether a row that was written is a new one; partitioned tables do not show xmax, so there it is looked up."""
    if not target.partitioned:
        return sql.SQL("there.xmax = 0")
    return sql.SQL("not exists (select from {} given where {})").format(target.identifier, same(key))


def listed(names: Sequence[str]) -> sql.Composed:
    """Column names with commas between."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def same(key: Sequence[str], one: str = "there", other: str = "given") -> sql.Composed:
    """Whether two rows have the same key."""
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(one, name), sql.Identifier(other, name)) for name in key
    )


def differ(target: Table, names: Sequence[str], one: str, other: str) -> sql.Composed:
    """Whether two rows have other values; types without an equality are compared by their text."""

    def side(alias: str) -> sql.Composed:
        return sql.SQL(", ").join(
            sql.SQL("{}" if target.columns[name].comparable else "{}::text").format(sql.Identifier(alias, name))
            for name in names
        )

    return sql.SQL("row({}) is distinct from row({})").format(side(one), side(other))
