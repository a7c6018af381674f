"""monitored_institutions.yaml as an enemy or a tired person would write it, and names that would rule a terminal."""

from __future__ import annotations

import io
import logging
import sys
import time
from pathlib import Path

import pytest
import yaml

from aegis import console
from aegis.institutions import InstitutionsError, load_institutions
from aegis.settings import load_settings

GOOD = b'RY-CA: {id: 1, name: "Royal Bank", type: "Canadian_Banks"}\n'
LAUGHS = b"a: &a [x,x]\n" + b"".join(
    b"%s: &%s [%s]\n" % (new, new, b",".join([b"*" + old] * 10))
    for old, new in zip([b"a", b"b", b"c"], [b"b", b"c", b"d"], strict=True)
)
BAD = {
    "nested": (GOOD + b"TD-CA: " + b"[" * 50_000, 2, "nested more than 16 deep"),
    "billion laughs": (LAUGHS, 2, "the alias *a is not used here"),
    "a Python object": (GOOD + b"TD-CA: !!python/object/apply:os.system ['touch owned']\n", 2, "must be a mapping"),
    "a symbol twice": (GOOD + GOOD, 2, "symbol RY is already on line 1"),
    "a key twice": (b"RY-CA: {id: 1, id: 2, name: a, type: b}\n", 1, "has the key 'id' twice"),
    "wrong types": (b"RY-CA: {id: one, name: a, type: b}\n", 1, "id must be a whole number"),
    "a list as a name": (b"RY-CA: {id: 1, name: [a], type: b}\n", 1, "name must be a single value"),
    "NUL": (GOOD + b"TD\x00: 1\n", 2, "the character U+0000 may not stand in YAML"),
    "escapes": (GOOD + b"TD\x1b[2J: 1\n", 2, "the character U+001B may not stand in YAML"),
    "not UTF-8": (GOOD + b"# Qu\xe9bec\n", 2, "byte 0xe9 is no UTF-8"),
    "a tab": (GOOD + b"\tTD-CA: 1\n", 2, "not valid YAML"),
    "a symbol without end": (b"A" * 100_000 + b": 1\n", 1, "not a"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_of_with_its_line(name: str, tmp_path: Path) -> None:
    raw, line, says = BAD[name]
    path = tmp_path / "banks.yaml"
    path.write_bytes(raw)
    began = time.process_time()
    with pytest.raises(InstitutionsError) as raised:
        load_institutions(path)
    assert time.process_time() - began < 5
    assert says in str(raised.value)
    assert f"banks.yaml, line {line}:" in str(raised.value)
    assert len(str(raised.value)) < 400 + len(str(path))
    assert not Path("owned").exists()


def test_a_huge_file_is_not_read_and_a_marked_one_is(tmp_path: Path) -> None:
    path = tmp_path / "banks.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD)
    assert load_institutions(path)["RY"].name == "Royal Bank"
    with path.open("wb") as file:
        file.truncate(10 * 2**30)
    with pytest.raises(InstitutionsError, match="larger than 262,144 bytes"):
        load_institutions(path)


def test_plain_pyyaml_would_have_taken_them() -> None:
    """The control."""
    assert len(yaml.safe_load(LAUGHS)["d"][0][0]) == 10
    assert yaml.safe_load("a: 1\na: 2\n") == {"a": 2}


def test_settings_beside_a_hostile_file_are_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Penstock tells of the file in its own words; what is read of it here must not take the process along."""
    monkeypatch.chdir(tmp_path)
    for raw in (b"settings: " + b"[" * 50_000, LAUGHS, b"settings: [1]", b"\xff"):
        Path("penstock.yaml").write_bytes(raw)
        assert load_settings().writer == "extractive"
    Path("penstock.yaml").write_text("settings: {reports_dir: elsewhere}\n")
    assert load_settings().reports_dir == Path("elsewhere")


def test_a_log_line_is_one_line_of_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    before = (list(console.log.handlers), console.log.propagate, console.log.level, logging.raiseExceptions)
    steps = list(logging.getLogger("penstock").handlers)

    def fail() -> int:
        console.say("name\x1b]0;title\x07")
        raise console.CommandError("no bank\n[INFO] all is well\x1b[2J\u202e")

    try:
        assert console.run(fail) == 1
    finally:
        console.log.handlers[:], console.log.propagate = before[0], before[1]
        console.log.setLevel(before[2])
        logging.raiseExceptions = before[3]
        logging.getLogger("penstock").handlers[:] = steps
    assert out.getvalue() == ("name\\x1b]0;title\\x07\n[ERROR] no bank [INFO] all is well\\x1b[2J\\u202e\n")
