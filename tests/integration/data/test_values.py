"""What goes in comes out: odd values of every type, by frames and by mappings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import hypothesis.strategies as st
import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from penstock import data

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["", "\\N", "\\.", "\t", "\n", "\r\n", '"', '""', "NULL", "a\\tb", "{}", "{a,b}", " "]
)
COLUMNS: dict[str, tuple[str, Any, st.SearchStrategy[Any]]] = {
    "small": ("int2", pl.Int16, st.integers(-(2**15), 2**15 - 1)),
    "large": ("int8", pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    "single": ("float4", pl.Float32, st.floats(width=32)),
    "double": ("float8", pl.Float64, st.floats()),
    "money": ("numeric(20,4)", pl.Decimal(20, 4), st.decimals(-(10**15), 10**15, places=4)),
    "text": ("text", pl.String, TEXT),
    "flag": ("boolean", pl.Boolean, st.booleans()),
    "day": ("date", pl.Date, st.dates()),
    "at": ("timestamp", pl.Datetime("us"), st.datetimes()),
    "zoned": ("timestamptz", pl.Datetime("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
    "clock": ("time", pl.Time, st.times()),
    "took": ("interval", pl.Duration("us"), st.timedeltas(timedelta(days=-3000), timedelta(days=3000))),
    "raw": ("bytea", pl.Binary, st.binary(max_size=8)),
    "texts": ("text[]", pl.List(pl.String), st.lists(TEXT | st.none(), max_size=3)),
    "numbers": ("int4[]", pl.List(pl.Int32), st.lists(st.integers(-(2**31), 2**31 - 1) | st.none(), max_size=3)),
    "days": ("date[]", pl.List(pl.Date), st.lists(st.dates(), max_size=3)),
    "moments": (
        "timestamptz[]",
        pl.List(pl.Datetime("us", "UTC")),
        st.lists(st.datetimes(timezones=st.just(UTC)), max_size=2),
    ),
    "flags": ("boolean[]", pl.List(pl.Boolean), st.lists(st.booleans() | st.none(), max_size=3)),
}
ROW = st.fixed_dictionaries({name: st.none() | values for name, (_, _, values) in COLUMNS.items()})
SCHEMA = {"id": pl.Int32, **{name: kind for name, (_, kind, _) in COLUMNS.items()}}


@pytest.fixture(scope="module")
def url(database_server: str) -> Iterator[str]:
    from penstock.ledger.temporary import temporary_database

    with temporary_database(database_server) as url:
        columns = ", ".join(f"{name} {kind}" for name, (kind, _, _) in COLUMNS.items())
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"create table odd (id int primary key, {columns})".encode())
        yield url


def same(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124 - NaN


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=1, max_size=8), as_frame=st.booleans())
async def test_what_goes_in_comes_out(url: str, rows: list[dict[str, Any]], as_frame: bool) -> None:
    numbered = [{"id": number, **row} for number, row in enumerate(rows)]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
        frame = pl.DataFrame(numbered, schema=SCHEMA)
        loaded = await data.load(db, frame if as_frame else numbered, "odd", mode="replace")
        assert loaded.rows == loaded.inserted + loaded.updated + loaded.unchanged == len(rows)
        again = await data.load(db, numbered if as_frame else frame, "odd")
        assert again.unchanged == len(rows)  # both ways say the same
        read = await data.query(db, "select * from odd order by id")
    assert dict(read.schema) == SCHEMA
    for came, went in zip(read.to_dicts(), numbered, strict=True):
        assert {name: (came[name], went[name]) for name in went if not same(came[name], went[name])} == {}


async def test_documents(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
        await db.execute("create temp table doc (id int primary key, j json, b jsonb, u uuid, e text)")
        day = date(2024, 1, 1)
        rows: list[dict[str, Any]] = [
            {
                "id": 1,
                "j": {"a": [1, None, "x\ny"]},
                "b": [day, time(1, 2)],
                "u": "a3bb189e-8bf9-3888-9912-ace4e6543002",
            },
            {"id": 2, "j": '{"as": "it stands"}', "b": True},
            {"id": 3, "b": 1.5, "e": datetime(2024, 1, 1, tzinfo=UTC)},
        ]
        await data.load(db, rows, "doc")
        assert (await data.load(db, rows, "doc")).unchanged == 3  # json has no equality of its own
        frame = pl.DataFrame({"id": [4], "j": [{"a": 1, "d": day}], "b": [[1, 2]]})
        await data.load(db, frame, "doc")
        read = await data.query(db, "select id, j, b from doc order by id")
    assert read["j"].to_list() == [
        '{"a": [1, null, "x\\ny"]}',
        '{"as": "it stands"}',
        None,
        '{"a": 1, "d": "2024-01-01"}',
    ]
    assert read["b"].to_list() == ['["2024-01-01", "01:02:00"]', "true", "1.5", "[1, 2]"]


async def test_a_million_digits_are_not_lost_in_silence(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
        await db.execute("create temp table big (id int primary key, n numeric)")
        rows: list[dict[str, Any]] = [{"id": 1, "n": "1" * 100}, {"id": 2, "n": float("nan")}]
        await data.load(db, rows, "big")
        with pytest.raises(
            Exception, match=r"column n holds '1+' \(numeric\), which a Decimal.* cannot hold.*::float8"
        ):
            await data.query(db, "select n from big where id = 1")
        with pytest.raises(Exception, match="column n holds 'NaN'"):
            await data.query(db, "select n from big where id = 2")
