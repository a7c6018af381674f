"""Rows into tables: what the modes do, what is refused and how it is named, and that nothing is left of what failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Literal

import polars as pl
import psycopg
import pytest

import penstock as ps
from penstock import data
from tests.integration.data.looking import rows_of

Db = psycopg.AsyncConnection[Any]


@pytest.fixture(autouse=True)
async def tables(db: Db) -> None:
    await db.execute(
        "create table spend (campaign int, day date, cost numeric(8,2), note text, primary key (campaign, day))"
    )


def spend(*rows: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [dict(zip(("campaign", "day", "cost", "note"), row, strict=True)) for row in rows]


DAY = date(2024, 1, 1)
MODES: tuple[Literal["upsert", "insert", "replace"], ...] = ("upsert", "insert", "replace")


async def test_an_upsert_inserts_updates_and_leaves_alone_what_is_the_same(db: Db) -> None:
    await data.load(db, spend((1, DAY, 5, "a"), (2, DAY, 6, None)), "spend")
    before = await rows_of(db, "select xmin::text, campaign from spend where campaign = 1")
    loaded = await data.load(
        db, spend((1, DAY, 5, "a"), (2, DAY, 6, "b"), (3, DAY, 7, "c")), "spend", key=("day", "campaign")
    )
    assert loaded == data.Loaded(table="spend", rows=3, inserted=1, updated=1, unchanged=1)
    assert await rows_of(db, "select xmin::text, campaign from spend where campaign = 1") == before
    assert await rows_of(db, "select campaign, note from spend order by 1") == [(1, "a"), (2, "b"), (3, "c")]


async def test_an_upsert_of_some_columns_leaves_the_others(db: Db) -> None:
    await data.load(db, spend((1, DAY, 5, "a")), "spend")
    await data.load(db, pl.DataFrame({"campaign": [1], "day": [DAY], "cost": [9.5]}), "spend")
    assert await rows_of(db, "select cost::text, note from spend") == [("9.50", "a")]


async def test_an_insert_leaves_the_rows_of_known_keys(db: Db) -> None:
    await data.load(db, spend((1, DAY, 5, "a")), "spend")
    loaded = await data.load(db, spend((1, DAY, 6, "z"), (2, DAY, 6, "b")), "spend", mode="insert")
    assert (loaded.inserted, loaded.updated, loaded.unchanged) == (1, 0, 1)
    assert await rows_of(db, "select note from spend order by campaign") == [("a",), ("b",)]


async def test_an_append_knows_no_key_and_a_constraint_says_no(db: Db) -> None:
    await data.load(db, spend((1, DAY, 5, "a")), "spend", mode="append")
    with pytest.raises(ps.InvalidData, match=r"spend: row 2: .*spend_pkey.*Nothing was loaded"):
        await data.load(db, spend((2, DAY, 5, "a"), (1, DAY, 5, "a")), "spend", mode="append")
    assert len(await rows_of(db, "select from spend")) == 1


async def test_a_replacement_deletes_what_is_not_given(db: Db) -> None:
    await data.load(db, spend((1, DAY, 5, "a"), (2, DAY, 6, "b")), "spend")
    loaded = await data.load(db, spend((2, DAY, 6, "b"), (3, DAY, 7, "c")), "spend", mode="replace")
    assert (loaded.inserted, loaded.updated, loaded.unchanged, loaded.deleted) == (1, 0, 1, 1)
    assert await rows_of(db, "select campaign from spend order by 1") == [(2,), (3,)]


async def test_a_replacement_of_a_part_leaves_the_rest(db: Db) -> None:
    other = date(2024, 1, 2)
    await data.load(db, spend((1, DAY, 5, "a"), (2, DAY, 6, "b"), (1, other, 6, "b")), "spend")
    loaded = await data.load(db, spend((2, DAY, 7, "z")), "spend", mode="replace", within={"day": DAY})
    assert (loaded.updated, loaded.deleted) == (1, 1)
    assert await rows_of(db, "select campaign, day, note from spend order by 2") == [(2, DAY, "z"), (1, other, "b")]
    with pytest.raises(ps.InvalidData, match="1 of 2 rows are not within day=2024-01-01"):
        await data.load(db, spend((2, DAY, 7, "z"), (2, other, 7, "z")), "spend", mode="replace", within={"day": DAY})


async def test_a_table_without_a_key_is_replaced_whole(db: Db) -> None:
    await db.execute("create table loose (a int)")
    await data.load(db, [{"a": 1}, {"a": 1}], "loose", mode="replace")
    loaded = await data.load(db, [{"a": 2}], "loose", mode="replace")
    assert (loaded.inserted, loaded.deleted) == (1, 2)
    assert (await data.load(db, [], "loose", mode="replace")).deleted == 1


async def test_frames_come_one_after_another(db: Db) -> None:
    frames = [pl.DataFrame(spend((n, DAY, n, "x"))) for n in range(1, 4)]

    async def arriving() -> AsyncIterator[pl.DataFrame]:
        for frame in frames:
            await asyncio.sleep(0)
            yield frame.select(reversed(frame.columns)) if frame is frames[1] else frame

    def given() -> Iterator[pl.DataFrame]:
        yield from frames

    assert (await data.load(db, arriving(), "spend")).inserted == 3
    assert (await data.load(db, given(), "spend")).unchanged == 3
    assert (await data.load(db, pl.concat(frames).lazy(), "spend")).unchanged == 3
    with pytest.raises(ps.InvalidData, match="row 3 has campaign='x', which does not fit into integer"):
        await data.load(
            db,
            iter([frames[0].cast(pl.String), frames[1].cast(pl.String), pl.DataFrame(spend(("x", DAY, 1, "")))]),
            "spend",
        )
    with pytest.raises(ps.InvalidData, match="the frame from row 2 on has other columns"):
        await data.load(db, iter([frames[0], frames[1].drop("note")]), "spend")


async def test_nothing_to_load_is_no_error(db: Db) -> None:
    assert (await data.load(db, [], "spend")).rows == 0
    assert (await data.load(db, pl.DataFrame(schema={"campaign": pl.Int64, "day": pl.Date}), "spend")).rows == 0
    assert (await data.load(db, iter([]), "spend", mode="append")).rows == 0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"campaign": 1, "day": DAY}, {"campaign": "x", "day": DAY}], r"row 2 has campaign='x'.* integer"),
        ([{"campaign": 1.5, "day": DAY}], r"row 1 has campaign=1.5.*whole number"),
        ([{"campaign": 1, "day": DAY, "cost": 1234567}], r"row 1 has cost='1234567'.*numeric\(8,2\).*overflow"),
        ([{"campaign": 1, "day": "2024-13-01"}], r"row 1 has day='2024-13-01'.* date"),
        ([{"campaign": 1, "day": datetime(2024, 1, 1, 5, tzinfo=UTC)}], r"row 1 has day=.*time of day"),
        ([{"campaign": 2**40, "day": DAY}], r"row 1 has campaign='1099511627776'.*integer"),
        ([{"campaign": 1, "day": DAY, "note": "a\0b"}], r"row 1 has note=.*NUL"),
        ([{"campaign": 1, "day": DAY, "note": "\ud800"}], r"row 1 has note=.*not Unicode"),
        ([{"campaign": 1, "day": DAY, "note": object()}], r"row 1 has note=.*no value of a column"),
        ([{"campaign": 1, "day": DAY}, {"campaign": None, "day": DAY}], "row 2 has no campaign"),
        ([{"campaign": 1, "note": "x"}], r"the rows lack day, which takes no null and has no default"),
        (
            [{"campaign": 1, "day": DAY, "costs": 2}],
            r"no column 'costs'; did you mean 'cost'\? Its columns are campaign",
        ),
        (
            spend((1, DAY, 1, "a"), (2, DAY, 1, "a"), (1, DAY, 2, "b")),
            r"rows 1 and 3 have the same key, campaign=1, day=2024-01-01",
        ),
        ({"campaign": 1}, "rows are a polars frame"),
        ([1], "not a int"),
    ],
)
async def test_what_does_not_fit_is_named_and_nothing_is_left(db: Db, rows: Any, said: str) -> None:
    await data.load(db, spend((9, DAY, 1, "kept")), "spend")
    async with db.transaction():  # as in a step that goes on after it caught the error
        with pytest.raises(ps.InvalidData, match=said):
            await data.load(db, rows, "spend")
        assert await rows_of(db, "select note from spend") == [("kept",)]
    assert await rows_of(db, "select count(*) from pg_class where relname like 'penstock_load%'") == [(0,)]


async def test_an_iterator_that_fails_in_the_middle_leaves_nothing(db: Db) -> None:
    def broken() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame(spend((1, DAY, 1, "a")))
        raise ConnectionError("the source went away")

    modes: tuple[Literal["upsert", "append"], ...] = ("upsert", "append")
    for mode in modes:
        with pytest.raises(ConnectionError, match="went away"):
            await data.load(db, broken(), "spend", mode=mode)
    assert await rows_of(db, "select from spend") == []
    assert (await data.load(db, spend((1, DAY, 1, "a")), "spend")).inserted == 1  # the connection is as it was


async def test_a_key_that_comes_twice_is_found_whatever_is_there(db: Db) -> None:
    await data.load(db, spend((1, DAY, 1, "a")), "spend")
    twice = spend((1, DAY, 1, "a"), (2, DAY, 1, "a"), (1, DAY, 2, "b"))  # the first says what is there
    for mode in MODES:
        with pytest.raises(ps.InvalidData, match=r"rows 1 and 3 have the same key.*1 keys come more than once"):
            await data.load(db, twice, "spend", mode=mode)
    assert await rows_of(db, "select campaign, note from spend") == [(1, "a")]


async def test_a_connection_that_is_lost_in_the_middle_leaves_nothing(db: Db, empty_database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(empty_database_url, autocommit=True) as own:

        async def arriving() -> AsyncIterator[pl.DataFrame]:
            yield pl.DataFrame(spend((1, DAY, 1, "a")))
            await db.execute("select pg_terminate_backend(%s)", [own.info.backend_pid])
            yield pl.DataFrame(spend(*((n, DAY, 1, "x" * 100) for n in range(2, 50_000))))

        with pytest.raises(psycopg.OperationalError):
            await data.load(own, arriving(), "spend", mode="append")
    assert await rows_of(db, "select from spend") == []


async def test_constraints_of_the_table_are_named(db: Db) -> None:
    await db.execute("alter table spend add constraint not_below_zero check (cost >= 0)")
    with pytest.raises(ps.InvalidData, match=r"not_below_zero.*Failing row contains"):
        await data.load(db, spend((1, DAY, -1, "a")), "spend")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"into": "spendd"}, r"no table 'spendd' in this database; did you mean 'spend'\?"),
        ({"into": "spend; drop table spend"}, "no table"),
        ({"into": 'a"b'}, "no table"),
        ({"key": "note"}, r'no unique index on \(note\).*create unique index on "public"."spend" \("note"\);'),
        ({"key": "campain"}, r"'campain' is not a column of spend; did you mean 'campaign'\?"),
        ({"key": ()}, "key names no column"),
        ({"mode": "upsertt"}, r"did you mean upsert\?"),
        ({"within": {"day": DAY}}, "mode='replace'"),
        ({"mode": "replace", "within": {"dayy": DAY}}, r"did you mean 'day'\?"),
        ({"history": True, "mode": "append"}, "goes with mode='upsert'"),
        ({"published": datetime(2024, 1, 1, tzinfo=UTC)}, "say history=True"),
        ({"history": True, "published": datetime(2024, 1, 1)}, "needs a time zone"),  # noqa: DTZ001 - what is refused
    ],
)
async def test_options_that_cannot_be_are_refused(db: Db, options: dict[str, Any], said: str) -> None:
    into = options.pop("into", "spend")
    with pytest.raises(ps.DefinitionError, match=said):
        await data.load(db, spend((1, DAY, 1, "a")), into, **options)


async def test_a_partial_or_deferred_index_is_no_key(db: Db) -> None:
    await db.execute("create table t (a int, b int, c int); create unique index on t (a) where b > 0")
    await db.execute(
        "alter table t add constraint later unique (b) deferrable; create unique index on t (c) include (a)"
    )
    for name in ("a", "b"):
        with pytest.raises(ps.DefinitionError, match="no unique index"):
            await data.load(db, [{"a": 1, "b": 1}], "t", key=name)
    assert (await data.load(db, [{"c": 1}], "t", key="c")).inserted == 1


async def test_names_may_be_anything(db: Db) -> None:
    schema, table, column, key = 'a "b".c', "drop table; --", "%s %(x)s {}", "Select"

    def quote(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    await db.execute(f"create schema {quote(schema)}".encode())
    name = f"{quote(schema)}.{quote(table)}"
    await db.execute(f"create table {name} ({quote(column)} text, {quote(key)} int primary key)".encode())
    for value in ("x", "y"):
        await data.load(db, [{column: value, key: 1}], name)
        await data.load(db, [{column: value, key: 1}], name, mode="replace", within={column: value, key: 1})
    assert await rows_of(db, f"select * from {name}") == [("y", 1)]


async def test_a_name_with_capitals_needs_no_quotes(db: Db) -> None:
    await db.execute('create table "Rows" ("Id" int primary key)')
    assert (await data.load(db, [{"Id": 1}], "Rows")).inserted == 1


async def test_identity_and_computed_columns(db: Db) -> None:
    await db.execute(
        "create table t (id int generated always as identity, name text unique, "
        "twice text generated always as (name || name) stored)"
    )
    assert (await data.load(db, [{"name": "a"}], "t", key="name")).inserted == 1
    assert await rows_of(db, "select * from t") == [(1, "a", "aa")]
    with pytest.raises(ps.InvalidData, match="id, twice is computed"):
        await data.load(db, [{"id": 1, "twice": "b", "name": "b"}], "t", key="name")


async def test_a_partitioned_table_counts_too(db: Db) -> None:
    await db.execute("create table p (id int primary key, v text) partition by range (id)")
    await db.execute("create table p1 partition of p for values from (0) to (100)")
    await data.load(db, [{"id": 1, "v": "a"}], "p")
    loaded = await data.load(db, [{"id": 1, "v": "b"}, {"id": 2, "v": "c"}], "p")
    assert (loaded.inserted, loaded.updated) == (1, 1)
    with pytest.raises(ps.InvalidData, match="no partition"):
        await data.load(db, [{"id": 100, "v": "b"}], "p")


async def test_times_are_in_utc_unless_they_say_otherwise(db: Db) -> None:
    await db.execute("create table at (id int primary key, zoned timestamptz, plain timestamp)")
    await db.execute("set timezone to 'America/New_York'")
    here = datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    plain = datetime(2024, 1, 1)  # noqa: DTZ001 - one without a zone is what is meant
    await data.load(db, [{"id": 1, "zoned": here, "plain": here}, {"id": 2, "zoned": plain, "plain": plain}], "at")
    frame = pl.DataFrame({"id": [3, 4], "zoned": [here, None], "plain": [here, None]})
    await data.load(db, frame, "at")
    read = await data.query(db, "select * from at where id < 4 order by id")
    assert read["zoned"].to_list() == [datetime(2024, 1, 1, tzinfo=UTC)] * 3
    assert read["plain"].to_list() == [plain] * 3


async def test_something_else_than_a_connection_is_refused() -> None:
    with pytest.raises(
        ps.DefinitionError, match=r"db is the step's ps.Transaction or a psycopg.AsyncConnection, not a str"
    ):
        await data.load("postgresql://", [], "spend")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
