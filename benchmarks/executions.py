"""Lists of executions in a ledger of a million runs, as a dashboard asks for them: pages of 50, with their layers."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psycopg

from benchmarks.figures import Figure
from benchmarks.server import database
from penstock.ledger.postgres import PostgresLedger
from penstock.model.attempt import RunId
from penstock.operations.executions import STATES

RUNS = Path(__file__).parents[1] / "tests" / "integration" / "million_runs.sql"
AIM = 20.0
"""Milliseconds that the slowest of a hundred may take."""
TIMES, QUICK = 300, 50


def measure(server: str, *, quick: bool) -> list[Figure]:
    """A hundred thousand of the runs are live; the quick way asks less often."""
    with database(server) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("set search_path = penstock")
            with connection.transaction():
                connection.execute(RUNS.read_bytes())
            connection.execute("vacuum analyze")
        return asyncio.run(_asked(url, QUICK if quick else TIMES))


async def _asked(url: str, times: int) -> list[Figure]:
    now = datetime.now(UTC)
    kinds: dict[str, dict[str, Any]] = {
        "newest": {},
        "a page in the middle": {"before": RunId(400_000)},
        "of an instance": {"instance": "feed 7"},
        "of an organization": {"org": "3"},
        "failed": {"states": STATES["failed"]},
        "failed of an organization": {"org": "3", "states": STATES["failed"]},
        "running": {"states": STATES["running"]},
        "a day of last week": {"since": now - timedelta(days=7), "until": now - timedelta(days=6)},
        "failed, a day of last week": {
            "since": now - timedelta(days=7),
            "until": now - timedelta(days=6),
            "states": STATES["failed"],
        },
        "by id": {"ids": [RunId(700_000)]},
        "completed, behind 100,000 live ones": {"states": STATES["completed"]},
    }
    figures: list[Figure] = []
    ledger = PostgresLedger(url)
    await ledger.open()
    try:
        for kind, given in kinds.items():
            took: list[float] = []
            for _ in range(times):
                begun = time.perf_counter()
                found = await ledger.executions(app="big", limit=50, **given)
                took.append((time.perf_counter() - begun) * 1e3)
                assert found, kind
            aim = None if kind.startswith("completed") else AIM
            figures += [
                Figure("executions", f"{kind}: p50", median(took), "ms"),
                Figure("executions", f"{kind}: p99", quantiles(took, n=100)[98], "ms", aim),
            ]
    finally:
        await ledger.close()
    return figures
