"""CSV: what is read is what stands there, and what does not fit is named."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

import penstock as ps
from penstock import data
from penstock.data.sources import decoding
from tests.unit.data.files import batches, put, refused

PLAIN = "day,campaign,cost\n2024-12-23,007,0.10\n2024-12-24,,1.20\n"


async def test_values_stay_text_and_an_empty_one_is_null(tmp_path: Path) -> None:
    frame = await data.read(put(tmp_path, "a.csv", PLAIN))
    assert frame.schema == {"day": pl.String, "campaign": pl.String, "cost": pl.String}
    assert frame.rows() == [("2024-12-23", "007", "0.10"), ("2024-12-24", None, "1.20")]


async def test_the_line_of_each_row_is_that_of_the_file(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", 'title\n\na,b\n1,"two\nlines"\n\n3,4\r\n5,6')
    frame = await data.read(path, header=3, line="line")
    assert frame.rows() == [(4, "1", "two\nlines"), (7, "3", "4"), (8, "5", "6")]
    assert frame.schema["line"] == pl.Int64


@pytest.mark.parametrize("block", [3, 7, 64])
async def test_blocks_end_anywhere(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK", block)
    rows = [("é" * n, f'"{n}"\r\n,' if n % 3 == 0 else str(n)) for n in range(1, 30)]
    text = "name,value\r\n" + "".join(f'{a},"{b.replace(chr(34), chr(34) * 2)}"\r\n' for a, b in rows)
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        frame = await data.read(put(tmp_path, "a.csv", text, encoding), delimiter=",", line="at")
        assert frame.select("name", "value").rows() == rows
        assert frame["at"].to_list()[:4] == [2, 3, 4, 6]


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-8-sig", "utf-8"),
        ("utf-16", None),
        ("utf-16", "utf-16"),
        ("utf-16-le", None),
        ("utf-16-be", None),
        ("utf-32", None),
        ("cp1252", None),
        ("latin-1", "latin-1"),
    ],
)
async def test_encodings(tmp_path: Path, encoding: str, said: str | None) -> None:
    path = put(tmp_path, "a.csv", "plaza,monto\nMéxico,1\nNuñoa,2\n", encoding)
    assert (await data.read(path, encoding=said)).rows() == [("México", "1"), ("Nuñoa", "2")]


async def test_an_encoding_that_begins_late_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK", 16)
    content = b"a,b\n" + b"1,2\n" * 50 + b"\x80 5,caf\xe9\n" + b"\x81,x\n"
    assert (await data.read(put(tmp_path, "a.csv", content))).rows()[-2:] == [("€ 5", "café"), ("\x81", "x")]


async def test_a_damaged_byte_of_utf_8_names_its_line(tmp_path: Path) -> None:
    error = await refused(put(tmp_path, "a.csv", "a,b\né,2\n3,".encode() + b"\xff\n"))
    assert error.line == 3
    assert "byte 0xff is not UTF-8" in str(error)
    assert "encoding='cp1252'" in str(error)
    error = await refused(put(tmp_path, "b.csv", b"a,b\n\xe9,2\n"), encoding="ascii")
    assert error.line == 2


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    text = 'a,b,c\n1,"x;y|z",3\n1,2,\n'.replace(",", delimiter).replace("x;y", "x,y;")
    frame = await data.read(put(tmp_path, "a.txt", text))
    assert frame.columns == ["a", "b", "c"]
    assert frame.height == 2


async def test_decimal_commas_do_not_mislead(tmp_path: Path) -> None:
    assert (await data.read(put(tmp_path, "a.csv", "a;b\n1,5;2,5\n3,5;4,5\n"))).rows() == [
        ("1,5", "2,5"),
        ("3,5", "4,5"),
    ]


async def test_excels_own_line_says_the_delimiter(tmp_path: Path) -> None:
    frame = await data.read(put(tmp_path, "a.csv", "sep=|\r\na,b|c,d\r\n1|2\r\n"), line="line")
    assert frame.columns == ["line", "a,b", "c,d"]
    assert frame.rows() == [(3, "1", "2")]


async def test_a_tie_is_not_decided(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "a,b;c\n1,2;3\n")
    assert "both ',' and ';'" in str(await refused(path))
    assert (await data.read(path, delimiter=";")).columns == ["a,b", "c"]


async def test_one_column(tmp_path: Path) -> None:
    frame = await data.read(put(tmp_path, "a.csv", 'name\nx\n""\n\ny\n'), line="line")
    assert frame.rows() == [(2, "x"), (3, None), (5, "y")]


async def test_a_header_alone_is_a_frame_without_rows(tmp_path: Path) -> None:
    frame = await data.read(put(tmp_path, "a.csv", "a,b\n"), schema={"a": pl.Int64}, line="line")
    assert frame.schema == {"line": pl.Int64, "a": pl.Int64, "b": pl.String}
    assert frame.height == 0


async def test_without_a_header(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "1,2\n3,4\n")
    assert (await data.read(path, header=None, names=["x", "y"])).rows(named=True)[0] == {"x": "1", "y": "2"}
    assert (await data.read(path, names=["x", "y"])).rows() == [("3", "4")]
    assert "1 name where the header has 2 columns" in str(await refused(path, names=["x"]))


async def test_columns_without_a_name_are_left_out_while_they_are_empty(tmp_path: Path) -> None:
    assert (await data.read(put(tmp_path, "a.csv", "a,b,,\n1,2,,\n"))).columns == ["a", "b"]
    error = await refused(put(tmp_path, "b.csv", "a,b,,\n1,2,,\n3,4,,x\n"))
    assert (error.line, error.column, error.value) == (3, "column 4", "x")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a,b\n1,2\n3\n", 3, "it has 1 value where the header has 2 columns"),
        ("a,b\n1,2\n3,4,5\n", 3, "it has 3 values where the header has 2 columns"),
        ('a,b\n1,"2\n3,4\n', 2, "a quote that opens here is not closed"),
        ('a,b\n1,"2" x\n', 2, "not well quoted"),
        ('a,b\n"1\n2",3\n4\n', 4, "it has 1 value"),
        ("a,b\n1,2\nx\0y,3\n", 3, "NUL character"),
        ("a,a\n1,2\n", 1, "'a' is in columns 1 and 2"),
        (",\n1,2\n", 1, "no column has a name"),
        ('"a,b\n1,2\n', 1, "the header is not well quoted"),
        ("a\0,b\n1,2\n", 1, "NUL"),
    ],
)
async def test_a_bad_file_names_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    error = await refused(put(tmp_path, "a.csv", text))
    assert error.line == line
    assert f"line {line}" in str(error)
    assert says in str(error)


@pytest.mark.parametrize("text", ["", " \n\n", "\ufeff"])
async def test_an_empty_file_is_said_to_be_empty(tmp_path: Path, text: str) -> None:
    assert "it is empty" in str(await refused(put(tmp_path, "a.csv", text))) or text == "\ufeff"


async def test_a_header_beyond_the_end(tmp_path: Path) -> None:
    assert "correct header=" in str(await refused(put(tmp_path, "a.csv", PLAIN), header=9))


async def test_bad_rows_can_be_put_aside_and_the_others_are_read(tmp_path: Path) -> None:
    text = 'a,b\n1,2\n3\nx,4\n5,"6\n7,8\n9,"z" z\n"1\n0",x\0\n11,12\n'
    bad: list[data.BadRow] = []
    frame = await data.read(put(tmp_path, "a.csv", text), schema={"a": pl.Int64}, bad=bad, line="line")
    assert frame.rows() == [(2, 1, "2"), (6, 7, "8"), (10, 11, "12")]
    assert sorted(row.line for row in bad) == [3, 4, 5, 7, 8]
    (typed,) = [row for row in bad if row.column is not None]
    assert (typed.line, typed.column, typed.values) == (4, "a", ("x", "4"))
    assert "'x' is no Int64" in typed.reason


async def test_types(tmp_path: Path) -> None:
    row = " 5 ,1e3,2024-02-29,2024-12-23T06:00:00.5,2024-12-23 06:00:00+02:00,YES,1.230,05,[1]"
    text = f"n,x,d,t,z,b,m,s,l\n{row}\n,,,,,,,,\n"
    schema = {
        "n": pl.Int16,
        "x": pl.Float64,
        "d": pl.Date,
        "t": pl.Datetime("us"),
        "z": pl.Datetime("us", "Europe/Madrid"),
        "b": pl.Boolean,
        "m": pl.Decimal(10, 2),
        "l": pl.List(pl.Int64),
    }
    frame = await data.read(put(tmp_path, "a.csv", text), schema=schema)
    assert frame.rows()[0] == (
        5,
        1000.0,
        date(2024, 2, 29),
        datetime(2024, 12, 23, 6, 0, 0, 500_000),  # noqa: DTZ001 - the column has no zone
        datetime(2024, 12, 23, 5, tzinfo=ZoneInfo("Europe/Madrid")),
        True,
        Decimal("1.23"),
        "05",
        [1],
    )
    assert frame.rows()[1] == (None,) * 9


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (pl.Int64, "1.0"),
        (pl.Int64, "1_000"),
        (pl.Int8, "300"),
        (pl.Float64, "1,5"),
        (pl.Date, "23/12/2024"),
        (pl.Date, "2024-02-30"),
        (pl.Date, "2024-02-03 10:00:00"),
        (pl.Datetime("us"), "2024-12-23T06:00:00+02:00"),
        (pl.Datetime("us", "Europe/Madrid"), "2024-03-31T02:30:00"),
        (pl.Boolean, "maybe"),
        (pl.Decimal(10, 2), "1.239"),
        (pl.Decimal(4, 2), "12345"),
        (pl.Enum(["a"]), "b"),
        (pl.List(pl.Int64), "{"),
    ],
)
async def test_a_value_of_another_type_is_named(tmp_path: Path, dtype: pl.DataType, value: str) -> None:
    path = put(tmp_path, "a.csv", f'k,v\n1,\n2,"{value}"\n3,"{value}"\n')
    error = await refused(path, schema={"v": dtype})
    assert (error.line, error.column, error.value) == (3, "v", value)
    assert f"line 3, column 'v': '{value}' is no " in str(error)


async def test_the_first_bad_row_is_named_whatever_its_column(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "a,b\n1,x\ny,2\n")
    assert (await refused(path, schema={"a": pl.Int64, "b": pl.Int64})).line == 2


async def test_formats_of_dates(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "d,t\n31-08-2023,08/31/23 18:30\n")
    schema = {"d": pl.Date, "t": pl.Datetime("us", "UTC")}
    frame = await data.read(path, schema=schema, formats={"d": "%d-%m-%Y", "t": "%m/%d/%y %H:%M"})
    assert frame.rows() == [(date(2023, 8, 31), datetime(2023, 8, 31, 18, 30, tzinfo=UTC))]
    assert (await refused(path, schema=schema, formats={"d": "%m-%d-%Y"})).column == "d"


async def test_a_schema_names_columns_that_are_there(tmp_path: Path) -> None:
    error = await refused(put(tmp_path, "a.csv", PLAIN), schema={"campain": pl.String})
    assert "'campain' (is it 'campaign'?)" in str(error)


async def test_inference_takes_what_all_values_are(tmp_path: Path) -> None:
    first = "1,1,2024-01-01,2024-01-01 10:00:00,true,007,1,"
    second = "-2,2.5,2024-01-02,2024-01-01T11:00:00,FALSE,12,x,"
    text = f"i,f,d,t,b,code,mixed,none\n{first}\n{second}\n"
    frame = await data.read(put(tmp_path, "a.csv", text), schema="infer")
    assert list(frame.schema.values()) == [
        pl.Int64,
        pl.Float64,
        pl.Date,
        pl.Datetime("us"),
        pl.Boolean,
        pl.String,
        pl.String,
        pl.String,
    ]


async def test_inference_looks_at_all_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK", 16)
    frame = await data.read(put(tmp_path, "a.csv", "a,b\n" + "1,2\n" * 30 + "x,3\n"), schema="infer")
    assert frame.schema == {"a": pl.String, "b": pl.Int64}
    assert frame["a"].to_list() == ["1"] * 30 + ["x"]


async def test_words_for_nothing(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", 'a,b\nNA,""\n1,x\n')
    assert (await data.read(path, nulls=("", "NA"), schema={"a": pl.Int64})).rows() == [(None, None), (1, "x")]
    assert (await data.read(path, nulls=())).rows() == [("NA", ""), ("1", "x")]


async def test_quotes_can_be_characters_like_others(tmp_path: Path) -> None:
    path = put(tmp_path, "a.tsv", 'size\tname\n5"\t"open\n')
    assert (await data.read(path, quote=None)).rows() == [('5"', '"open')]
    assert (await data.read(put(tmp_path, "b.csv", "a,b\n'x,y',2\n"), quote="'")).rows() == [("x,y", "2")]


async def test_a_bare_quote_within_a_value_is_a_character(tmp_path: Path) -> None:
    assert (await data.read(put(tmp_path, "a.csv", 'a,b\n5" pipe,x"y"\n'))).rows() == [('5" pipe', 'x"y"')]


@pytest.mark.parametrize("value", ["x^y", "x\x01", "\ufeffz"])
async def test_a_block_that_begins_like_something_packed_is_text(tmp_path: Path, value: str) -> None:
    path = put(tmp_path, "a.csv", f"a,b\n{value},1\n")
    assert (await data.read(path)).rows() == [(value, "1")]


async def test_batches_hold_so_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK", 100)
    path = put(tmp_path, "a.csv", "n,m\n" + "".join(f"{n},{n}\n" for n in range(100)))
    frames = await batches(path, rows=7, schema={"n": pl.Int64}, line="line")
    assert max(frame.height for frame in frames) == 7
    assert pl.concat(frames).rows() == [(n + 2, n, str(n)) for n in range(100)]


async def test_a_batch_before_the_bad_row_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK", 10)
    path = put(tmp_path, "a.csv", "n,m\n" + "1,2\n" * 20 + "3\n")
    came = 0
    with pytest.raises(ps.InvalidData, match="line 22"):  # noqa: PT012 - what came before the error is the point
        async for frame in data.read_batches(path):
            came += frame.height
    assert came > 10


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (pl.Float64, "1e999"),
        (pl.Datetime("ms"), "2024-12-23T06:00:00.1234"),
        (pl.List(pl.Int64), "[1.5]"),
        (pl.List(pl.Int64), '["x"]'),
        (pl.Struct({"a": pl.Int64}), '{"a":1,"b":2}'),
        (pl.Struct({"a": pl.List(pl.Int64)}), '{"a":[1,"x"]}'),
    ],
)
async def test_nothing_is_lost_to_a_type(tmp_path: Path, dtype: pl.DataType, value: str) -> None:
    path = put(tmp_path, "a.csv", f"k\tv\n1\t{value}\n")
    assert (await refused(path, schema={"v": dtype}, quote=None)).value == value


async def test_times_and_nested_values(tmp_path: Path) -> None:
    path = put(tmp_path, "a.tsv", 'a,b\tt\tf\n{"x":[1],"y":"z"}\t06:30\tinf\n{}\t06:30:00.5\t\n')
    schema = {"a,b": pl.Struct({"x": pl.List(pl.Int8), "y": pl.String}), "t": pl.Time, "f": pl.Float32}
    frame = await data.read(path, schema=schema, quote=None)
    assert frame.rows() == [
        ({"x": [1], "y": "z"}, time(6, 30), float("inf")),
        ({"x": None, "y": None}, time(6, 30, 0, 500_000), None),
    ]


async def test_bad_rows_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    bad: list[data.BadRow] = []
    await data.read(put(tmp_path, "a.csv", "a,b\nx,1\n2\ny,3\n4\n"), schema={"a": pl.Int64}, bad=bad)
    assert [row.line for row in bad] == [2, 3, 4, 5]


async def test_the_error_travels_between_processes(tmp_path: Path) -> None:
    error = await refused(put(tmp_path, "a.csv", "a\nx\n"), schema={"a": pl.Int64})
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.line, again.column, again.value) == (str(error), 2, "a", "x")
