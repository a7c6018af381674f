"""`python -m benchmarks [NAME…] [--quick] [--runs N] [--json FILE]`: measure, and print the figures beside the aims."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    aegis_quality,
    aegis_reports,
    claims,
    cold_start,
    executions,
    load,
    loading,
    medallion_layers,
    plans,
    throughput,
)
from benchmarks.figures import Figure, show, write
from benchmarks.server import facts, server

BENCHMARKS: dict[str, Callable[..., list[Figure]]] = {
    "throughput": throughput.measure,
    "claims": claims.measure,
    "plans": plans.measure,
    "executions": executions.measure,
    "cold_start": cold_start.measure,
    "loading": loading.measure,
    "medallion_layers": medallion_layers.measure,
}
REPORTS, QUALITY, LOAD = "aegis_reports", "aegis_quality", "load"


def main() -> None:
    """Run the benchmarks that are named, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(BENCHMARKS)}, {REPORTS}, {QUALITY} or {LOAD}; all but {LOAD} by default",
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: a minute or two, figures are rough")
    parser.add_argument("--runs", type=int, metavar="N", help=f"how many runs {LOAD} makes; {load.RUNS:,} by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    asked = parser.parse_args()
    names: list[str] = asked.names or [*BENCHMARKS, REPORTS, QUALITY]
    if unknown := set(names) - {*BENCHMARKS, REPORTS, QUALITY, LOAD}:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    figures: list[Figure] = []
    with server() as url:
        machine = facts(url)
        print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
        for name in names:
            begun = time.monotonic()
            if name == REPORTS:
                aegis_reports.main([])
            elif name == QUALITY:
                aegis_quality.main()
            elif name == LOAD:
                figures += load.measure(url, quick=asked.quick, runs=asked.runs)
            else:
                figures += BENCHMARKS[name](url, quick=asked.quick)
            print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
    if figures:
        show(figures)
    if asked.json:
        write(figures, machine, asked.json)


if __name__ == "__main__":
    main()
