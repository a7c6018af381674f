"""Files that are packed or not what they are called; bombs, tricks and damage."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

import penstock as ps
from penstock import data
from penstock.data.sources import opening
from tests.unit.data.files import batches, packed, put, refused, zipped
from tests.unit.data.workbooks import workbook

PLAIN = "a,b\n1,2\n"
ROWS = [("1", "2")]


async def test_what_a_file_is_decides_not_its_name(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": ["1"], "b": ["2"]})
    frame.write_parquet(tmp_path / "parquet.csv")
    workbook(tmp_path / "excel.csv", {"S": [["a", "b"], ["1", "2"]]})
    packed(tmp_path, "gzip.csv", PLAIN)
    zipped(tmp_path, "zip.csv", {"x": PLAIN})
    put(tmp_path, "csv.parquet", PLAIN)
    put(tmp_path, "csv.xlsx", PLAIN)
    put(tmp_path, "csv", PLAIN)
    put(tmp_path, "json.txt", '[{"a": "1", "b": "2"}]')
    packed(tmp_path, "x.jsonl.gz", '{"a": "1", "b": "2"}')
    for name in os.listdir(tmp_path):  # noqa: PTH208 - a listing, taken before anything is awaited
        path = tmp_path / name
        assert (await data.read(path)).rows() == ROWS, path


async def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1, None, 3], "b": ["", "y", "z"], "l": [[1], [], None]})
    frame.write_parquet(tmp_path / "a[1]*.parquet", row_group_size=1)
    path = tmp_path / "a[1]*.parquet"
    assert (await data.read(path)).equals(frame)
    assert (await data.read(path, schema={"a": pl.Int8, "b": pl.String}, line="row")).rows()[2] == (3, 3, "z", None)
    assert [part.height for part in await batches(path, rows=2)] == [2, 1]
    assert (await data.read(path, schema="text")).rows()[0] == ("1", "", "[1]")
    zipped(tmp_path, "a.zip", {"a.parquet": path.read_bytes()})
    assert (await data.read(tmp_path / "a.zip")).equals(frame)
    error = await refused(path, schema={"b": pl.Int64})
    assert "row 1, column 'b': '' is no Int64" in str(error)


async def test_parquet_is_never_rounded_to_fit(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1.0, 2.5], "b": [1, 300]}).write_parquet(tmp_path / "a.parquet")
    assert (await refused(tmp_path / "a.parquet", schema={"a": pl.Int64})).value == 2.5
    assert (await refused(tmp_path / "a.parquet", schema={"b": pl.UInt8})).line == 2


async def test_damaged_parquet(tmp_path: Path) -> None:
    pl.DataFrame({"a": list(range(1000))}).write_parquet(tmp_path / "a.parquet")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    assert "fetch it again" in str(await refused(put(tmp_path, "cut.parquet", bytes(content[:-20]))))
    content[len(content) // 4 : len(content) // 2] = b"\xff" * (len(content) // 2 - len(content) // 4)
    assert "fetch it again" in str(await refused(put(tmp_path, "hit.parquet", bytes(content))))


async def test_a_member_of_a_zip(tmp_path: Path) -> None:
    path = zipped(tmp_path, "a.zip", {"x/one.csv": PLAIN, "two.csv": "c\n3\n", "__MACOSX/x": "", ".DS_Store": ""})
    assert (await data.read(path, member="x/one.csv")).rows() == ROWS
    assert "2 files ('x/one.csv', 'two.csv')" in str(await refused(path))
    error = await refused(path, member="x/on.csv")
    assert "did you mean 'x/one.csv'?" in str(error)
    error = await refused(path, member="two.csv", schema={"c": pl.Date})
    assert "a.zip, member 'two.csv', line 2, column 'c'" in str(error)
    assert "no zip" in str(await refused(put(tmp_path, "a.csv", PLAIN), member="x"))
    assert "the zip is empty" in str(await refused(zipped(tmp_path, "b.zip", {})))


async def test_a_packed_member(tmp_path: Path) -> None:
    path = zipped(tmp_path, "a.zip", {"a.csv.gz": gzip.compress(PLAIN.encode())})
    assert (await data.read(path)).rows() == ROWS
    path = zipped(tmp_path, "b.zip", {"a.zip": zipped(tmp_path, "c.zip", {"x": PLAIN}).read_bytes()})
    assert "a zip within a zip" in str(await refused(path))
    path = put(tmp_path, "d.gz", gzip.compress(gzip.compress(PLAIN.encode())))
    assert "packed twice" in str(await refused(path))


@pytest.mark.parametrize("name", ["../a.csv", "/a.csv", "x/../../a.csv", "C:a.csv", "..\\a.csv"])
async def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    assert "leads out of the zip" in str(await refused(zipped(tmp_path, "a.zip", {name: PLAIN})))


async def test_a_link_is_no_file(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a.csv")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert "a link or a device" in str(await refused(tmp_path / "a.zip"))


async def test_two_members_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", PLAIN)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.csv", PLAIN)
    assert "2 members named 'a.csv'" in str(await refused(tmp_path / "a.zip", member="a.csv"))


async def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, "a.zip", {"a.csv": PLAIN, "b.csv": PLAIN})
    content = bytearray(path.read_bytes())
    second = content.rindex(b"PK\x01\x02")
    struct.pack_into("<L", content, second + 42, 0)  # where the second member begins, says the directory
    assert "shares its bytes" in str(await refused(put(tmp_path, "b.zip", bytes(content)), member="b.csv"))


async def test_an_encrypted_member_is_said_to_be_one(tmp_path: Path) -> None:
    content = bytearray(zipped(tmp_path, "a.zip", {"a.csv": PLAIN}).read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    assert "it is encrypted" in str(await refused(put(tmp_path, "b.zip", bytes(content))))


async def test_a_directory_beyond_the_limits_is_not_read(tmp_path: Path) -> None:
    content = bytearray(zipped(tmp_path, "a.zip", {"a.csv": PLAIN}).read_bytes())
    struct.pack_into("<HH", content, content.rindex(b"PK\x05\x06") + 8, 60_000, 60_000)
    assert "more than 10000 members" in str(await refused(put(tmp_path, "b.zip", bytes(content))))


@pytest.mark.parametrize("kind", ["gz", "zip"])
async def test_a_bomb_is_stopped_where_the_limit_is(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"a\n" + b"0" * 1_000_000 + b"\n"
    path = packed(tmp_path, "a.gz", content) if kind == "gz" else zipped(tmp_path, "a.zip", {"a": content})
    assert (await data.read(path)).height == 1
    assert "more than 500000 bytes" in str(await refused(path, limit=500_000))
    monkeypatch.setattr(opening, "_SMALL", 1000)
    assert "as a zip bomb is" in str(await refused(path))
    assert (await data.read(path, limit=2_000_000)).height == 1, "a limit of one's own is the only bound"


async def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped(tmp_path, "a.zip", {"a.csv": "a\n" + "1\n" * 5000}).read_bytes())
    struct.pack_into("<L", content, content.rindex(b"PK\x01\x02") + 24, 100)
    assert "damaged" in str(await refused(put(tmp_path, "b.zip", bytes(content))))


@pytest.mark.parametrize("cut", [1, 9, 40])
async def test_a_truncated_gzip_is_named(tmp_path: Path, cut: int) -> None:
    content = gzip.compress(("a,b\n" + "".join(f"{n},{n * n}\n" for n in range(1000))).encode())
    assert "cut short" in str(await refused(put(tmp_path, "a.csv.gz", content[:-cut])))


async def test_damaged_archives_are_named(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(os.urandom(200).hex().encode()))
    content[30] ^= 0xFF
    assert "fetch it again" in str(await refused(put(tmp_path, "a.csv.gz", bytes(content))))
    content = bytearray(gzip.compress(PLAIN.encode()))
    content[-5] ^= 0xFF
    assert "damaged" in str(await refused(put(tmp_path, "b.csv.gz", bytes(content))))
    path = zipped(tmp_path, "a.zip", {"a.csv": PLAIN})
    assert "no directory" in str(await refused(put(tmp_path, "b.zip", path.read_bytes()[:-30])))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<!DOCTYPE html><html>502</html>", "HTML or XML"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Error/>', "HTML or XML"),
        (b"%PDF-1.7", "a PDF document"),
        (b"BZh9", "a bzip2 file"),
        (b'{"error": "no such report"}', "holds JSON"),
        (b"\n [ ]", "holds JSON"),
    ],
)
async def test_what_is_no_table_is_said_to_be_none(tmp_path: Path, content: bytes, says: str) -> None:
    path = put(tmp_path, "report.csv", content)
    assert says in str(await refused(path))


async def test_a_format_can_be_set(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", '{"a": 1}')
    assert (await data.read(path, format="json")).rows() == [(1,)]
    assert (await data.read(path, format="csv", header=None, names=["line"], quote=None)).rows() == [('{"a": 1}',)]
    assert "is not a Parquet file" in str(await refused(path, format="parquet"))
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    assert "it is a Parquet file, not CSV" in str(await refused(tmp_path / "a.parquet", format="csv"))


async def test_options_that_mean_nothing_for_the_file_are_refused(tmp_path: Path) -> None:
    csv, json = put(tmp_path, "a.csv", PLAIN), put(tmp_path, "a.json", "[{}]")
    assert "leave sheet= out" in str(await refused(csv, sheet="S"))
    assert "leave delimiter= out" in str(await refused(json, delimiter=","))
    assert "leave names= out" in str(await refused(json, names=["a"]))
    assert "give line= another name" in str(await refused(csv, line="a"))


async def test_no_file(tmp_path: Path) -> None:
    assert "no such file" in str(await refused(tmp_path / "a.csv"))
    assert "it is no file" in str(await refused(tmp_path))


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"format": "xml"}, "format='xml' is none of"),
        ({"nulls": "NA"}, r"nulls=\('NA',\)"),
        ({"delimiter": ",,"}, "delimiter="),
        ({"quote": ""}, "quote="),
        ({"sheet": 0}, "the first is sheet=1"),
        ({"header": 0}, "the first is header=1"),
        ({"header": None}, "names="),
        ({"names": ["a", "a"]}, "a name twice"),
        ({"limit": 0}, "limit=0"),
        ({"encoding": "klingon"}, "no encoding that Python knows"),
        ({"encoding": "base64"}, "no encoding that Python knows"),
        ({"encoding": "unicode_escape"}, "for other things than files"),
        ({"schema": {"a": pl.Date}, "formats": {"a": "%H"}}, "reads no Date"),
        ({"schema": {"a": pl.Int8}, "formats": {"a": "%Y"}}, "no date, no time"),
        ({"schema": "guess"}, "neither a mapping"),
        ({"schema": {"a": "Int64"}}, "no polars type"),
        ({"schema": {"a": pl.Duration("us")}}, "leave it out"),
        ({"schema": {"a": pl.Date}, "formats": {"b": "%Y"}}, "'b', which schema= does not"),
        ({"formats": {"b": "%Y"}}, "give schema="),
    ],
)
async def test_wrong_arguments_are_named(tmp_path: Path, said: dict[str, object], says: str) -> None:
    with pytest.raises(ps.DefinitionError, match=says):
        await data.read(put(tmp_path, "a.csv", PLAIN), **said)  # type: ignore[arg-type]


async def test_batches_refuse_what_needs_the_whole(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", PLAIN)
    with pytest.raises(ps.DefinitionError, match="looks at all rows"):
        await batches(path, schema="infer")
    with pytest.raises(ps.DefinitionError, match="rows=0"):
        await batches(path, rows=0)


async def test_a_zip_that_points_outside_of_itself(tmp_path: Path) -> None:
    content = bytearray(zipped(tmp_path, "a.zip", {"a.csv": PLAIN}).read_bytes())
    struct.pack_into("<L", content, content.rindex(b"PK\x05\x06") + 16, 60_000)  # where its directory begins
    assert "damaged" in str(await refused(put(tmp_path, "b.zip", bytes(content))))


async def test_a_zip_larger_than_its_tail(tmp_path: Path) -> None:
    big = io.StringIO()
    big.writelines(f"{n},{n}\n" for n in range(60_000))
    path = zipped(tmp_path, "a.zip", {"a.csv": f"a,b\n{big.getvalue()}"})
    assert (await data.read(path)).height == 60_000


async def test_parquet_of_other_types_is_named(tmp_path: Path) -> None:
    moment = datetime(2024, 1, 2, 3, 4, 5)  # noqa: DTZ001 - the column has no zone
    pl.DataFrame({"t": [moment], "l": [[1]], "f": [0.1], "d": [moment.date()]}).write_parquet(tmp_path / "a.parquet")
    path = tmp_path / "a.parquet"
    assert (await refused(path, schema={"t": pl.Date})).value == moment
    assert (await refused(path, schema={"l": pl.Int64})).column == "l"
    assert (await refused(path, schema={"f": pl.Decimal(9, 0)})).value == 0.1
    frame = await data.read(path, schema={"f": pl.Float32, "d": pl.Datetime("us")})
    assert frame["d"].to_list() == [datetime(2024, 1, 2)]  # noqa: DTZ001


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "it is no file" in str(await refused(tmp_path / "pipe"))
