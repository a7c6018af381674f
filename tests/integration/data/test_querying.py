"""Rows of a query as a frame: types, values, units, and what is wrong said plainly."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NamedTuple
from uuid import UUID

import polars as pl
import psycopg
import pytest
from pydantic import BaseModel

import penstock as ps
from penstock import data

Db = psycopg.AsyncConnection[Any]

EVERY = """
select 1::int2 as small, 2 as usual, 3::int8 as large, 1.5::float4 as single, 2.5::float8 as double,
  1.23::numeric(6,2) as money, 1.5::numeric as plain, 'a' as text, true as flag, date '2024-01-02' as day,
  timestamp '2024-01-02 03:04:05.5' as at, timestamptz '2024-01-02 03:04:05+02' as zoned, time '01:02' as clock,
  interval '1 day -1 second' as took, 'a3bb189e-8bf9-3888-9912-ace4e6543002'::uuid as id, '{"a":1}'::jsonb as document,
  array[1,null] as numbers, array['a',null,'NULL'] as texts, array[timestamptz '2024-01-02 00:00+05:30'] as moments,
  array[1.5::float8, 'NaN'] as doubles, array[1.25]::numeric(5,2)[] as amounts, '\\x00ff'::bytea as raw,
  null as nothing,
  '{}'::int[] as empty, '1.2.3.4'::inet as address
where 7 % 4 = 3 -- the last line may be a comment
"""


async def test_every_type_is_what_it_means(db: Db) -> None:
    await db.execute("set timezone to 'Asia/Kolkata'")
    frame = await data.query(db, EVERY)
    utc = pl.Datetime("us", "UTC")
    assert dict(frame.schema) == {
        "small": pl.Int16, "usual": pl.Int32, "large": pl.Int64, "single": pl.Float32, "double": pl.Float64,
        "money": pl.Decimal(6, 2), "plain": pl.Decimal(38, 18), "text": pl.String, "flag": pl.Boolean, "day": pl.Date,
        "at": pl.Datetime("us"), "zoned": utc, "clock": pl.Time, "took": pl.Duration("us"), "id": pl.String,
        "document": pl.String, "numbers": pl.List(pl.Int32), "texts": pl.List(pl.String), "moments": pl.List(utc),
        "doubles": pl.List(pl.Float64), "amounts": pl.List(pl.Decimal(38, 18)), "raw": pl.Binary, "nothing": pl.String,
        "empty": pl.List(pl.Int32), "address": pl.String,
    }  # fmt: skip
    row = frame.to_dicts()[0]
    assert (row["money"], row["plain"], row["day"]) == (Decimal("1.23"), Decimal("1.5"), date(2024, 1, 2))
    assert row["zoned"] == datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert row["moments"] == [datetime(2024, 1, 1, 18, 30, tzinfo=UTC)]
    assert row["took"] == timedelta(days=1, seconds=-1)
    assert (row["numbers"], row["texts"], row["empty"]) == ([1, None], ["a", None, "NULL"], [])
    assert (row["raw"], row["nothing"], row["document"]) == (b"\0\xff", None, '{"a": 1}')


async def test_no_rows_keep_their_columns(db: Db) -> None:
    frame = await data.query(db, EVERY)
    none = await data.query(db, EVERY.replace("= 3", "= 4"))
    assert none.height == 0
    assert none.schema == frame.schema


async def test_nulls_and_empty_texts_are_told_apart(db: Db) -> None:
    one = await data.query(db, "select t from (values (null), (''), (null), ('x')) as v (t)")
    assert one["t"].to_list() == [None, "", None, "x"]


async def test_values_are_bound(db: Db) -> None:
    frame = await data.query(
        db,
        "select %(text)s::text as a, %(days)s::date[] as b, %(nothing)s::int as c "
        "where 'x' like '%%' and 'ab' like 'a%';",
        text="'; drop table x; -- % %(days)s",
        days=[date(2024, 1, 1)],
        nothing=None,
    )
    assert frame.to_dicts() == [{"a": "'; drop table x; -- % %(days)s", "b": [date(2024, 1, 1)], "c": None}]


class Colour(Enum):
    RED = "red"


class Unit(NamedTuple):
    id: int
    name: str
    day: date | None
    uuid: UUID
    colour: Colour = Colour.RED
    kind: Literal["a", "b"] = "a"
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flat:
    id: int
    cost: Decimal


class Model(BaseModel):
    id: int
    at: datetime


async def test_units_are_a_table(db: Db) -> None:
    units = [Unit(1, 'a"b\\', date(2024, 1, 1), UUID(int=1)), Unit(2, "", None, UUID(int=2), paths=("x", "y"))]
    frame = await data.query(
        db,
        "with wide as (select * from units where id > %(least)s) select * from wide order by id desc",
        units=units,
        least=0,
    )
    assert frame.schema["id"] == pl.Int64
    assert frame.to_dicts() == [
        {
            "id": 2,
            "name": "",
            "day": None,
            "uuid": str(UUID(int=2)),
            "colour": "red",
            "kind": "a",
            "paths": '["x", "y"]',
        },
        {
            "id": 1,
            "name": 'a"b\\',
            "day": date(2024, 1, 1),
            "uuid": str(UUID(int=1)),
            "colour": "red",
            "kind": "a",
            "paths": "[]",
        },
    ]
    flat = await data.query(
        db, "select sum(cost) as cost from units", units=[Flat(1, Decimal("0.1")), Flat(2, Decimal("0.2"))]
    )
    assert flat["cost"].to_list() == [Decimal("0.3")]
    at = datetime(2024, 1, 1, tzinfo=UTC)
    assert (await data.query(db, "select * from units", units=[Model(id=1, at=at)])).to_dicts() == [{"id": 1, "at": at}]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("selec 1", "syntax error"),
        ("select nox", 'column "nox" does not exist'),
        ("select * from nothere", 'relation "nothere" does not exist'),
        ("select 1 as a, 2 as a", "more than one column a"),
        ("delete from pg_class returning oid", "syntax error"),
        ("select %(missing)s", "missing"),
        ("select 1; select 2", "syntax error"),
    ],
)
async def test_what_is_wrong_with_a_query_is_said(db: Db, sql: str, said: str) -> None:
    with pytest.raises(ps.DefinitionError, match=said):
        await data.query(db, sql)


@pytest.mark.parametrize("value", ["date 'infinity'", "timestamptz '-infinity'", "timestamp '4713-01-01 BC'"])
async def test_what_polars_cannot_hold_is_named(db: Db, value: str) -> None:
    with pytest.raises(ps.InvalidData, match="column odd holds"):
        await data.query(db, f"select {value} as odd")


async def test_units_of_no_or_two_classes_are_refused(db: Db) -> None:
    for units, said in (
        ([], "no unit"),
        ([Flat(1, Decimal(1)), Unit(1, "", None, UUID(int=1))], "one class"),
        ([1], "no fields"),
    ):
        with pytest.raises(ps.DefinitionError, match=said):
            await data.query(db, "select * from units", units=units)
