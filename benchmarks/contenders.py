"""Who is measured against whom: `python -m benchmarks.contenders NAME URL LANES RUNS` prints one line of JSON.

Each is a process of its own, so that none has another's threads, connections or caches beside it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import psycopg

import penstock as ps
from benchmarks.server import server_seconds

WARM_UP = 3
"""Runs of each lane that are not counted: connections are made and statements prepared in them."""


class Number(NamedTuple):
    lane: int
    n: int


async def penstock(url: str, lanes: int, runs: int) -> dict[str, float]:
    """Runs of three no-op steps with durable state; planned and applied before the clock starts."""
    os.environ["PENSTOCK_DATABASE_URL"] = url
    os.environ["PENSTOCK_LOG_LEVEL"] = "WARNING"
    wanted = f"select mod(i, {lanes}) as lane, i as n from generate_series(%(first)s::int, %(last)s) i"
    asked = {"first": 1, "last": WARM_UP * lanes}
    noop = ps.Pipeline("noop", Number, lane="lane", gaps=ps.SqlGaps(wanted, binds=lambda: asked))

    @noop.step
    async def a(_: Number) -> None: ...

    @noop.step(after=a)
    async def b(_: Number) -> None: ...

    @noop.step(after=b)
    async def c(_: Number) -> None: ...

    with tempfile.TemporaryDirectory() as home:
        os.environ["PENSTOCK_HOME"] = home
        async with ps.App(f"bench{lanes}_{os.getpid()}", [noop]).client() as client:
            await client.start(noop)
            await client.work([noop], lanes=lanes)
            asked.update(first=WARM_UP * lanes + 1, last=WARM_UP * lanes + runs)
            begun = time.perf_counter()
            await client.start(noop)
            applied = time.perf_counter() - begun
            server, own, begun = server_seconds(url), time.process_time(), time.perf_counter()
            done = await client.work([noop], lanes=lanes)
            seconds, own = time.perf_counter() - begun, time.process_time() - own
            after = server_seconds(url)
            assert len(done) == runs
    spent = {} if server is None or after is None else {"server": after - server}
    return {"seconds": seconds, "plan_and_apply": applied, "python": own, **spent}


async def bare(url: str, lanes: int, runs: int) -> dict[str, float]:
    """A loop that commits one row at a time, on as many connections as there are lanes."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("create table if not exists bare (n bigint, at timestamptz default now())")

    async def commit(connection: psycopg.AsyncConnection[tuple[object, ...]], count: int) -> None:
        for n in range(count):
            await connection.execute("insert into bare (n) values (%s)", [n], prepare=True)

    connections = [await psycopg.AsyncConnection.connect(url, autocommit=True) for _ in range(lanes)]
    await asyncio.gather(*(commit(each, WARM_UP) for each in connections))
    begun = time.perf_counter()
    await asyncio.gather(*(commit(each, runs // lanes) for each in connections))
    seconds = time.perf_counter() - begun
    for each in connections:
        await each.close()
    return {"seconds": seconds * runs / (runs // lanes * lanes)}


async def dbos(url: str, lanes: int, runs: int) -> dict[str, float]:
    """Workflows of three no-op steps of DBOS, as many in flight as there are lanes."""
    from dbos import DBOS, DBOSConfig

    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "sys_db_pool_size": max(20, lanes),
        "log_level": "ERROR",
        "application_version": "1",
    }

    @DBOS.step()
    async def a() -> None: ...

    @DBOS.step()
    async def b() -> None: ...

    @DBOS.step()
    async def c() -> None: ...

    @DBOS.workflow()
    async def noop(_: int) -> None:
        await a()
        await b()
        await c()

    async def loop(count: int) -> None:
        for n in range(count):
            await noop(n)

    logging.disable(logging.WARNING)
    DBOS(config=config)
    DBOS.launch()
    try:
        await asyncio.gather(*(loop(WARM_UP) for _ in range(lanes)))
        server, own, begun = server_seconds(url), time.process_time(), time.perf_counter()
        await asyncio.gather(*(loop(runs // lanes) for _ in range(lanes)))
        seconds, own = time.perf_counter() - begun, time.process_time() - own
        after = server_seconds(url)
    finally:
        DBOS.destroy()
    spent = {} if server is None or after is None else {"server": after - server}
    return {"seconds": seconds * runs / (runs // lanes * lanes), "python": own, **spent}


CONTENDERS: dict[str, Callable[[str, int, int], Awaitable[dict[str, float]]]] = {
    "penstock": penstock,
    "bare": bare,
    "dbos": dbos,
}


async def main(name: str, url: str, lanes: int, runs: int) -> None:
    """Run one of them and print what it took."""
    taken = await CONTENDERS[name](url, lanes, runs)
    print(json.dumps({"rate": runs / taken["seconds"], **taken}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
