"""Runs that were planned under another definition than the one that finds them."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

import penstock as ps
from penstock.config import Settings
from penstock.wiring import Database

WANTED = "select n from generate_series(1, 2) n"


class Before(NamedTuple):
    """The unit as it was planned."""

    n: int


class After(NamedTuple):
    """The same unit in a later version of the code: a fact was added."""

    n: int
    name: str


def app_of(url: str, pipeline: ps.Pipeline[Before] | ps.Pipeline[After]) -> ps.App:
    """An app on this database."""
    app = ps.App("shop", [pipeline])
    app.settings, app.database = Settings(), Database(url)
    return app


def planned(url: str) -> int:
    """A plan of the old definition, applied by somebody who does not work; returns its number."""
    pipeline = ps.Pipeline("orders", Before, gaps=ps.SqlGaps(WANTED))

    @pipeline.step
    async def make(order: Before) -> None: ...

    app = app_of(url, pipeline)

    async def start() -> int:
        async with app.client() as client:
            return (await client.start(pipeline)).number

    return asyncio.run(start())


def test_a_unit_that_no_longer_fits_its_class_fails_its_run(database_url: str) -> None:
    planned(database_url)
    pipeline = ps.Pipeline(
        "orders", After, key=("n",), gaps=ps.SqlGaps("select n, 'x' as name from (" + WANTED + ") w")
    )

    @pipeline.step
    async def make(order: After) -> None: ...

    app = app_of(database_url, pipeline)
    summary = app.run(pipeline)
    assert summary.counts == {"failed": 2}
    app.close()


def test_a_loop_that_is_held_is_said_once_with_the_line_that_holds_it(database_url: str) -> None:
    pipeline = ps.Pipeline("orders", Before, gaps=ps.SqlGaps(WANTED))

    @pipeline.step
    async def block(order: Before) -> None:
        time.sleep(1.6)  # noqa: ASYNC251 - the mistake that is to be seen

    app = app_of(database_url, pipeline)

    async def work() -> list[str]:
        async with app.client() as client:
            await client.run(pipeline, lanes=1)
            lines = [line["message"] for number in (1, 2) for line in await client.logs(number)]
            held = (await client.health())["held"]
        assert held == lines
        return lines

    (line,) = asyncio.run(work())
    assert line.startswith("orders.block held the event loop for 1.")
    assert "so every other lane stood still (test_changed_definitions.py:" in line
    assert line.endswith("Make it a plain def, which runs in a thread, or use an async client.")
