"""`init`: a small project that runs at once."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from penstock.cli import printing
from penstock.cli.faults import WrongUse, shown_path
from penstock.cli.options import JsonOption

TEMPLATES = Path(__file__).with_name("project")


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where; made if it is not there.")] = Path(),
    *,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Its name; the folder's by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a small project that runs at once. Nothing that is there is overwritten."""
    written = make_project(folder, name)
    files = [str(path.relative_to(folder.resolve())) for path in written]
    if as_json:
        printing.document({"folder": folder.resolve(), "files": files})
        return
    where = shown_path(folder.resolve())
    for file in files:
        printing.line(file if where == "." else f"{where}/{file}")
    go = "" if where == "." else f"cd {where} && "
    printing.line(f"\nNext: {go}penstock plan, then penstock run")


def make_project(folder: Path, name: str | None = None) -> list[Path]:
    """Write the project's files and return them.

    Args:
        folder: Where; made if it is not there.
        name: Its name; the folder's by default.

    Raises:
        WrongUse: A file is there already, or the name is none for a Python package.
    """
    folder = folder.resolve()
    chosen = name or folder.name
    package = re.sub(r"[-. ]+", "_", chosen.strip()).lower()
    if not package.isidentifier() or package == "penstock":
        raise WrongUse(f"{chosen!r} is no name for a package: use letters, digits and -, as in --name shop-reports.")
    source = f"src/{package}"
    templates = {
        "pyproject.toml": "pyproject.toml",
        "penstock.yaml": "penstock.yaml",
        "README.md": "README.md",
        ".gitignore": "gitignore",
        f"{source}/__init__.py": None,
        f"{source}/pipelines.py": "pipelines.py",
        f"{source}/sql/wanted.sql": "wanted.sql",
        f"{source}/sql/existing.sql": "existing.sql",
        f"{source}/sql/tables.sql": "tables.sql",
        "tests/test_pipelines.py": "test_pipelines.py",
    }
    there = [file for file in templates if (folder / file).exists()]
    if there:
        raise WrongUse(f"Nothing was written: {', '.join(there)} {'is' if len(there) == 1 else 'are'} there already.")
    words = {"name": chosen, "package": package, "today": datetime.now(UTC).date().isoformat()}
    for file, template in templates.items():
        text = "" if template is None else (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
        try:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(Template(text).substitute(words), encoding="utf-8")
        except OSError as error:
            raise WrongUse(f"{shown_path(folder / file)} cannot be written: {error.strerror}.") from None
    return [folder / file for file in templates]
