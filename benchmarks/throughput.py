"""W(n): runs a second of three no-op steps at n lanes, beside bare commits and DBOS, in turn on the same server."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median

from benchmarks.figures import Figure
from benchmarks.server import database

LANES = (1, 4, 16, 64)
RUNS = {
    "penstock": {1: 600, 4: 2_000, 16: 6_000, 64: 12_000},
    "bare": {1: 2_000, 4: 6_000, 16: 12_000, 64: 20_000},
    "dbos": {1: 150, 4: 300, 16: 600, 64: 960},
}
AIMS = {1: 431.0, 4: 1_544.0, 16: 4_233.0, 64: 6_536.0}
PYTHON_AIM, SERVER_AIM = 60.0, 87.0
"""Microseconds a run at 64 lanes."""


def measure(server: str, *, quick: bool) -> list[Figure]:
    """Median of the repetitions; a ratio is the median of the ratios within each."""
    taken: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(1 if quick else 3):
        for lanes in LANES:
            for name, runs in RUNS.items():
                count = max(lanes, runs[lanes] // (4 if quick else 1))
                taken.setdefault((name, lanes), []).append(_taken(server, name, lanes, count))
    figures: list[Figure] = []
    for lanes in LANES:
        at = f"{lanes} lane" + "s" * (lanes > 1)
        rates = {name: [each["rate"] for each in taken[name, lanes]] for name in RUNS}
        figures += [
            Figure("throughput", f"penstock, {at}", median(rates["penstock"]), "runs/s", AIMS[lanes], more=True),
            Figure("throughput", f"bare one-row commits, {at}", median(rates["bare"]), "commits/s"),
            Figure("throughput", f"DBOS, {at}", median(rates["dbos"]), "runs/s"),
            Figure("throughput", f"penstock / bare, {at}", _ratio(rates["penstock"], rates["bare"]), "×"),
            Figure("throughput", f"penstock / DBOS, {at}", _ratio(rates["penstock"], rates["dbos"]), "×"),
        ]
    for name, aims in (("penstock", {"python": PYTHON_AIM, "server": SERVER_AIM}), ("dbos", {})):
        for part in ("python", "server"):
            spent = [each[part] / each["rate"] / each["seconds"] * 1e6 for each in taken[name, 64] if part in each]
            if spent:
                what = f"{name}, 64 lanes: processor time of {part}"
                figures.append(Figure("throughput", what, median(spent), "µs/run", aims.get(part)))
    return figures


def _taken(server: str, name: str, lanes: int, runs: int) -> dict[str, float]:
    with database(server, migrated=name == "penstock") as url:
        command = [sys.executable, "-m", "benchmarks.contenders", name, url, str(lanes), str(runs)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} at {lanes} lanes failed:\n{done.stderr}")
    taken: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return taken


def _ratio(ones: list[float], others: list[float]) -> float:
    return median(one / other for one, other in zip(ones, others, strict=True))
