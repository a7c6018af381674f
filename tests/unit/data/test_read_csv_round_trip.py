"""What Python's csv writes, in any form and encoding, is read back as it was; fast or row by row, it is the same."""

from __future__ import annotations

import asyncio
import csv
import io
import tempfile
from pathlib import Path
from unittest.mock import patch

import polars as pl
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from penstock import data
from penstock.data.sources import csv_rows, decoding

QUOTING = st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
DELIMITERS = st.sampled_from([",", ";", "\t", "|", ":"])
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
ODD = st.text(alphabet='ab"",;|\t\n\r\'x^ é€\ufeff', max_size=6)
ANY = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
TABLES = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(ODD | ANY, min_size=width, max_size=width), min_size=1, max_size=12)
)


def written(rows: list[list[str]], delimiter: str, quoting: int, end: str) -> str:
    text = io.StringIO(newline="")
    form = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    form.writerow([f"c{at}" for at in range(len(rows[0]))])
    form.writerows(rows)
    return text.getvalue()


def read(content: bytes, **said: object) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(content)
        return asyncio.run(data.read(path, nulls=(), **said))  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(TABLES, st.tuples(DELIMITERS, QUOTING, ENDS), ENCODINGS, st.integers(1, 40))
@example([["x^", "1"]], (",", csv.QUOTE_MINIMAL, "\n"), "utf-8", 9)
def test_round_trip(rows: list[list[str]], form: tuple[str, int, str], encoding: str, block: int) -> None:
    delimiter, quoting, end = form
    breaks = any("\r" in value or "\n" in value for row in rows for value in row)
    assume(not breaks or quoting != csv.QUOTE_MINIMAL)  # the writer quotes only those line ends that are its own
    text = written(rows, delimiter, quoting, end)
    with patch.object(decoding, "BLOCK", block + 4):
        frame = read(text.encode(encoding), delimiter=delimiter, encoding=encoding)
    assert frame.rows() == [tuple(row) for row in rows]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(alphabet='ab",\n\r;', max_size=12), min_size=1, max_size=8))
def test_whatever_stands_there_fast_and_row_by_row_agree(lines: list[str]) -> None:
    content = ("p,q\n" + "\n".join(lines)).encode()
    fast, slow = list[data.BadRow](), list[data.BadRow]()
    quick = read(content, delimiter=",", bad=fast, line="line")
    with patch.object(csv_rows, "whole_rows", return_value=None):
        careful = read(content, delimiter=",", bad=slow, line="line")
    assert quick.equals(careful)
    assert fast == slow


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="abé,;\n", min_size=1, max_size=8), min_size=1, max_size=10))
def test_latin_1_is_seen_without_being_said(names: list[str]) -> None:
    text = written([[name, "x"] for name in names], ",", csv.QUOTE_ALL, "\n")
    assert read(text.encode("cp1252"), delimiter=",")["c0"].to_list() == names
