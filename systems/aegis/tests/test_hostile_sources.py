"""Folders and zips made to do harm: what is bad is refused by its name, what is good is ingested, or nothing at all."""

from __future__ import annotations

import copy
import os
import stat
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aegis.ingest import create_tables, ingest
from aegis.institutions import load_institutions
from aegis.samples import sample_call
from aegis.transcripts import Inspection, Reason, SourceError, inspect, read_source
from aegis.transcripts import source as source_module
from aegis.transcripts.source import FILE_LIMIT, NAME_LIMIT
from systems.aegis.tests.commands import Commands
from systems.aegis.tests.layouts import ODD, data

BANKS = load_institutions()
KNOWN = {symbol: bank.name for symbol, bank in BANKS.items()}
GOOD = sample_call(BANKS["BMO"], 2025, "Q2").encode()
RTL = "\u202e"
WIDE = "\uff12\uff10\uff12\uff15"
CYRILLIC_Y = "\u04ae"


def zipped(path: Path, entries: dict[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return path


def entry(name: str, kind: int = stat.S_IFREG) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o644) << 16
    return info


def patched(path: Path, find: bytes, offset: int, value: bytes) -> None:
    raw = bytearray(path.read_bytes())
    at = raw.index(find) + offset
    raw[at : at + len(value)] = value
    path.write_bytes(bytes(raw))


def only_the_good_one(result: Inspection) -> list[tuple[str, Reason]]:
    """The rejections, once it is sure that the good file was read beside them."""
    assert [one.ticker for one in result.accepted] == ["BMO"]
    for one in result.rejected:
        assert len(one.name) <= NAME_LIMIT + 1
        assert (one.name + one.detail).isprintable()
        assert one.name in one.detail
    return [(one.name, one.reason) for one in result.rejected]


@pytest.mark.parametrize(
    ("name", "shown", "reason"),
    [
        ("../RY_2025_Q2.txt", "../RY_2025_Q2.txt", Reason.ESCAPES_FOLDER),
        ("/etc/RY_2025_Q2.txt", "/etc/RY_2025_Q2.txt", Reason.ESCAPES_FOLDER),
        ("x/..\\..\\RY_2025_Q2.txt", "x/../../RY_2025_Q2.txt", Reason.ESCAPES_FOLDER),
        ("\\\\host\\share\\RY_2025_Q2.txt", "//host/share/RY_2025_Q2.txt", Reason.ESCAPES_FOLDER),
        ("C:\\RY_2025_Q2.txt", "C:/RY_2025_Q2.txt", Reason.ESCAPES_FOLDER),
        (f"RY_2025_Q2{RTL}.txt", "RY_2025_Q2\\u202e.txt", Reason.UNKNOWN_NAME),
        ("RY_2025_Q2\n\x1b[31m.txt", "RY_2025_Q2\\n\\x1b[31m.txt", Reason.UNKNOWN_NAME),
        ("RY\u200b_2025_Q2.txt", "RY\\u200b_2025_Q2.txt", Reason.UNKNOWN_NAME),
        (f"RY_{WIDE}_Q2.txt", f"RY_{WIDE}_Q2.txt", Reason.UNKNOWN_NAME),
        ("RY_2025_Q٢.txt", "RY_2025_Q٢.txt", Reason.UNKNOWN_NAME),
        (f"R{CYRILLIC_Y}_2025_Q2.txt", f"R{CYRILLIC_Y}_2025_Q2.txt", Reason.UNKNOWN_NAME),
        ("RY_2025_Q2.TXT", "RY_2025_Q2.TXT", Reason.UNKNOWN_NAME),
        ("%2e%2e%2fRY_2025_Q2.txt", "%2e%2e%2fRY_2025_Q2.txt", Reason.UNKNOWN_NAME),
    ],
)
def test_a_hostile_name_in_a_zip_is_refused(tmp_path: Path, name: str, shown: str, reason: Reason) -> None:
    path = zipped(tmp_path / "calls.zip", {name: b"x", "BMO_2025_Q2.txt": GOOD})
    (refused,) = only_the_good_one(inspect(read_source(path), KNOWN))
    # What only has a wrong form is shown without its folders.
    assert refused == (shown, reason)


def test_a_name_that_hides_its_end_behind_a_nul_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "calls.zip", {"RY_2025_Q2.txtX.exe": b"x", "BMO_2025_Q2.txt": GOOD})
    path.write_bytes(path.read_bytes().replace(b"txtX.exe", b"txt\0.exe"))
    result = inspect(read_source(path), KNOWN)
    assert only_the_good_one(result) == [("RY_2025_Q2.txt\\x00.exe", Reason.ESCAPES_FOLDER)]


@pytest.mark.parametrize("length", [300, 60_000])
def test_a_name_of_any_length_is_refused_in_a_few_words(tmp_path: Path, length: int) -> None:
    path = zipped(tmp_path / "calls.zip", {"R" * length + "_2025_Q2.txt": b"x", "BMO_2025_Q2.txt": GOOD})
    ((name, reason),) = only_the_good_one(inspect(read_source(path), KNOWN))
    assert (name[:3], name[-8:], reason) == ("RRR", "5_Q2.txt", Reason.UNKNOWN_NAME)


def test_folders_of_another_system_are_folders(tmp_path: Path) -> None:
    path = zipped(tmp_path / "calls.zip", {"calls\\2025\\BMO_2025_Q2.txt": GOOD})
    assert only_the_good_one(inspect(read_source(path), KNOWN)) == []


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    path = zipped(tmp_path / "a.zip", {entry("RY_2025_Q2.txt", kind): b"/etc/passwd", entry("BMO_2025_Q2.txt"): GOOD})
    assert only_the_good_one(inspect(read_source(path), KNOWN)) == [("RY_2025_Q2.txt", Reason.ESCAPES_FOLDER)]


def test_a_file_packed_beyond_belief_is_not_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "calls.zip", {"RY_2025_Q2.txt": b" " * (FILE_LIMIT // 2), "BMO_2025_Q2.txt": GOOD})
    result = inspect(read_source(path), KNOWN)
    assert only_the_good_one(result) == [("RY_2025_Q2.txt", Reason.TOO_LARGE)]
    assert "more than 100 to 1" in result.rejected[0].detail


def test_entries_that_share_their_bytes_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "calls.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("BMO_2025_Q2.txt", GOOD)
        archive.writestr("RY_2025_Q2.txt", sample_call(BANKS["RY"], 2025, "Q2"))
        for year in range(1990, 2020):
            twin = copy.copy(archive.getinfo("RY_2025_Q2.txt"))
            twin.filename = twin.orig_filename = f"RY_{year}_Q2.txt"
            archive.filelist.append(twin)
    result = inspect(read_source(path), KNOWN)
    refused = only_the_good_one(result)
    assert {reason for _, reason in refused} == {Reason.UNREADABLE}
    assert len(refused) == 31
    assert all("shares its bytes" in one.detail for one in result.rejected)


@pytest.mark.parametrize(
    ("offset", "value", "says"),
    [
        (8, b"\x01\x00", "encrypted"),
        (10, b"\x63\x00", "compression"),
        (16, b"\0\0\0\0", "CRC"),
        (42, b"\xff\xff\xff\x00", "unpacked"),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_unpacked_is_refused(tmp_path: Path, offset: int, value: bytes, says: str) -> None:
    path = zipped(tmp_path / "calls.zip", {"RY_2025_Q2.txt": b"x" * 100, "BMO_2025_Q2.txt": GOOD})
    patched(path, b"PK\x01\x02", offset, value)  # the directory's first entry
    result = inspect(read_source(path), KNOWN)
    assert only_the_good_one(result) == [("RY_2025_Q2.txt", Reason.UNREADABLE)]
    assert says in result.rejected[0].detail


def change_nothing(_: Path) -> None:
    pass


def lie_about_the_count(path: Path) -> None:
    patched(path, b"PK\x05\x06", 8, struct.pack("<2H", 1, 1))


def say_64_bits(path: Path) -> None:
    raw = path.read_bytes()
    at = raw.rindex(b"PK\x05\x06")
    path.write_bytes(raw[:at] + b"PK\x06\x07" + b"\0" * 16 + raw[at:])


def never(*_: object) -> None:
    pytest.fail("the directory was read")


@pytest.mark.parametrize("change", [change_nothing, lie_about_the_count, say_64_bits])
def test_a_huge_directory_is_refused_before_it_is_read(
    tmp_path: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "calls.zip", {f"RY_{year}_Q2{'x' * 60}.txt": b"x" for year in range(1900, 1940)})
    change(path)
    monkeypatch.setattr(source_module, "COUNT_LIMIT", 5)
    monkeypatch.setattr(zipfile, "ZipFile", never)
    with pytest.raises(SourceError, match=r"calls\.zip: more than 5 entries"):
        list(read_source(path))


def test_a_zip_whose_names_are_no_text_is_refused_as_a_whole(tmp_path: Path) -> None:
    path = zipped(tmp_path / "calls.zip", {"é_2025_Q2.txt": b"x"})
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xff"))
    with pytest.raises(SourceError, match=r"calls\.zip: not a readable zip"):
        list(read_source(path))


def test_names_and_kinds_of_a_folder_are_taken_as_they_come(tmp_path: Path) -> None:
    (tmp_path / "BMO_2025_Q2.txt").write_bytes(GOOD)
    (tmp_path / f"RY_2025{RTL}_Q2.txt").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/RY_\xff_Q2.txt")).write_bytes(b"x")
    os.mkfifo(tmp_path / "RY_2024_Q2.txt")  # reading it would never end
    (tmp_path / "TD_2025_Q2.txt").symlink_to(tmp_path / "TD_2025_Q2.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    result = inspect(read_source(tmp_path), KNOWN)
    assert only_the_good_one(result) == [
        ("RY_2025\\u202e_Q2.txt", Reason.UNKNOWN_NAME),
        ("RY_\\udcff_Q2.txt", Reason.UNKNOWN_NAME),
        ("TD_2025_Q2.txt", Reason.UNREADABLE),
    ]
    assert result.ignored == 1


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "BMO_2025_Q2.txt").write_bytes(GOOD)
    scandir: Any = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = inspect(read_source(tmp_path), KNOWN)
    assert only_the_good_one(result) == [("closed", Reason.UNREADABLE)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp1252", "cp037"])
@pytest.mark.parametrize("text", [GOOD.decode() + "é", data(ODD).decode()])
def test_another_encoding_is_refused_by_name(tmp_path: Path, encoding: str, text: str) -> None:
    (tmp_path / "RY_2025_Q2.txt").write_bytes(text.encode(encoding))
    (tmp_path / "BMO_2025_Q2.txt").write_bytes(GOOD)
    result = inspect(read_source(tmp_path), KNOWN)
    assert only_the_good_one(result) == [("RY_2025_Q2.txt", Reason.BAD_ENCODING)]


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        ("A", Reason.NO_TRANSCRIPT),
        ("中", Reason.NO_TRANSCRIPT),
        ("A" * 399 + " ", None),
        ("John Smith with Citi please go ahead ", None),
        ("we'll take our next question from ", None),
        ('{"a":', Reason.BAD_JSON),
        ('{"q_and_a":[{"speaker":"A', Reason.BAD_JSON),
    ],
)
def test_one_giant_line_ends_in_time(tmp_path: Path, piece: str, reason: Reason | None) -> None:
    """The real files' checks are linear in their length: nothing makes them hang."""
    length = FILE_LIMIT // len(piece.encode()) // 2
    (tmp_path / "RY_2025_Q2.txt").write_text(piece * length)
    (tmp_path / "BMO_2025_Q2.txt").write_bytes(GOOD)
    began = time.monotonic()
    result = inspect(read_source(tmp_path), KNOWN)
    assert time.monotonic() - began < 30
    assert [one.reason for one in result.rejected] == ([reason] if reason else [])
    assert "BMO" in {one.ticker for one in result.accepted}


def test_many_speakers_of_one_file_end_in_time(tmp_path: Path) -> None:
    names = [
        f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)} Smith{chr(97 + n % 25)}" for n in range(3_000)
    ]
    content = {
        "participants": [f"{name}--Stifel -- Analyst" for name in names[:500]],
        "prepared_remarks": [{"speaker": name, "speech": "We grew."} for name in names],
        "q_and_a": [
            {"speaker": "Operator", "speech": f"Our next question comes from {name.title()} with Stifel."}
            for name in names
        ],
    }
    (tmp_path / "RY_2025_Q2.txt").write_bytes(data(content))
    began = time.monotonic()
    (transcript,) = inspect(read_source(tmp_path), KNOWN).accepted
    assert time.monotonic() - began < 30
    assert len(transcript.speeches) == 6_000


@pytest.mark.asyncio
async def test_all_of_it_at_once_is_kept_in_the_database_as_told(database_url: str, tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "calls.zip",
        {
            "../RY_2025_Q2.txt": b"x",
            "R" * 60_000 + ".txt": b"x",
            "R" * 59_000 + ".txt": b"x",
            f"RY_2025_Q1{RTL}.txt": b"x",
            "RY_2024_Q1.txt": b"\xff\xfe\0",
            "RY_2024_Q2.txt": b" " * 500_000,
            "RY_2024_Q3.txt": b'{"q_and_a": [{"speech": "\\ud800 \\u0000"}]}',
            "RY_2024_Q4.txt": b'{"q_and_a": [',
            "BMO_2025_Q2.txt": GOOD,
            "RY_q2_2025.txt": data(ODD),
        },
    )
    async with await psycopg.AsyncConnection.connect(database_url) as conn:
        await create_tables(conn)
        first = await ingest(conn, path, BANKS)
        await conn.commit()
        second = await ingest(conn, path, BANKS)
        cursor = await conn.execute("select reason from aegis_rejected_files order by 1")
        reasons = [str(row[0]) for row in await cursor.fetchall()]
    assert (first.new, second.unchanged) == (2, 2)
    assert first.reasons == {
        "bad_encoding": 2,
        "bad_json": 1,
        "escapes_folder": 1,
        "too_large": 1,
        "unknown_name": 3,
    }
    assert len(reasons) == 7  # the two long names are shown alike


@pytest.mark.asyncio
async def test_of_a_source_that_is_refused_nothing_is_kept(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: dict[str | zipfile.ZipInfo, bytes] = {
        f"{symbol}_2025_Q2.txt": sample_call(bank, 2025, "Q2").encode() for symbol, bank in BANKS.items()
    }
    path = zipped(tmp_path / "calls.zip", files)
    monkeypatch.setattr(source_module, "SOURCE_LIMIT", 5 * len(GOOD))
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as conn:
        await create_tables(conn)
        with pytest.raises(SourceError, match=r"calls\.zip: more than .* bytes"):
            await ingest(conn, path, BANKS)
        for table in (b"aegis_transcripts", b"aegis_rejected_files", b"aegis_data_availability"):
            cursor = await conn.execute(b"select count(*) from " + table)
            assert await cursor.fetchone() == (0,)


def test_the_command_says_it_in_one_line(database_url: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "calls.zip", {"RY_2025_Q2.txt": b"x"})
    say_64_bits(path)
    done = Commands(database_url, tmp_path).module("aegis.ingest", str(path))
    assert done.code == 1
    assert done.err == ""
    (line,) = [line for line in done.lines if line.startswith("[ERROR]")]
    assert "calls.zip: more than 20000 entries" in line
