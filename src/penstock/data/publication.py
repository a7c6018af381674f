"""Write, audit, publish: tables that change together or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace as changed
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, sql
from psycopg.rows import tuple_row

from penstock.data.extra import frames_needed
from penstock.data.place import Place, Waiting, place, remove, staging_table
from penstock.data.tables import Db, connection_of
from penstock.data.values import Check, Loaded, Quality
from penstock.definition.context import Context, running
from penstock.model.errors import DefinitionError, Rejected
from penstock.model.spelling import did_you_mean

if TYPE_CHECKING:
    from penstock.data.staging import Rows, Staged

PublishMode: TypeAlias = Literal["merge", "swap"]


class Publication:
    """Tables that are written aside, checked, and published together in one transaction.

    What the steps of a run write is that run's own until `publish`: it lies in tables beside the published ones, is
    committed with the step that wrote it, and is found again by later steps, after a crash and by a retry that takes
    completed steps over. What a step writes twice because it was tried again is there once. Outside of runs it belongs
    to the connection.

    Args:
        tables: The tables and what tells a row of each; a unique index on these columns must be there. In this order
            they are published, so a table comes after those that its foreign keys name.
        mode: `merge` inserts new rows and updates those that differ; `swap` makes the tables hold what was written
            and nothing else.

    Raises:
        DefinitionError: No table, a table without a key, two tables of one name, or a mode that there is not.
    """

    def __init__(self, tables: Mapping[str, str | Sequence[str]], *, mode: PublishMode = "merge") -> None:
        if mode not in get_args(PublishMode):
            raise DefinitionError(f"Publication(mode={mode!r}): it is one of {', '.join(get_args(PublishMode))}.")
        if not tables:
            raise DefinitionError("Publication({}) has no table to publish.")
        self.mode: PublishMode = mode
        self.tables: dict[str, tuple[str, ...]] = {
            name: (key,) if isinstance(key, str) else tuple(key) for name, key in tables.items()
        }
        self._aside: WeakKeyDictionary[Context[Any], int] = WeakKeyDictionary()
        if keyless := [name for name, key in self.tables.items() if not key]:
            raise DefinitionError(f"Publication: {', '.join(keyless)} has no key: say which columns tell a row.")
        bare = [name.rsplit(".", 1)[-1].strip('"') for name in self.tables]
        if len(set(bare)) < len(bare):
            raise DefinitionError(
                f"Publication: two of {', '.join(self.tables)} have one name in two schemas; make two publications."
            )

    async def write(self, db: Db, rows: Mapping[str, Rows]) -> int:
        """Write rows aside, by table; how many it were.

        Raises:
            DefinitionError: A table is not of this publication.
            InvalidData: Rows do not fit their table; see `load`.
        """
        frames_needed()
        from penstock.data.staging import appended

        for name in rows:
            if name not in self.tables:
                raise DefinitionError(
                    f"{name!r} is not a table of this publication{did_you_mean(name, self.tables, quoted=True)} "
                    f"Its tables are {', '.join(self.tables)}."
                )
        connection = await connection_of(db)
        found, number = await place(connection, self.tables, make=True), 0
        async with connection.transaction():
            for name, given in rows.items():
                number += await appended(connection, given, await staging_table(connection, found.tables[name]))
        self._count(number)
        return number

    async def execute(self, db: Db, sql: str, **binds: Any) -> int:
        """Run SQL that sees and changes what was written, in place of what is published; how many rows it changed.

        A table's name, with its schema or without, is what was written; `published.<name>` is what is published, for
        reading. Values are `%(name)s`; no other percent sign needs doubling.

        Raises:
            DefinitionError: The SQL changed what is published. Nothing was changed.
        """
        connection = await connection_of(db)
        found = await place(connection, self.tables, make=True)
        async with found.seen(connection):
            cursor = await connection.execute(found.pointed(sql).encode(), binds)
            number = max(0, cursor.rowcount)
        self._count(number)
        return number

    async def count(self, db: Db) -> dict[str, int]:
        """How many rows of each table were written.

        Raises:
            InvalidData: Nothing was written in this run.
        """
        connection = await connection_of(db)
        return await self._counts(connection, await place(connection, self.tables, make=False))

    async def audit(self, db: Db, checks: Sequence[Check], *, gate: bool = True) -> Quality:
        """Check what was written, and report it to the running step, with a few rows of each failure.

        The rows that a check finds are told by the key of the first table that it names, where it selects that key, so
        that a row which breaks two rules is one invalid row.

        Args:
            db: The step's transaction, or a psycopg connection.
            checks: What must not be.
            gate: Whether a failed check of severity error or critical raises.

        Raises:
            Rejected: The gate is closed; it names the checks, and shows rows. Nothing was published.
            DefinitionError: A check's SQL is wrong.
            InvalidData: Nothing was written in this run.
        """
        from penstock.data.auditing import audit

        connection = await connection_of(db)
        found = await place(connection, self.tables, make=False)
        counts = await self._counts(connection, found)
        quality, refused = await audit(connection, found, checks, sum(counts.values()))
        if refused and gate:
            raise Rejected("; ".join(refused) + ". Nothing was published.")
        return quality

    async def publish(self, db: Db) -> list[Loaded]:
        """Publish what was written: all tables in the step's transaction, and the staging place goes with it.

        Raises:
            InvalidData: Nothing was written in this run; a key is null or comes twice; a constraint says no.
            Rejected: A table would be swapped for nothing.
        """
        frames_needed()
        connection = await connection_of(db)
        found = await place(connection, self.tables, make=False)
        async with connection.transaction():
            given = {name: await self._given(connection, one) for name, one in found.tables.items()}
            done = await self._published(connection, found, given)
            await remove(connection, found)
        self._count(sum(one.rows for one in done), published=True)
        return done

    async def discard(self, db: Db) -> None:
        """Throw away what was written, for a closing step of a run that nobody will take up again."""
        connection = await connection_of(db)
        found = await place(connection, self.tables, make=True)
        async with connection.transaction():
            await remove(connection, found)

    def _count(self, number: int, *, published: bool = False) -> None:
        """Tell the running step; rows that it wrote aside and publishes itself are written once."""
        context = running()
        if context is None:
            return
        aside = self._aside.get(context, 0)
        self._aside[context] = 0 if published else aside + number
        context.count(written=max(0, number - aside) if published else number)

    async def _counts(self, connection: AsyncConnection[Any], found: Place) -> dict[str, int]:
        counts: dict[str, int] = {}
        for name, one in found.tables.items():
            cursor = connection.cursor(row_factory=tuple_row)
            await cursor.execute(sql.SQL("select count(*) from {}").format(one.staging))
            row = await cursor.fetchone()
            counts[name] = row[0] if row else 0
        return counts

    async def _given(self, connection: AsyncConnection[Any], one: Waiting) -> Staged:
        """What was written to a table, each key once, and the columns that it is published with."""
        from penstock.data.staging import Staged, no_null_keys, once_each

        staging = await staging_table(connection, one)
        # A column that numbers its rows by itself is left to do so, unless some row was given a number.
        own = [column.name for column in one.target.columns.values() if column.identity]
        counts = [sql.SQL("count({})").format(sql.Identifier(name)) for name in own]
        cursor = connection.cursor(row_factory=tuple_row)
        await cursor.execute(
            sql.SQL("select {} from {}").format(sql.SQL(", ").join([sql.SQL("count(*)"), *counts]), one.staging)
        )
        number, *given = await cursor.fetchone() or (0,)
        empty = {name for name, count in zip(own, given, strict=True) if not count}
        columns = [
            column.name
            for column in staging.columns.values()
            if not column.generated and column.name not in empty and one.target.columns[column.name].identity != "a"
        ]
        await connection.execute(sql.SQL("analyze {}").format(one.staging))
        await no_null_keys(connection, one.staging, one.key, staging)
        await once_each(connection, one.staging, one.key, staging)
        return Staged(name=one.staging, columns=columns, rows=number)

    async def _published(
        self, connection: AsyncConnection[Any], found: Place, given: Mapping[str, Staged]
    ) -> list[Loaded]:
        from penstock.data.loading import lock, remove_missing, upsert

        deleted = dict.fromkeys(self.tables, 0)
        if self.mode == "swap":
            for name, rows in given.items():
                if not rows.rows:
                    raise Rejected(
                        f"{name}: nothing was written, and swapping would empty it. Nothing was published. "
                        "If it should be empty, delete its rows in a step of your own."
                    )
            for one in sorted(found.tables.values(), key=lambda one: one.target.oid):
                await lock(connection, one.target)
            for name, one in reversed(list(found.tables.items())):
                deleted[name] = await remove_missing(connection, given[name], one.target, one.key)
        return [
            changed(await upsert(connection, given[name], one.target, one.key), deleted=deleted[name])
            for name, one in found.tables.items()
        ]
