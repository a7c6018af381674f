"""Files with some of their bytes changed: they are read or refused by name, and nothing else ever comes of them."""

from __future__ import annotations

import asyncio
import gzip
import tempfile
from pathlib import Path
from typing import Any, Final

import polars as pl
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import penstock as ps
from penstock import data
from tests.unit.data.files import batches, put, zipped
from tests.unit.data.workbooks import Cell, Rows, workbook

CSV: Final = "a,b,c\n" + "".join(f'{n},"x ""{n}"", é",2024-01-0{n % 9 + 1}\r\n' for n in range(20))
LINES: Final = "\n".join(f'{{"a": {n}, "b": "x", "c": [1, {{"d": null}}]}}' for n in range(20))
LIST: Final = f"[\n{LINES.replace(chr(10), ',')}]"


def sources() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows: list[list[Cell]] = [[n, "x", 1.5] for n in range(20)]
        cells: Rows = [["a", "b", "c"], *rows]
        book = workbook(folder / "a.xlsx", {"S": cells}).read_bytes()
        packed = gzip.compress(CSV.encode())
        zips = [zipped(folder, "a.zip", {"a.csv": content}).read_bytes() for content in (CSV, packed)]
    return [CSV.encode(), CSV.encode("utf-16"), LINES.encode(), LIST.encode(), packed, *zips, book]


SOURCES: Final = sources()
OPTIONS: Final[list[dict[str, Any]]] = [
    {},
    {"schema": "text", "line": "l"},
    {"schema": "infer"},
    {"schema": {"a": pl.Int64, "c": pl.List(pl.Int64)}},
    {"schema": {"a": pl.Float64, "c": pl.Date}},
]
CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 30), st.binary(max_size=6)), max_size=4)


def changed(content: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """Some bytes at some places, given as parts of the length, exchanged for others."""
    for place, taken, put_in in changes:
        at = int(place * len(content))
        content = content[:at] + put_in + content[at + taken :]
    return content


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SOURCES), CHANGES, st.sampled_from(OPTIONS), st.booleans(), st.booleans())
@example(SOURCES[0], [(0.5, 0, b'"')], OPTIONS[0], True, True)
@example(SOURCES[0], [(0.5, 1, b"\0")], OPTIONS[0], False, True)
def test_damage(
    source: bytes, changes: list[tuple[float, int, bytes]], said: dict[str, Any], whole: bool, aside: bool
) -> None:
    bad: list[data.BadRow] | None = [] if aside else None
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder), "damaged", changed(source, changes))
        try:
            if whole or said.get("schema") == "infer":
                asyncio.run(data.read(path, bad=bad, **said))
            else:
                pl.concat(asyncio.run(batches(path, rows=7, bad=bad, **said)))
        except ps.InvalidData as error:
            assert str(error).startswith(str(path))  # noqa: PT017 - that it may be read as well is not an error
