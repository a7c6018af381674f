"""`demo`: see it work, with an installed demonstration or the one that is built in."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from penstock.cli import printing
from penstock.cli.faults import FAILED, WrongUse, say
from penstock.model.spelling import did_you_mean

GROUP = "penstock.demos"
BUILT_IN = "shops"
STOP_SECONDS = 10.0
STORY = (
    ("What is missing?", ["plan", "--limit", "3"]),
    ("Fill it.", ["run"]),
    ("And again: nothing is done twice.", ["run"]),
    ("Why is this one not run?", ["why", "shop=Bern", "day={today}"]),
)


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("demo")(demo)


def demo(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which, where several are installed.")] = None,
) -> None:
    """Run a demonstration. It needs no database."""
    from importlib.metadata import entry_points

    installed = {point.name: point for point in entry_points(group=GROUP)}
    known = [*installed, BUILT_IN]
    if name is not None and name not in known:
        hint = did_you_mean(name, known, otherwise=f"; there are {', '.join(known)}.")
        raise WrongUse(f"No demonstration is called {name}{hint}")
    if name is None and len(installed) > 1:
        printing.line("Several demonstrations are installed; say which:")
        for each in known:
            printing.line(f"  penstock demo {each}")
        return
    chosen = name or next(iter(installed), BUILT_IN)
    status = _built_in() if chosen == BUILT_IN and BUILT_IN not in installed else int(installed[chosen].load()() or 0)
    if status:
        raise typer.Exit(status)


def _built_in() -> int:
    """Make the project of `init` in a folder that goes away, and show the usual commands in it."""
    from datetime import UTC, datetime

    from penstock.cli.starting import make_project

    today = datetime.now(UTC).date().isoformat()
    with TemporaryDirectory(prefix="penstock-demo-", ignore_cleanup_errors=True) as folder:
        make_project(Path(folder), "demo")
        say(f"The project of `penstock init`, in {folder} while this runs:")
        with _server(Path(folder) / ".penstock" / "postgres"):
            for title, words in STORY:
                command = [word.format(today=today) for word in words]
                printing.line(f"\n# {title}\n$ penstock {' '.join(command)}")
                sys.stdout.flush()
                if _command(Path(folder), command):
                    return FAILED
    printing.line("\nA project of your own: penstock init my-project")
    return 0


@contextmanager
def _server(folder: Path) -> Generator[None]:
    """One server for all the commands, gone before its folder goes."""
    from penstock.ledger.embedded import EmbeddedServer, running

    server = EmbeddedServer(folder, grace=0)
    server.start()
    try:
        yield
    finally:
        server.stop()
        until = time.monotonic() + STOP_SECONDS
        while running(folder) is not None and time.monotonic() < until:
            time.sleep(0.05)


def _command(folder: Path, words: list[str]) -> int:
    """Run `penstock` there, on the embedded database and with no other setting."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "POSTGRES_"))}
    environment = kept | {"PENSTOCK_EMBEDDED_GRACE": "0"}
    command = [sys.executable, "-m", "penstock.cli", *words]
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode  # noqa: S603 - ourselves
