"""kill -9 between a load and its step's record: no row of any layer is there twice, and none is missing.

Medallion's tables lose their keys first, so that a row which comes twice shows instead of being refused.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.world import World

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

KILLS = 10
"""A turn's; `make faults` takes ten turns or more."""
ROWS = 40
LOADS = 7
"""The most loads of a day: bronze, silver, two tables of gold; and those of a day that was left over."""
HEADER = "date,campaign_id,campaign,line_item_id,creative,impressions,clicks,conversions,spend,revenue,currency"
KEYS = """
alter table bronze.rows drop constraint rows_pkey; alter table silver.ad_rows drop constraint ad_rows_pkey;
alter table silver.rejected_rows drop constraint rejected_rows_pkey;
"""


def drop(inbox: Path, number: int) -> None:
    """One more day: 40 rows of 4 campaigns, one of them wrong."""
    day = f"2024-{number // 28 + 1:02}-{number % 28 + 1:02}"
    rows = [f"{day},C{n % 4},Name,L{n},banner,1000,10,1,1.00,2.00,USD" for n in range(ROWS - 1)]
    (inbox / f"{day}.csv").write_text("\n".join([HEADER, *rows, f"{day},C1,Name,L99,banner,x,0,0,0,0,USD", ""]))


def test_killed_between_the_load_and_its_record(world: World, chance: random.Random, turn: int) -> None:
    inbox = world.folder / "inbox"
    inbox.mkdir()
    world.program = world.program.with_name("layers.py")
    world.environ |= {
        "FAULTS_INBOX": str(inbox),
        "MEDALLION_LANDING_DIR": str(world.folder / "landings"),
        "MEDALLION_SETTLE_SECONDS": "0",
    }
    drop(inbox, 0)
    world.finish()
    for statement in KEYS.split(";")[:-1]:
        world.ask(statement)
    kills, days = 0, 1
    while kills < KILLS:
        drop(inbox, days)
        days += 1
        program = world.start(DIE_AFTER=chance.randrange(1, LOADS))
        program.ended()
        assert program.killed or program.process.returncode == 0, program.text
        kills += program.killed
    world.finish()
    assert world.ask("select count(*)::int, count(distinct (landing_id, line))::int from bronze.rows") == [
        (days * ROWS, days * ROWS)
    ]
    valid = days * (ROWS - 1)
    assert world.ask("select count(*)::int, count(distinct (landing_id, line))::int from silver.ad_rows") == [
        (valid, valid)
    ]
    assert world.ask("select count(*)::int, count(distinct landing_id)::int from silver.rejected_rows") == [
        (days, days)
    ]
    assert world.ask("select count(*)::int, sum(rows)::int, sum(spend)::int from gold.campaign_daily") == [
        (days * 4, valid, valid)
    ]
    assert world.ask("select count(*)::int, count(distinct landing_id)::int from gold.days") == [(days, days)]
    assert world.count("select count(*) from penstock.attempts where state = 'lost'") > 0
    assert {state for (state,) in world.ask("select state from penstock.runs")} == {"completed"}
