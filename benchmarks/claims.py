"""A claim out of a million scheduled runs, in 14 and in 20,000 lanes, and the end of what was claimed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from statistics import mean, median, quantiles

import psycopg

from benchmarks.figures import Figure
from benchmarks.server import backend_seconds, database
from penstock.ledger.postgres import PostgresLedger
from penstock.ledger.worker import PostgresWorker
from penstock.ports.records import Claimed, EndRecord, UnitEnd

APP = "bench"
SCHEDULED = """
set local search_path = penstock;
set local synchronous_commit = off;
insert into spaces (app, name) values ('bench', 'claims');
insert into pipelines (app, name, space_id) values ('bench', 'claims', 1);
insert into shapes (pipeline_id, hash, body) values
  (1, 'h', '{"steps": []}');
insert into plans (pipeline_id, shape_id, state, definition, applied_at) values (1, 1, 'applied', 'd', now());
insert into lanes (space_id, key, next_at) select 1, 'lane ' || i, now() - interval '5 min' + i * interval '1 us'
  from generate_series(1, LANES) i;
insert into units (pipeline_id, key, unit) select 1, '{"n":' || i || '}', json_build_object('n', i)
  from generate_series(1, RUNS) i;
insert into runs (pipeline_id, plan_id, shape_id, lane_id) select 1, 1, 1, i % LANES + 1
  from generate_series(1, RUNS) i;
insert into run_units (run_id, unit_no, unit_id, reason, rev) select i, 0, i, 'missing', 0
  from generate_series(1, RUNS) i;
insert into active (lane_id, rank, run_id, unit_id) select i % LANES + 1, 5, i, i from generate_series(1, RUNS) i;
"""
LANES = (14, 20_000)
CPU_AIMS = {(14, 1): 0.5, (14, 64): 1.1, (20_000, 1): 0.6, (20_000, 64): 2.5}
WALL_AIMS = {(20_000, 1): 0.9, (20_000, 64): 3.0}


def measure(server: str, *, quick: bool) -> list[Figure]:
    """Each claim is a round trip and a commit through the worker; processor time is that of its backend."""
    runs, times = (100_000, 10) if quick else (1_000_000, 40)
    figures: list[Figure] = []
    for lanes in LANES:
        with database(server) as url:
            with psycopg.connect(url) as connection:
                connection.execute(SCHEDULED.replace("LANES", str(lanes)).replace("RUNS", str(runs)).encode())
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("vacuum analyze")
                connection.execute("checkpoint")
            for count in (1, 64):
                figures += asyncio.run(_claims(url, lanes, count, times, f"{runs:,} scheduled, {lanes:,} lanes"))
    return figures


async def _claims(url: str, lanes: int, count: int, times: int, where: str) -> list[Figure]:
    walls: list[float] = []
    busy: list[float] = []
    ends: list[float] = []
    got = 0
    ledger = PostgresLedger(url)
    await ledger.open()
    worker = await ledger.open_worker(APP, "bench")
    try:
        for _ in range(8):  # statements are planned and pages read
            await _end(worker, await worker.claim(count, ["claims"]))
        backend = await _writer(ledger)
        for _ in range(times):
            before, begun = backend_seconds(backend), time.perf_counter()
            claims = await worker.claim(count, ["claims"])
            walls.append((time.perf_counter() - begun) * 1e3)
            after, begun = backend_seconds(backend), time.perf_counter()
            await _end(worker, claims)
            ends.append((time.perf_counter() - begun) * 1e3)
            got = len(claims)
            if before is not None and after is not None:
                busy.append((after - before) * 1e3)
    finally:
        await worker.close()
        await ledger.close()
    what = f"claim of {count}" + (f" (gets {got})" if got != count else "") + f", {where}"
    figures = [
        Figure("claims", f"{what}: p50", median(walls), "ms", WALL_AIMS.get((lanes, count))),
        Figure("claims", f"{what}: p95", quantiles(walls, n=20)[-1], "ms"),
        Figure("claims", f"{what}: end of them, p50", median(ends), "ms"),
    ]
    if busy:
        figures.insert(2, Figure("claims", f"{what}: processor time", mean(busy), "ms", CPU_AIMS[lanes, count]))
    return figures


async def _end(worker: PostgresWorker, claims: Sequence[Claimed]) -> None:
    unit = (UnitEnd(no=0, verdict="completed"),)
    await asyncio.gather(*(worker.end(EndRecord(hold=claim.hold, state="completed", units=unit)) for claim in claims))


async def _writer(ledger: PostgresLedger) -> int:
    """The process id of the backend that the worker writes through."""
    rows = await ledger.rows(
        b"select pid from pg_stat_activity where datname = current_database() and application_name = 'penstock writer'"
        b" and query like '%%penstock.record%%'"
    )
    return int(rows[0]["pid"])
