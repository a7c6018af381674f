"""The rules that this repository keeps about itself."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CODE = {"src", "systems", "tests", "benchmarks", "tools"}
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
# The names of folders that only one machine has; put together here so that this file has none of them.
ONE_MACHINE = re.compile("|".join(["/" + "work/", "/" + "root/", "/" + "home/[a-z]+/", "/" + "Users/[A-Za-z]+/"]))


def code(files: list[Path], *suffixes: str) -> list[Path]:
    return [path for path in files if path.parts[0] in CODE and path.suffix in suffixes]


def text_of(path: Path) -> str | None:
    """What the file says, or None if it is not text."""
    content = path.read_bytes()
    return None if b"\0" in content else content.decode(errors="replace")


def test_no_file_is_longer_than_400_lines(root: Path, files: list[Path]) -> None:
    written = [path for path in code(files, ".py", ".sql", ".sh") if "_pb2" not in path.stem]  # those are generated
    lines = {str(path): len((root / path).read_text().splitlines()) for path in written}
    assert {path: count for path, count in lines.items() if count > 400} == {}


def test_no_module_has_a_name_that_says_nothing(files: list[Path]) -> None:
    named = [path for path in code(files, ".py") if VAGUE & {*path.parts[:-1], path.stem}]
    assert named == []


def test_every_module_says_what_it_is_for(root: Path, files: list[Path]) -> None:
    sources = [path for path in code(files, ".py") if "src" in path.parts]
    silent = [str(path) for path in sources if not ast.get_docstring(ast.parse((root / path).read_text()))]
    assert silent == []


def test_no_file_names_a_folder_of_one_machine(root: Path, files: list[Path]) -> None:
    found = {str(path): match[0] for path in files if (match := ONE_MACHINE.search(text_of(root / path) or ""))}
    assert found == {}


@pytest.mark.parametrize("name", ["requirements.lock", "tools/uv-requirements.txt"])
def test_what_is_installed_has_hashes_and_names_no_host(root: Path, name: str) -> None:
    lines = [line.strip() for line in (root / name).read_text().splitlines() if not line.startswith("#")]
    pinned = [line for line in lines if not line.startswith("--hash=")]
    hosts = [line for line in lines if "://" in line or re.match(r"-(-index|-extra|-find|i |f )", line)]
    assert hosts == []
    assert pinned
    assert [line for line in pinned if not re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+( ;.*)? \\$", line)] == []


def test_every_lint_rule_left_out_has_its_reason(root: Path) -> None:
    source = (root / "pyproject.toml").read_text()
    settings = tomllib.loads(source)["tool"]["ruff"]["lint"]
    left_out = {*settings["ignore"], *(rule for rules in settings["per-file-ignores"].values() for rule in rules)}
    with_reason = set(re.findall(r'^ +"([A-Z]+[0-9]*)", +# \S.+$', source, re.MULTILINE))
    assert left_out - with_reason == set()


def test_an_import_contract_has_no_exemption(root: Path) -> None:
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert [contract["name"] for contract in contracts if "ignore_imports" in contract] == []


def test_every_import_follows_the_arrows(root: Path) -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    linted = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_make_alone_lists_every_target(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert set(re.findall(r"make ([a-z]+) ", shown)) == targets
    assert {"demo", "test", "check", "bench", "clean", "lock", "install"} <= targets
    assert set(re.findall(r"[a-z]+", re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)[0])) == targets


def test_every_decision_has_the_same_form(root: Path, files: list[Path]) -> None:
    decisions = [path for path in files if path.parent == Path("docs/decisions") and path.name[:4].isdigit()]
    assert decisions
    numbers = [path.name[:4] for path in decisions]
    assert len(set(numbers)) == len(numbers)
    for path in decisions:
        text = (root / path).read_text()
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name), path
        assert re.match(rf"# {path.name[:4]}\. \S", text), f"{path} does not start with its number and title"
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Status", "Context", "Decision"], path
