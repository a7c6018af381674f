"""The documentation and the code say the same."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest
import structlog
import typer
import yaml

import penstock as ps
from penstock import data, testing
from penstock.cli import main
from penstock.cli.entry import cli
from penstock.config import SETTABLE, Settings
from penstock.definition.pipeline import PipelineOptions
from penstock.model.shape import Policy
from penstock.model.states import ERROR_CLASSES, REASONS
from penstock.planning.retry import DEFAULTS, ONCE, policy_for
from penstock.testing import servers
from tests.docs.pages import ROOT, Page, code_of, page, pages, rows

PAGES = pages()
SOURCES = [*(ROOT / "src").rglob("*.py"), *(ROOT / "src").rglob("*.txt")]
HELP = {"--help", "-h"}
OURS = ("PENSTOCK_", "POSTGRES_", "LOG_LEVEL")
CALLERS = {"docs/how-to/grpc.md"}
"""Pages whose Python calls a service; tests/api runs it."""
INSTANCE: dict[type[Any], set[str]] = {data.Llm: {"model", "base_url", "caps", "max_tokens"}}
named = pytest.mark.parametrize("each", PAGES, ids=lambda each: each.name)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder without settings, which is the current one."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tree() -> Any:
    """The command `penstock` as Typer hands it to Click."""
    return typer.main.get_command(cli)


def leaves(command: Any, words: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every command that does something, by its words."""
    below = getattr(command, "commands", None)
    if below is None:
        return {words: command}
    return {name: leaf for word, sub in below.items() for name, leaf in leaves(sub, (*words, word)).items()}


def options(command: Any) -> dict[str, Any]:
    """Every spelling of every option."""
    found = [p for p in command.params if p.param_type_name == "option"]
    return {word: p for p in found for word in [*p.opts, *p.secondary_opts]}


def fault(words: list[str]) -> str | None:
    """What is wrong with a command, told from the tree of commands; nothing is run."""
    command: Any = tree()
    known, taken, rest = options(command), 0, list(words)
    while rest:
        word = rest.pop(0)
        below = getattr(command, "commands", None)
        if word.startswith("-"):
            name, _, value = word.partition("=")
            if name not in known and name not in HELP:
                return f"no option {name}"
            if name in known and not known[name].is_flag and not value:
                if not rest:
                    return f"{name} has no value"
                rest.pop(0)
        elif below is not None:
            if word.isupper():  # `penstock COMMAND ...` stands for all of them
                return None
            if word not in below:
                return f"no command {word}"
            command = below[word]
            known = {**options(command), **{w: p for w, p in known.items() if w == "--app"}}
        else:
            taken += 1
    arguments = [p for p in getattr(command, "params", []) if p.param_type_name == "argument"]
    most = None if any(p.nargs == -1 for p in arguments) else len(arguments)
    return f"{taken} words are too many" if most is not None and taken > most else None


@named
def test_every_command_exists(each: Page) -> None:
    wrong = {" ".join(words): why for words in each.commands() if (why := fault(words)) is not None}
    assert wrong == {}


def test_a_wrong_command_would_be_found() -> None:
    assert sum(1 for each in PAGES for _ in each.commands()) > 60
    assert fault(["plan", "--forced"]) == "no option --forced"
    assert fault(["plans"]) == "no command plans"
    assert fault(["runs", "list", "--state"]) == "--state has no value"
    assert fault(["apply", "1", "2"]) == "2 words are too many"


def test_the_reference_has_every_command_and_option() -> None:
    reference = page("docs/reference/cli.md")
    sections = set(re.findall(r"^## penstock (.+)$", reference.text, re.MULTILINE))
    assert sections == {" ".join(words) for words in leaves(tree())}
    for words, command in leaves(tree()).items():
        cells = [row[0] for row in rows(reference.section(f"penstock {' '.join(words)}"))]
        told = {code.split()[0] for cell in cells for code in code_of(cell)}
        assert told == set(options(command)) - HELP, words


def test_every_setting_is_documented() -> None:
    table = rows(page("docs/reference/settings.md").text)
    told = {code_of(row[0])[0]: row for row in table if len(row) == 4}
    assert set(told) == set(SETTABLE)
    defaults = Settings()
    for name, row in told.items():
        default = getattr(defaults, name)
        shown = {"database_url": "embedded"}.get(name, "–") if default is None else f"{default}"
        assert row[1] == f"`PENSTOCK_{name.upper()}`"
        assert row[2].strip("`") == (f"{default:g}" if isinstance(default, float) else shown)


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    pattern = re.compile(r"\b(?:PENSTOCK_[A-Z]+(?:_[A-Z]+)*|POSTGRES_[A-Z]+|LOG_LEVEL|NO_COLOR)\b")
    read = {name for path in SOURCES for name in pattern.findall(path.read_text(encoding="utf-8"))}
    read |= {f"PENSTOCK_{name.upper()}" for name in SETTABLE}
    read |= {f"POSTGRES_{part}" for part in ("HOST", "PORT", "DATABASE", "USER", "PASSWORD")}
    assert read == set(pattern.findall(page("docs/reference/settings.md").text))
    told = {name for each in PAGES for name in pattern.findall(each.text)}
    assert told <= read


@named
def test_every_yaml_block_is_a_settings_file(each: Page) -> None:
    names = [name for block in each.blocks("yaml") for name in yaml.safe_load(block)]
    assert set(names) <= {*SETTABLE, "settings", "notify", "events", "etl"}


def test_every_view_and_column_is_documented(database_url: str) -> None:
    types: dict[str, str] = {"int8": "bigint", "int4": "int", "int2": "smallint", "bool": "boolean"}
    query = """
      select table_name, column_name, udt_name from information_schema.columns
      where table_schema = 'penstock' and table_name like %s order by table_name, ordinal_position
    """
    with psycopg.connect(database_url) as connection:
        columns = connection.execute(query, [r"v1\_%"]).fetchall()
    there: dict[str, list[tuple[str, str]]] = {}
    for view, column, kind in columns:
        there.setdefault(view, []).append((column, types.get(kind) or kind))
    reference = page("docs/reference/sql-views.md")
    told = {
        view: [(code_of(row[0])[0], row[1]) for row in rows(reference.section(view))]
        for view in re.findall(r"^## (v1_\w+)$", reference.text, re.MULTILINE)
    }
    assert told == there


def test_every_sql_block_is_understood_by_postgresql(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        for each in PAGES:
            for block in each.blocks("sql"):
                connection.execute(block.encode())
            connection.rollback()


def test_every_public_name_is_documented() -> None:
    reference = page("docs/reference/api.md")
    for title, known in (
        ("penstock", ps.__all__),
        ("penstock.data", data.__all__),
        ("penstock.testing", testing.__all__),
    ):
        assert {code_of(row[0])[0] for row in rows(reference.section(title))} == set(known)


@pytest.mark.parametrize(
    "kind", [ps.App, ps.Client, ps.Context, ps.Transaction, data.Api, data.Llm, testing.Simulation]
)
def test_every_public_member_is_documented(kind: type[Any]) -> None:
    table = rows(page("docs/reference/api.md").section(kind.__name__))
    told = {re.split(r"\W", code)[0] for row in table for code in code_of(row[0])}
    assert told == {name for name in vars(kind) if not name.startswith("_")} | INSTANCE.get(kind, set())


def test_every_test_server_is_documented() -> None:
    reference = page("docs/reference/test-servers.md")
    told = {re.split(r"\W", code)[0] for row in rows(reference.text) for code in code_of(row[0])}
    kinds = (servers.WebServer, servers.WebhookServer, servers.Dv360Server, servers.Sent, servers.Request)
    assert {name for name in servers.__all__ if name != "ChatServer"} <= told | {kind.__name__ for kind in kinds}
    made = {"credentials", "polls", "failing"}  # by its constructor
    for kind in kinds[:3]:
        section = {
            re.split(r"\W", code)[0] for row in rows(reference.section(kind.__name__)) for code in code_of(row[0])
        }
        own = {name for name in vars(kind) if not name.startswith("_")} - {"answer", "made", "serve"}
        assert section - made == own


def test_every_option_of_a_pipeline_is_documented() -> None:
    section = page("docs/reference/api.md").section("Pipeline")
    told = {code_of(row[0])[0] for row in rows(section)}
    assert told == set(PipelineOptions.__annotations__)


def test_the_classes_of_errors_and_their_patience_are_documented() -> None:
    reference = page("docs/reference/errors.md")
    assert {code_of(row[0])[0] for row in rows(reference.section("Classes"))} == set(ERROR_CLASSES)
    patience = {
        code_of(row[0])[0]: Policy(attempts=int(row[1]), first=float(row[2]), limit=float(row[3]))
        for row in rows(reference.section("Attempts"))
        if code_of(row[0])
    }
    assert patience == dict(DEFAULTS)
    assert all(policy_for(name, {}) is ONCE for name in ERROR_CLASSES if name not in patience)
    remembered = {code for row in rows(reference.section("Memory")) for code in code_of(row[0])}
    assert set(ERROR_CLASSES) == remembered


def test_the_reasons_are_documented() -> None:
    table = rows(page("docs/how-to/why.md").section("Reasons"))
    assert {code for row in table for code in code_of(row[0])} == set(REASONS)


@named
def test_every_link_leads_somewhere(each: Page) -> None:
    broken: list[str] = []
    for target in re.findall(r"\]\(([^)\s]+)\)", each.prose):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = (each.path.parent / file).resolve() if file else each.path
        if not path.exists() or (anchor and anchor not in Page(path).anchors):
            broken.append(target)
    assert broken == []


def test_every_page_is_listed() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page("docs/README.md").text)
    listed = {(ROOT / "docs" / target).resolve() for target in targets}
    pages_of_docs = {each.path for each in PAGES if each.path.is_relative_to(ROOT / "docs")}
    left_out = {path for path in pages_of_docs - listed if path.parent.name != "decisions" and path.name != "README.md"}
    assert left_out <= {ROOT / "docs" / "benchmarks.md"}


@pytest.mark.parametrize("each", [each for each in PAGES if each.blocks("python")], ids=lambda each: each.name)
def test_the_python_of_every_page_runs(
    each: Page, database_server: str, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a page are one module. Apps are checked when they are made; its tests are called."""
    monkeypatch.setenv("PENSTOCK_TEST_DATABASE_URL", database_server)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    exec(compile("\n".join(each.blocks("python")), each.name, "exec"), vars(module))
    apps = [value for value in vars(module).values() if isinstance(value, ps.App)]
    assert apps or each.name in CALLERS
    for name, value in list(vars(module).items()):
        if name.startswith("test_"):
            value()


def test_the_readme_says_what_its_pipeline_prints(
    database_url: str, bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = page("README.md")
    (tables,), (code,), (console,) = readme.blocks("sql"), readme.blocks("python"), readme.blocks("console")
    with psycopg.connect(database_url) as connection:
        connection.execute(tables.encode())
    (bare / "app.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", database_url)
    monkeypatch.delitem(sys.modules, "app", raising=False)
    try:
        for part in re.split(r"^\$ penstock ", console, flags=re.MULTILINE)[1:]:
            command, *told = part.splitlines()
            assert main(command.split()) == 0
            printed = capsys.readouterr().out.splitlines()
            if told[-1] == "…":  # stands for the rest
                told.pop()
                printed = printed[: len(told)]
            assert [varying(line) for line in printed] == [varying(line) for line in told]
    finally:
        sys.modules.pop("app", None)
        structlog.reset_defaults()


def varying(line: str) -> str:
    """The line without what differs each time: lengths of time and ids."""
    line = re.sub(r"\b[\d.]+ m?s\b", "TIME", line)
    return re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID", line)
