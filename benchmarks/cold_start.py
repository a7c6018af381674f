"""Cold start: whole processes from their start to their end, with an embedded server of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure
from penstock.ledger.embedded import EmbeddedServer

APP = '''"""One pipeline of ten units."""

from typing import NamedTuple

import penstock as ps


class Number(NamedTuple):
    n: int


numbers = ps.Pipeline("numbers", Number, gaps=ps.SqlGaps("select i as n from generate_series(1, 10) i"))


@numbers.step
async def show(number: Number) -> None: ...


app = ps.App("cold", [numbers])
'''


def measure(server: str, *, quick: bool) -> list[Figure]:
    """Medians; the server that other benchmarks use plays no part."""
    del server
    times = 3 if quick else 7
    first: list[float] = []
    again: list[float] = []
    plan: list[float] = []
    help_seconds = [_seconds(Path.cwd(), "--help") for _ in range(times)]
    for _ in range(1 if quick else 3):
        with tempfile.TemporaryDirectory(prefix="penstock-cold-") as folder:
            home = Path(folder)
            (home / "cold_app.py").write_text(APP)
            (home / "penstock.yaml").write_text("app: cold_app:app\nhome: state\n")
            first.append(_seconds(home, "plan", "numbers"))
            embedded = EmbeddedServer(home / "state" / "postgres", grace=0)
            embedded.start()
            try:
                plan += [_seconds(home, "plan", "numbers") for _ in range(times)]
            finally:
                embedded.stop()
            time.sleep(1.0)  # it ends without its last client
            again.append(_seconds(home, "plan", "numbers"))
            time.sleep(3.0)
    return [
        Figure("cold start", "penstock --help", median(help_seconds), "s"),
        Figure("cold start", "penstock plan, server running", median(plan), "s"),
        Figure("cold start", "penstock plan, server stopped", median(again), "s"),
        Figure("cold start", "penstock plan, first start with initdb and schema", median(first), "s"),
    ]


def _seconds(folder: Path, *words: str) -> float:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "POSTGRES_"))}
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "penstock.cli", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"penstock {' '.join(words)} failed:\n{done.stderr}")
    return seconds
