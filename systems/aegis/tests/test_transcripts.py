"""Reading and checking transcripts: each reason, each way out of a folder, and the real files."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from aegis.institutions import load_institutions
from aegis.samples import sample_call
from aegis.transcripts import Inspection, Reason, SourceError, inspect, read_source
from aegis.transcripts import source as source_module
from aegis.transcripts.companies import companies

BANKS = load_institutions()
KNOWN = {symbol: bank.name for symbol, bank in BANKS.items()}


def call(symbol: str = "RY", year: int = 2025, quarter: str = "Q2") -> bytes:
    return sample_call(BANKS[symbol], year, quarter).encode()


def inspected(folder: Path, files: dict[str, bytes]) -> Inspection:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return inspect(read_source(folder), KNOWN)


def test_a_good_file_is_accepted_without_flags(tmp_path: Path) -> None:
    result = inspected(tmp_path, {"sub/RY_2025_Q2.txt": call(), ".DS_Store": b"x", "notes.md": b"x"})
    (transcript,) = result.accepted
    assert (transcript.ticker, transcript.fiscal_year, transcript.quarter, transcript.flags) == ("RY", 2025, "Q2", ())
    assert transcript.text.encode() == call()
    assert transcript.name == "RY_2025_Q2.txt"
    assert result.ignored == 2
    assert result.rejected == []


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("RY-2025-Q2.txt", b"x", Reason.UNKNOWN_NAME),
        ("RY_2025_Q5.txt", b"x", Reason.UNKNOWN_NAME),
        ("XYZ_2025_Q2.txt", b"x", Reason.UNKNOWN_BANK),
        ("RY_2025_Q2.txt", b"caf\xe9", Reason.BAD_ENCODING),
        ("RY_2025_Q2.txt", b"a\0b", Reason.BAD_ENCODING),
        ("RY_2025_Q2.txt", b" \n", Reason.EMPTY),
        ("RY_2025_Q2.txt", b"", Reason.EMPTY),
        ("RY_2025_Q2.txt", call("GS"), Reason.OTHER_COMPANY),
        ("RY_2025_Q2.txt", b"Welcome to the Acme Widgets second quarter 2025 results call. " * 3, Reason.OTHER_COMPANY),
    ],
)
def test_each_reason_for_rejection(tmp_path: Path, name: str, data: bytes, reason: Reason) -> None:
    result = inspected(tmp_path, {name: data, "BMO_2025_Q2.txt": call("BMO")})
    assert [(rejection.name, rejection.reason) for rejection in result.rejected] == [(name, reason)]
    assert result.rejected[0].detail.endswith(".")
    assert [transcript.ticker for transcript in result.accepted] == ["BMO"]


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (transcript,) = inspected(tmp_path, {"RY_2025_Q2.txt": b"\xef\xbb\xbf" + call()}).accepted
    assert transcript.text.startswith("Good morning")


def test_a_file_over_the_limit_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "FILE_LIMIT", 1_000)
    result = inspected(tmp_path, {"RY_2025_Q2.txt": call()})
    assert [rejection.reason for rejection in result.rejected] == [Reason.TOO_LARGE]


def test_of_two_banks_with_the_same_bytes_the_one_that_the_text_names_is_kept(tmp_path: Path) -> None:
    result = inspected(tmp_path, {"BMO_2025_Q2.txt": call("GS"), "GS_2025_Q2.txt": call("GS")})
    assert [transcript.name for transcript in result.accepted] == ["GS_2025_Q2.txt"]
    assert [(one.name, one.reason) for one in result.rejected] == [("BMO_2025_Q2.txt", Reason.DUPLICATE_OF)]


def test_the_same_bytes_for_two_quarters_of_a_bank_are_flagged(tmp_path: Path) -> None:
    result = inspected(tmp_path, {"GS_2025_Q1.txt": call("GS"), "GS_2025_Q2.txt": call("GS")})
    flags = {one.name: [flag.reason for flag in one.flags] for one in result.accepted}
    assert flags == {
        "GS_2025_Q1.txt": [Reason.DUPLICATE_OF, Reason.OTHER_PERIOD],
        "GS_2025_Q2.txt": [Reason.DUPLICATE_OF],
    }
    assert [one.quarter for one in result.accepted] == ["Q1", "Q2"]


def test_a_file_is_filed_under_the_period_that_its_text_names(tmp_path: Path) -> None:
    (transcript,) = inspected(tmp_path, {"GS_2025_Q2.txt": call("GS", 2025, "Q1")}).accepted
    assert (transcript.fiscal_year, transcript.quarter) == (2025, "Q1")
    assert [flag.reason for flag in transcript.flags] == [Reason.OTHER_PERIOD]
    assert "2025 Q1" in (transcript.notice or "")


def test_a_period_held_by_an_earlier_file_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "GS_2025_Q2.txt").write_bytes(call("GS", 2025, "Q1"))
    result = inspect(read_source(tmp_path), KNOWN, {("GS", 2025, "Q1"): "GS_2025_Q1.txt"})
    assert result.accepted[0].quarter == "Q2"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (call().decode()[2_000:], "starts in the middle"),
        (call().decode()[:-1_500], "ends before"),
        (call().decode()[:5_000], "no questions"),
        (call().decode()[:5_000], "only"),
    ],
)
def test_a_cut_file_is_flagged_with_what_is_missing(tmp_path: Path, text: str, says: str) -> None:
    (transcript,) = inspected(tmp_path, {"RY_2025_Q2.txt": text.encode()}).accepted
    assert [flag.reason for flag in transcript.flags] == [Reason.CUT]
    assert says in (transcript.notice or "")


@pytest.mark.parametrize(
    "name",
    ["/etc/RY_2025_Q2.txt", "../RY_2025_Q2.txt", "a/../../RY_2025_Q2.txt", "..\\RY_2025_Q2.txt", "C:RY_2025_Q2.txt"],
)
def test_a_zip_entry_that_leads_out_is_rejected(tmp_path: Path, name: str) -> None:
    path = tmp_path / "calls.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, call())
        archive.writestr("nested/BMO_2025_Q2.txt", call("BMO"))
        archive.writestr("__MACOSX/BMO_2025_Q2.txt", b"x")
    result = inspect(read_source(path), KNOWN)
    assert [rejection.reason for rejection in result.rejected] == [Reason.ESCAPES_FOLDER]
    assert [transcript.ticker for transcript in result.accepted] == ["BMO"]
    assert result.ignored == 1


def test_a_zip_entry_that_is_a_link_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "calls.zip"
    info = zipfile.ZipInfo("RY_2025_Q2.txt")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert [one.reason for one in inspect(read_source(path), KNOWN).rejected] == [Reason.ESCAPES_FOLDER]


def test_a_link_out_of_a_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_bytes(call())
    folder = tmp_path / "calls"
    folder.mkdir()
    (folder / "RY_2025_Q2.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "BMO_2025_Q2.txt").symlink_to(folder / "none.txt")
    reasons = {one.name: one.reason for one in inspect(read_source(folder), KNOWN).rejected}
    assert reasons == {"RY_2025_Q2.txt": Reason.ESCAPES_FOLDER, "BMO_2025_Q2.txt": Reason.UNREADABLE}


def test_a_zip_bomb_is_read_up_to_the_limit_only(tmp_path: Path) -> None:
    path = tmp_path / "calls.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("RY_2025_Q2.txt", b" " * 40_000_000)
        archive.writestr("BMO_2025_Q2.txt", call("BMO"))
    result = inspect(read_source(path), KNOWN)
    assert [one.reason for one in result.rejected] == [Reason.TOO_LARGE]
    assert len(result.accepted) == 1


def test_a_header_that_lies_about_the_size_costs_only_its_file(tmp_path: Path) -> None:
    path = tmp_path / "calls.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("RY_2025_Q2.txt", call())
        archive.writestr("BMO_2025_Q2.txt", call("BMO"))
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02")  # the first entry of the central directory, by name BMO or RY as written
    raw[entry + 24 : entry + 28] = (100).to_bytes(4, "little")
    path.write_bytes(bytes(raw))
    result = inspect(read_source(path), KNOWN)
    assert [one.reason for one in result.rejected] == [Reason.UNREADABLE]
    assert [one.ticker for one in result.accepted] == ["BMO"]


@pytest.mark.parametrize("content", [None, b"no zip"])
def test_a_source_that_cannot_be_read_says_so(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "calls.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=r"calls\.zip"):
        list(read_source(path))


def test_the_real_files_end_as_reading_them_says(real_transcripts: Path) -> None:
    known = {ticker: company.name for ticker, company in companies().items()}
    result = inspect(read_source(real_transcripts), known)
    assert {one.name: one.reason for one in result.rejected} == {
        "FITB_2024_Q3.txt": Reason.OTHER_COMPANY,  # Procter & Gamble
        "NTRS_2024_Q4.txt": Reason.OTHER_COMPANY,  # Fulton Financial
        "PNC_2025_Q2.txt": Reason.DUPLICATE_OF,  # Goldman Sachs
    }
    flags = {one.name.removesuffix(".txt"): {flag.reason for flag in one.flags} for one in result.accepted if one.flags}
    cut = [
        "BAC_2024_Q2",
        "BAC_2024_Q4",
        "C_2024_Q2",
        "GS_2024_Q2",
        "MS_2024_Q2",
        "STT_2024_Q1",
        "STT_2024_Q4",
        "STT_2025_Q1",
        "WFC_2024_Q1",
    ]
    assert flags == {**{name: {Reason.CUT} for name in cut}, "JPM_2025_Q1": {Reason.OTHER_PERIOD}}
    assert len(result.accepted) == 128
