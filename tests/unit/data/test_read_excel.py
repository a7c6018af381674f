"""Workbooks: the sheet that is meant, the rows as the sheet numbers them."""

from __future__ import annotations

import zipfile
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from penstock import data
from tests.unit.data.files import batches, put, refused, zipped
from tests.unit.data.workbooks import Fault, Rows, workbook

SHEET: Rows = [
    ["title"],
    ["day", "code", "cost", "who", None],
    [date(2024, 12, 23), "007", 0.1, "x"],
    [],
    [date(2024, 12, 24), "8", 2, ""],
]


async def test_cells_have_their_own_types(tmp_path: Path) -> None:
    frame = await data.read(workbook(tmp_path / "a.xlsx", {"S": SHEET}), header=2, line="row")
    assert frame.rows() == [
        (3, datetime(2024, 12, 23), "007", 0.1, "x"),  # noqa: DTZ001 - cells have no zone
        (5, datetime(2024, 12, 24), "8", 2.0, ""),  # noqa: DTZ001
    ]


async def test_rows_keep_their_numbers_wherever_the_sheet_begins(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"S": SHEET}, at=(4, 3))
    frame = await data.read(path, header=5, schema={"day": pl.Date, "cost": pl.Decimal(9, 2)}, line="row")
    assert frame["row"].to_list() == [6, 8]
    assert frame["day"].to_list() == [date(2024, 12, 23), date(2024, 12, 24)]
    assert [str(cost) for cost in frame["cost"]] == ["0.10", "2.00"]


async def test_all_as_text(tmp_path: Path) -> None:
    rows: Rows = [["d", "t", "n", "b"], [date(2024, 1, 2), datetime(2024, 1, 2, 3, 4, 5), 40, True]]  # noqa: DTZ001 - cells have no zone
    frame = await data.read(workbook(tmp_path / "a.xlsx", {"S": rows}), schema="text")
    assert frame.rows() == [("2024-01-02 00:00:00", "2024-01-02 03:04:05", "40", "true")]


async def test_a_sheet_by_name_or_number(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"First": [["a"], [1]], "Second": [["b"], [2]]})
    assert (await data.read(path, sheet="Second")).columns == ["b"]
    assert (await data.read(path, sheet=1)).columns == ["a"]
    error = await refused(path)
    assert "2 sheets ('First', 'Second')" in str(error)
    assert "did you mean 'Second'?" in str(await refused(path, sheet="Secnd"))
    assert "no sheet 3" in str(await refused(path, sheet=3))


async def test_batches(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"S": [["n"], *([n] for n in range(10))]})
    frames = await batches(path, rows=4)
    assert [frame.height for frame in frames] == [4, 4, 2]
    assert pl.concat(frames)["n"].to_list() == list(range(10))


async def test_a_wrong_value_names_sheet_row_and_column(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"S": [["n", "m"], [1, 2], ["x", 3]]})
    error = await refused(path, schema={"n": pl.Int64})
    assert "sheet 'S', row 3, column 'n': 'x' is no Int64" in str(error)
    bad: list[data.BadRow] = []
    assert (await data.read(path, schema={"n": pl.Int64}, bad=bad)).rows() == [(1, 2.0)]
    assert [(row.line, row.column) for row in bad] == [(3, "n")]


@pytest.mark.parametrize("schema", [None, "text", {"n": pl.Int64}])
async def test_an_error_in_a_cell_is_no_empty_cell(tmp_path: Path, schema: object) -> None:
    rows: Rows = [["n", "m"], [1, 2], [3, None], [Fault("#DIV/0!"), 4]]
    path = workbook(tmp_path / "a.xlsx", {"Other": [["x"]], "S & T": rows})
    error = await refused(path, sheet=2, schema=schema)
    assert (error.line, error.column, error.value) == (4, "n", "#DIV/0!")
    bad: list[data.BadRow] = []
    frame = await data.read(path, sheet=2, schema=schema, bad=bad, line="row")
    assert frame["row"].to_list() == [2, 3]
    assert [(row.line, row.column) for row in bad] == [(4, "n")]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "the sheet is empty"),
        ([["a", "a"], [1, 2]], "'a' is in columns 1 and 2"),
        ([[None, None], [1, 2]], "no column has a name"),
        ([["a", None], [1, 2]], "column without a name"),
    ],
)
async def test_a_bad_sheet_is_named(tmp_path: Path, rows: Rows, says: str) -> None:
    error = await refused(workbook(tmp_path / "a.xlsx", {"S": rows}))
    assert says in str(error)
    assert "sheet 'S'" in str(error)


async def test_a_header_beyond_the_end(tmp_path: Path) -> None:
    assert "correct header=" in str(await refused(workbook(tmp_path / "a.xlsx", {"S": [["a"]]}), header=7))


async def test_names_for_a_sheet_without_a_header(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"S": [[1, 2], [3, 4]]})
    assert (await data.read(path, header=None, names=["a", "b"])).rows() == [(1.0, 2.0), (3.0, 4.0)]
    assert "correct names=" in str(await refused(path, header=None, names=["a"]))


async def test_a_damaged_workbook(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"S": [["a"], *([n] for n in range(2000))]})
    content = bytearray(path.read_bytes())
    middle = content.index(b"xl/worksheets/sheet1.xml") + 200
    content[middle : middle + 40] = b"\xff" * 40
    assert "fetch it again" in str(await refused(put(tmp_path, "b.xlsx", bytes(content))))
    assert "fetch it again" in str(await refused(put(tmp_path, "c.xlsx", path.read_bytes()[:-80])))
    assert "not a readable workbook" in str(await refused(put(tmp_path, "d.xls", b"\xd0\xcf\x11\xe0" + b"x" * 600)))


async def test_a_workbook_that_unpacks_beyond_the_limit(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"S": [["a"], *(["x" * 1000] for _ in range(100))]})
    assert "raise limit=" in str(await refused(path, limit=10_000))


async def test_a_workbook_in_a_zip_is_refused(tmp_path: Path) -> None:
    inner = workbook(tmp_path / "a.xlsx", {"S": [["a"]]})
    assert "a workbook in one" in str(await refused(zipped(tmp_path, "z.zip", {"a.xlsx": inner.read_bytes()})))


async def test_a_workbook_without_its_parts(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<nonsense")
    assert "not a readable workbook" in str(await refused(tmp_path / "a.xlsx"))
