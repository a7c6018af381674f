"""Running aegis's commands as an operator does: in a folder of their own, on a database of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

SCRIPT = Path(__file__).parents[1] / "scripts" / "etl_orchestrator.py"
SECONDS = 100


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Commands:
    """The commands of one installation.

    Args:
        url: Its database.
        folder: Its current folder; reports go to `reports` in it.
        environment: More of it.
    """

    def __init__(self, url: str, folder: Path, **environment: str) -> None:
        self.url, self.folder = url, folder
        self.lock = folder / "orchestrator.lock"
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PENSTOCK_", "POSTGRES_", "AEGIS_")) and name != "LOG_LEVEL"
        }
        self.environment = {**kept, "PENSTOCK_DATABASE_URL": url, "PYTHONUTF8": "1", **environment}
        self.script = copy_of_script(folder / "etl_orchestrator.py", LOCK_FILE_PATH=str(self.lock))

    def orchestrate(self, *arguments: str, **environment: str) -> Finished:
        """The script, with a lock file of the test's own: its other constants are the real ones."""
        return self.run([str(self.script), *arguments], **environment)

    def module(self, name: str, *arguments: str, **environment: str) -> Finished:
        """`python -m NAME`."""
        return self.run(["-m", name, *arguments], **environment)

    def ingest(self, source: Path) -> Finished:
        """Loads a source, which must succeed."""
        done = self.module("aegis.ingest", str(source))
        assert done.code == 0, done
        return done

    def run(self, arguments: Sequence[str], **environment: str) -> Finished:
        """Python with these arguments, until it ends."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        return Finished(code=done.returncode, out=done.stdout, err=done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The script in the background, its output to be read."""
        return subprocess.Popen(
            [sys.executable, str(self.script), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query answers."""
        with psycopg.connect(self.url) as conn:
            return conn.execute(query.encode()).fetchall()

    def execute(self, statement: str) -> None:
        """Runs a statement."""
        with psycopg.connect(self.url) as conn:
            conn.execute(statement.encode())


def copy_of_script(to: Path, **constants: object) -> Path:
    """The script with other constants at its top, as an operator edits them."""
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    for name, value in constants.items():
        (at,) = [number for number, line in enumerate(lines) if line.startswith(f"{name} = ")]
        lines[at] = f"{name} = {value!r}"
    to.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return to
