"""The institutions file: what is read, and that every fault names its line and its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis.institutions import Institution, InstitutionsError, load_institutions

GOOD = 'RY-CA: {id: 1, name: "Royal Bank of Canada", type: "Canadian_Banks"}\n'


def test_the_shipped_file_has_fourteen_banks_in_its_order() -> None:
    institutions = load_institutions()
    assert list(institutions) == [
        "RY",
        "BMO",
        "CM",
        "TD",
        "BNS",
        "NA",
        "LB",
        "JPM",
        "BAC",
        "WFC",
        "C",
        "GS",
        "MS",
        "USB",
    ]
    assert [bank.id for bank in institutions.values()] == list(range(1, 15))
    assert institutions["RY"] == Institution(symbol="RY", id=1, name="Royal Bank of Canada", type="Canadian_Banks")
    assert institutions["JPM"].name == "JPMorgan Chase & Co."


@pytest.mark.parametrize(
    ("added", "line", "says"),
    [
        ("BMO-CA: bank\n", 2, "must be a mapping"),
        ("BMO-CA: {id: 2, type: x}\n", 2, "has no name"),
        ("BMO-CA: {name: x, type: y}\n", 2, "has no id"),
        ("BMO-CA: {id: two, name: x, type: y}\n", 2, "whole number"),
        ('BMO-CA: {id: "2", name: x, type: y}\n', 2, "whole number"),
        ("BMO-CA: {id: 1, name: x, type: y}\n", 2, "already used on line 1"),
        ("\nRY-US: {id: 2, name: x, type: y}\n", 3, "already on line 1"),
        ("BMO-CA: {id: 2, name: x, type: y, city: z}\n", 2, "unknown key 'city'"),
        ("BMO-CA: {id: 2, id: 3, name: x, type: y}\n", 2, "twice"),
        ("BMO-CA:\n  id: 2\n  name:\n  type: y\n", 4, "name must be a single value"),
        ("BMO-CA: {id: 2, name: x\n", 3, "not valid YAML"),
        ("bmo: {id: 2, name: x, type: y}\n", 2, "not a symbol"),
        ("BMO-CA: !!python/object:os.system {id: 2, name: x}\n", 2, "has no type"),
    ],
)
def test_a_fault_names_the_file_the_line_and_the_remedy(tmp_path: Path, added: str, line: int, says: str) -> None:
    path = tmp_path / "banks.yaml"
    path.write_text(GOOD + added)
    with pytest.raises(InstitutionsError, match=says) as caught:
        load_institutions(path)
    assert caught.value.line == line
    assert f"banks.yaml, line {line}: " in str(caught.value)


@pytest.mark.parametrize("content", ["", "# nothing\n", "- a\n", "{}\n"])
def test_a_file_without_institutions_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "banks.yaml"
    path.write_text(content)
    with pytest.raises(InstitutionsError, match="write"):
        load_institutions(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InstitutionsError, match="no such file"):
        load_institutions(tmp_path / "none.yaml")
