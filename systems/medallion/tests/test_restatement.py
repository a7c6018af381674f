"""A source that sends a day again with other figures: the latest is in gold, and nothing that was received is lost."""

from __future__ import annotations

import os
from datetime import date

import pytest

from medallion.pipelines import etl, ingestion
from systems.medallion.tests.world import World, line, text_of

DAY, NEXT = date(2024, 12, 20), date(2024, 12, 21)


def restate(world: World, name: str, at: int, *lines: str) -> None:
    path = world.inbox / name
    path.write_text(text_of(*lines))
    os.utime(path, (at, at))


async def test_the_latest_is_in_gold_and_the_history_in_bronze(world: World) -> None:
    await world.feed()
    restate(world, "2024-12-20.csv", 1, line(spend="5.00"), line(item="L2", spend="2.00"), line(campaign="C2"))
    await world.through()
    assert world.spend() == {(DAY, "C1"): 7.0, (DAY, "C2"): 5.0}
    restate(world, "2024-12-20.csv", 2, line(spend="6.00"), line(item="L2", spend="2.00"))
    await world.through()
    assert world.spend() == {(DAY, "C1"): 8.0}, "a campaign that was taken back is gone"
    assert world.rows("select day, count(*) n, count(distinct sha256) v from bronze.landings group by 1") == [
        {"day": DAY, "n": 2, "v": 2}
    ]
    assert world.one("select count(*) from bronze.rows") == 5
    assert world.one("select count(distinct landing_id) from silver.ad_rows") == 1, "silver keeps what gold is made of"


async def test_what_was_taken_back_comes_again(world: World) -> None:
    await world.feed()
    for at, spend in enumerate(("5.00", "6.00", "5.00"), start=1):
        restate(world, "2024-12-20.csv", at, line(spend=spend))
        await world.through()
        assert world.spend() == {(DAY, "C1"): float(spend)}
    assert world.one("select count(*) from bronze.landings") == 2


async def test_a_report_that_moves_to_another_day_leaves_its_old_one(world: World) -> None:
    await world.feed()
    restate(world, "2024-12-20.csv", 1, line(), line("2024-12-21"))
    await world.through()
    assert sorted(world.spend()) == [(DAY, "C1"), (NEXT, "C1")]
    restate(world, "2024-12-20.csv", 2, line("2024-12-21", spend="1.00"))
    await world.through()
    assert world.spend() == {(NEXT, "C1"): 1.0}


@pytest.mark.parametrize("order", [("2024-12-20.csv", "2024-12-21.csv"), ("2024-12-21.csv", "2024-12-20.csv")])
async def test_of_snapshots_that_overlap_the_newer_day_counts_whatever_came_first(
    world: World, order: tuple[str, str]
) -> None:
    await world.feed()
    snapshots = {
        "2024-12-20.csv": [line(spend="5.00"), line(item="L2", spend="1.00")],
        "2024-12-21.csv": [line(spend="6.00"), line("2024-12-21", spend="3.00")],
    }
    for name in order:
        world.drop(name, *snapshots[name])
        await world.through()
    assert world.spend() == {(DAY, "C1"): 7.0, (NEXT, "C1"): 3.0}


async def test_a_restatement_that_is_mostly_wrong_leaves_what_was_published(world: World) -> None:
    await world.feed()
    restate(world, "2024-12-20.csv", 1, line(spend="5.00"))
    await world.through()
    restate(world, "2024-12-20.csv", 2, line(spend="x"), line(item="L2", spend="y"), line(item="L3", spend="9.00"))
    done = (await world.through())["ETLWorkflow"]
    assert [(run.state, run.error_class) for run in done.failed] == [("failed", "rejected")]
    assert "Only 1 of 3 rows of 2024-12-20 are valid (33.33 %" in str(done.failed[0].error)
    assert world.spend() == {(DAY, "C1"): 5.0}
    assert len(world.rejected()) == 2, "why is kept"
    assert (await world.run(etl)).counts == {}, "it is remembered"
    restate(world, "2024-12-21.csv", 3, line("2024-12-21"), line(item="L4", spend="1.00"))
    await world.through()
    assert world.spend() == {(DAY, "C1"): 6.0, (NEXT, "C1"): 5.0}, "what was rejected counts nowhere"
    restate(world, "2024-12-20.csv", 4, line(spend="7.00"))
    await world.through()
    assert world.spend()[DAY, "C1"] == 8.0


async def test_one_bad_day_of_a_batch_holds_back_no_other(world: World) -> None:
    await world.feed()
    world.drop("2024-12-20.csv", line(spend="x"))
    world.drop("2024-12-21.csv", line("2024-12-21"))
    done = (await world.through())["ETLWorkflow"]
    assert done.counts == {"partial": 1}
    assert list(world.spend()) == [(NEXT, "C1")]


async def test_forced_makes_it_all_again_and_changes_nothing(world: World) -> None:
    await world.feed()
    world.drop("2024-12-20.csv", line(), line(item="L2", clicks="x"), line(item="L3"))
    await world.through()
    before = (world.spend(), world.rejected(), world.one("select count(*) from silver.ad_rows"))
    assert (await world.run(etl, force=True)).counts == {"completed": 1}
    assert (await world.run(etl)).counts == {}
    assert (await world.run(ingestion, force=True)).counts == {"completed": 1}
    assert (await world.run(etl)).counts == {"completed": 1}, "by force from the first to the last layer"
    assert (await world.run(etl)).counts == {}
    assert (world.spend(), world.rejected(), world.one("select count(*) from silver.ad_rows")) == before
    assert world.one("select count(*) from bronze.rows") == 3
