from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import EntryPoint

import pytest

from penstock.ledger.embedded import running
from tests.acceptance.conftest import Cli

FILES = [
    *("pyproject.toml", "penstock.yaml", "README.md", ".gitignore"),
    *(f"src/shop_sales/{name}" for name in ("__init__.py", "pipelines.py")),
    *(f"src/shop_sales/sql/{name}.sql" for name in ("wanted", "existing", "tables")),
    "tests/test_pipelines.py",
]


def test_a_new_project_runs_at_once_and_does_nothing_twice(bare: Cli, database_url: str) -> None:
    told = bare("init", "shop-sales")
    assert told.status == 0
    assert told.out.splitlines()[:-2] == [f"shop-sales/{name}" for name in FILES]
    assert told.out.endswith("Next: cd shop-sales && penstock plan, then penstock run\n")
    bare.set("PENSTOCK_DATABASE_URL", database_url)
    bare.patch.chdir(bare.folder / "shop-sales")
    assert bare("plan", "--json").json["counts"] == {"missing": 21}
    assert bare("run", "--json").json["counts"] == {"completed": 21}
    assert bare("run").out == "sales: nothing to do.\n"
    today = datetime.now(UTC).date().isoformat()
    assert "is there, made by run" in bare("why", "shop=Bern", f"day={today}").out


def test_the_tests_of_a_new_project_pass(bare: Cli) -> None:
    bare("init", "shop-sales")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"],
        cwd=bare.folder / "shop-sales",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_nothing_is_overwritten(bare: Cli) -> None:
    mine = bare.write("shop/README.md", "mine")
    told = bare("init", "shop", "--name", "shop-sales")
    assert (told.status, told.out) == (2, "")
    assert told.err == "Nothing was written: README.md is there already.\n"
    assert mine.read_text() == "mine"
    assert [path.name for path in (bare.folder / "shop").iterdir()] == ["README.md"]


@pytest.mark.parametrize("name", ["9lives", "penstock", "a/b", "…"])
def test_a_name_that_is_no_package(bare: Cli, name: str) -> None:
    told = bare("init", "here", "--name", name)
    assert told.status == 2
    assert "is no name for a package" in told.err


def test_init_as_json(bare: Cli) -> None:
    assert bare("init", "--name", "shop-sales", "--json").json == {"folder": str(bare.folder), "files": FILES}


@pytest.mark.slow
def test_the_demonstration_that_is_built_in(bare: Cli) -> None:
    bare.patch.delenv("PENSTOCK_DATABASE_URL")
    told = bare.shell("demo", "shops")
    assert told.status == 0, told.err
    assert "sales: 21 gaps (21 missing) in 3 lanes" in told.out
    assert "sales: nothing to do." in told.out
    assert "using an embedded PostgreSQL" in told.err
    folder = told.err.splitlines()[0].partition(", in ")[2].partition(" while")[0]
    assert running(bare.folder / folder) is None
    assert not (bare.folder / folder).exists()


def test_demonstrations_are_found_by_their_entry_point(bare: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.write("shop_demo.py", "def main() -> int:\n    print('shown')\n    return 3\n")
    monkeypatch.setattr(sys, "path", [str(bare.folder), *sys.path])
    points = [EntryPoint("shop", "shop_demo:main", "penstock.demos")]

    def entry_points(group: str) -> list[EntryPoint]:
        return [point for point in points if point.group == group]

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    told = bare("demo")
    assert (told.status, told.out) == (3, "shown\n")
    points.append(EntryPoint("other", "shop_demo:main", "penstock.demos"))
    listed = bare("demo")
    assert listed.status == 0
    assert listed.out.splitlines()[1:] == ["  penstock demo shop", "  penstock demo other", "  penstock demo shops"]
    assert bare("demo", "shpo").err == "No demonstration is called shpo; did you mean shop?\n"
