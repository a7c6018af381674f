"""JSON: lists, lines and single objects; types that hold for all rows; nothing dropped."""

from __future__ import annotations

import asyncio
import json
import tempfile
from decimal import Decimal
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock as ps
from penstock import data
from penstock.data.sources import decoding
from tests.unit.data.files import batches, packed, put, refused


async def test_a_list_of_objects(tmp_path: Path) -> None:
    path = put(tmp_path, "a.json", ' [ {"a": 1, "b": "x"},\n\n {"b": "y", "c": true, "a": 2.5} ] ')
    frame = await data.read(path, line="item")
    assert frame.rows(named=True) == [
        {"item": 1, "a": 1.0, "b": "x", "c": None},
        {"item": 2, "a": 2.5, "b": "y", "c": True},
    ]


@pytest.mark.parametrize("name", ["a.ndjson", "a.jsonl", "a.json", "a.txt"])
async def test_one_object_after_another(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name, '\n{"a": 1}\n\n{"a": 2, "b": null}\r\n')
    assert (await data.read(path, line="line")).rows() == [(2, 1, None), (4, 2, None)]


async def test_one_object_over_several_lines_and_what_is_nested(tmp_path: Path) -> None:
    path = packed(tmp_path, "a.json.gz", '{\n "when": "2026-03",\n "banks": {"é": [1, 2.50]}\n}')
    assert (await data.read(path)).rows(named=True) == [{"when": "2026-03", "banks": '{"é":[1,2.5]}'}]


async def test_a_schema_takes_numbers_as_they_were_written(tmp_path: Path) -> None:
    path = put(tmp_path, "a.json", '[{"m": 0.10, "n": 12345678901234567.89, "s": "7", "l": [1]}]')
    schema = {"m": pl.Decimal(9, 2), "n": pl.String, "s": pl.Int8, "l": pl.List(pl.Int64)}
    assert (await data.read(path, schema=schema)).rows() == [(Decimal("0.10"), "12345678901234567.89", 7, [1])]
    assert (await data.read(path, schema="text")).rows() == [("0.10", "12345678901234567.89", "7", "[1]")]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('{"a": 1}\n{"a": }\n', 2, "is no JSON"),
        ('{"a": 1}\n{"a": 1', 2, "is no JSON"),
        ('{"a": 1}\n"x"\n', 2, "not an object"),
        ('{"a": 1} {"a": 2}\n', 1, "more after its object"),
        ('{"a": 1, "a": 2}\n', 1, "'a' is there twice"),
        ('{"a": NaN}\n', 1, "NaN is no number"),
        ('{"a": 1e999}\n', 1, "too large"),
        ('{"a": 1}\n{"a": "x"}\n', 2, "'x' is text where rows before it have integer"),
        ('{"a": 1.5}\n{"a": 9007199254740993}\n', 2, "does not fit"),
        ('{"a": 99999999999999999999}\n', 1, "does not fit"),
        ('[{"a": 1}, 2]', 2, "not an object"),
        ('[{"a": 1},\n {"a": 2}', 2, "the file is cut short"),
        ('[{"a": 1} {"a": 2}]', 1, "'{' follows"),
        ('[{"a": 1}, {"a"', 2, "is no JSON"),
        ('[{"a": 1},]', 2, "is no JSON"),
        ('[{"a": 1}] x', None, "more after the end of its list"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", 1, "nested too deeply"),
        ("[ ]", None, "no object"),
        ('{"": 1}', None, "no column has a name"),
        ('{"": 1, "a": 2}', None, "a key is empty"),
    ],
)
async def test_a_bad_file_names_its_place(tmp_path: Path, text: str, line: int | None, says: str) -> None:
    error = await refused(put(tmp_path, "a.json", text))
    assert error.line == line
    assert says in str(error)


async def test_a_value_of_another_type_is_named(tmp_path: Path) -> None:
    error = await refused(put(tmp_path, "a.json", '[{"a": 1}, {"a": 1.5}]'), schema={"a": pl.Int64})
    assert (error.line, error.column, error.value) == (2, "a", "1.5")
    assert "item 2, column 'a'" in str(error)


async def test_bad_lines_can_be_put_aside(tmp_path: Path) -> None:
    bad: list[data.BadRow] = []
    text = '{"a": 1}\n{"a": 2\n{"a": 3}\n[4]\n{"a": "x"} y\n{"a": 6}\n'
    frame = await data.read(put(tmp_path, "a.ndjson", text), bad=bad, line="line")
    assert frame.rows() == [(1, 1), (3, 3), (6, 6)]
    assert [row.line for row in bad] == [2, 4, 5]


@pytest.mark.parametrize("block", [5, 33])
@pytest.mark.parametrize("form", ["lines", "list"])
async def test_batches(tmp_path: Path, block: int, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK", block)
    rows = [{"n": n, "t": "é\n" * (n % 4), "x": None if n < 6 else n / 2} for n in range(20)]
    lines = [json.dumps(row, ensure_ascii=n % 2 == 0) for n, row in enumerate(rows)]
    text = "\n".join(lines) if form == "lines" else f"[{', '.join(lines)}]"
    path = put(tmp_path, "a.json", text)
    frames = await batches(path, rows=6, schema={"x": pl.Float64})
    assert [frame.height for frame in frames] == [6, 6, 6, 2]
    assert pl.concat(frames).rows(named=True) == rows


async def test_a_column_that_begins_later_is_not_lost(tmp_path: Path) -> None:
    path = put(tmp_path, "a.json", '{"a": 1}\n{"a": 2}\n{"a": 3, "b": 4}\n')
    with pytest.raises(ps.InvalidData, match="line 3, column 'b': is in none of the rows"):
        await batches(path, rows=2)
    assert (await data.read(path)).columns == ["a", "b"]


async def test_batches_keep_their_types(tmp_path: Path) -> None:
    path = put(tmp_path, "a.json", '{"a": 1}\n{"a": 2}\n{"a": "x"}\n')
    with pytest.raises(ps.InvalidData, match=r"line 3, column 'a': holds String where rows before it have Int64"):
        await batches(path, rows=2)


async def test_batches_of_a_column_that_begins_with_nulls_have_one_type(tmp_path: Path) -> None:
    path = put(tmp_path, "a.json", '{"a": null, "k": 1}\n{"a": 1, "k": 2}\n')
    with pytest.raises(ps.InvalidData, match=r"line 2, column 'a': .*schema="):
        await batches(path, rows=1)
    frames = await batches(path, rows=1, schema={"a": pl.Int64})
    assert [frame.schema for frame in frames] == [{"a": pl.Int64, "k": pl.Int64}] * 2


SCALARS = st.none() | st.text(max_size=5)
ROWS = st.lists(st.fixed_dictionaries({"a": SCALARS, "b": st.integers(-(2**63), 2**63 - 1)}), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(ROWS, st.sampled_from([None, 1, 2]), st.booleans(), st.booleans(), st.integers(4, 30))
def test_round_trip(rows: list[dict[str, object]], indent: int | None, lines: bool, ascii: bool, block: int) -> None:  # noqa: A002
    if lines:
        text = "\n".join(json.dumps(row, ensure_ascii=ascii) for row in rows)
    else:
        text = json.dumps(rows, ensure_ascii=ascii, indent=indent)
    with tempfile.TemporaryDirectory() as folder, patch.object(decoding, "BLOCK", block):
        path = put(Path(folder), "a.json", text)
        frame = asyncio.run(data.read(path, schema={"a": pl.String}))
    assert frame.rows(named=True) == rows
