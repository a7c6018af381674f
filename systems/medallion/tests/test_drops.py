"""Drop folders: what is taken, what is left alone, and what is not taken twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest

from medallion.drops import arrivals, day_of
from medallion.feeds import Feed, FeedConfig
from medallion.pipelines import etl, ingestion
from systems.medallion.tests.world import World, line, text_of


def seen(folder: Path, *, now: float, settle: float = 0, pattern: str = "*") -> list[str]:
    feed = Feed(uuid4(), 1, "Drop", "drop", FeedConfig(folder=folder, pattern=pattern), True)
    return [arrival.part for arrival in arrivals([feed], now=now, settle=settle)]


def test_only_complete_files_are_taken(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv.part", "c.tmp", ".hidden.csv", "d.csv.CRDOWNLOAD", "e.txt"):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (100, 100))
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    assert seen(tmp_path, now=200) == ["a.csv", "e.txt"]
    assert seen(tmp_path, now=200, pattern="*.csv") == ["a.csv"]
    assert seen(tmp_path, now=109, settle=10) == []
    assert seen(tmp_path, now=110, settle=10) == ["a.csv", "e.txt"]


def test_a_file_that_somebody_writes_to_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "2024-12-20.csv"
    with path.open("w") as writer:
        writer.write("half a")
        writer.flush()
        os.utime(path, (100, 100))
        assert seen(tmp_path, now=1_000_000, settle=10) == []
    assert seen(tmp_path, now=1_000_000, settle=10) == ["2024-12-20.csv"]


def test_looking_does_no_harm_to_who_writes_nor_to_who_looks(tmp_path: Path) -> None:
    """In a process of its own: the signal that tells of a writer would end it."""
    path = tmp_path / "2024-12-20.csv"
    path.write_text("x")
    writer = "import sys, time; end = time.time() + 1.5\nwhile time.time() < end: open(sys.argv[1], 'a').close()"
    looker = (
        "import sys, time; from pathlib import Path; from medallion.drops import _being_written\n"
        "end = time.time() + 1.5\n"
        "while time.time() < end: _being_written(Path(sys.argv[1]))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", writer, str(path)]) for _ in range(2)]
    looking = subprocess.run([sys.executable, "-c", looker, str(path)], check=False, timeout=60)
    assert [process.wait(60) for process in writers] == [0, 0]
    assert looking.returncode == 0


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("2024-12-20.csv", date(2024, 12, 20)),
        ("dv360_20241220_v2.csv.gz", date(2024, 12, 20)),
        ("report 2024.12.20.xlsx", date(2024, 12, 20)),
        ("performance_2020Q2.csv", date(2020, 6, 30)),
        ("spend-2024-02.csv", date(2024, 2, 29)),
        ("2024-02-30.csv", date(2024, 2, 29)),
        ("12345678901234.csv", date(1970, 1, 2)),
        ("latest.csv", date(1970, 1, 2)),
    ],
)
def test_the_day_of_a_file(name: str, day: date) -> None:
    assert day_of(name, 100_000) == day


async def test_a_file_is_taken_once(world: World) -> None:
    await world.feed()
    world.drop("2024-12-20.csv", line())
    assert (await world.run(ingestion)).counts == {"completed": 1}
    assert (await world.run(ingestion)).counts == {}
    os.utime(world.inbox / "2024-12-20.csv", (1, 1))  # touched: it is looked at again, and is the same
    assert (await world.run(ingestion)).counts == {"completed": 1}
    assert world.one("select count(*) from bronze.landings") == 1
    assert (await world.run(etl)).counts == {"completed": 1}
    assert (await world.run(etl)).counts == {}


async def test_the_same_content_under_two_names_is_counted_once_in_gold(world: World) -> None:
    await world.feed()
    world.drop("2024-12-20_a.csv", line(spend="5.00"))
    world.drop("2024-12-20_b.csv", line(spend="5.00"), line(item="L2", spend="1.00"))
    await world.through()
    assert world.spend() == {(date(2024, 12, 20), "C1"): 6.0}


async def test_what_comes_later_is_found_and_the_rest_is_not_done_again(world: World) -> None:
    await world.feed()
    world.drop("2024-12-20.csv", line())
    await world.through()
    before = world.one("select published_at from gold.days")
    world.drop("2024-12-21.csv", line("2024-12-21"))
    await world.through()
    assert world.one("select published_at from gold.days where day = '2024-12-20'") == before
    assert sorted(world.spend()) == [(date(2024, 12, 20), "C1"), (date(2024, 12, 21), "C1")]


async def test_a_file_that_changes_between_plan_and_fetch_waits_for_the_next_look(world: World) -> None:
    await world.feed()
    path = world.drop("2024-12-20.csv", line())
    async with world.client() as client:
        plan = await client.plan(ingestion)
        path.write_text(text_of(line(spend="99.00")))
        os.utime(path, (50, 50))
        done = await client.apply(plan)
        assert done.failed[0].error_class == "no_data"
        assert "was written to since it was seen" in str(done.failed[0].error)
        assert world.one("select count(*) from bronze.landings") == 0
        assert (await client.run(ingestion)).counts == {"completed": 1}


def drop_named(folder: Path, name: bytes) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text(text_of(line()))
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")


async def test_a_name_that_is_no_text_stops_no_other_file(world: World) -> None:
    await world.feed()
    drop_named(world.inbox, b"2024-12-19\xff.csv")
    world.drop("2024-12-20.csv", line())
    assert (await world.through())["ETLWorkflow"].ok
    assert len(world.spend()) == 1


async def test_files_of_one_name_in_two_folders_are_two(world: World) -> None:
    await world.feed(pattern="**/*.csv")
    for folder, item in (("east", "L1"), ("west", "L2")):
        (world.inbox / folder).mkdir()
        (world.inbox / folder / "2024-12-20.csv").write_text(text_of(line(item=item)))
    assert (await world.through())["ETLWorkflow"].ok
    assert world.spend() == {(date(2024, 12, 20), "C1"): 10.0}
    parts = world.rows("select part, name from bronze.landings order by part")
    assert [(row["part"], row["name"]) for row in parts] == [
        ("east/2024-12-20.csv", "2024-12-20.csv"),
        ("west/2024-12-20.csv", "2024-12-20.csv"),
    ]


@pytest.mark.parametrize("pattern", ["", ".", "/srv/*.csv", "../other/*.csv", "a**/*.csv", "a\0"])
def test_a_pattern_stays_within_its_folder(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValueError, match=r"names no files of the folder"):
        FeedConfig(folder=tmp_path, pattern=pattern)


async def test_a_folder_that_is_gone_stops_no_other_feed(world: World) -> None:
    gone = world.folder / "gone"
    gone.mkdir()
    await world.feed("Gone", folder=str(gone))
    gone.rmdir()
    await world.feed()
    world.drop("2024-12-20.csv", line())
    assert (await world.through())["ETLWorkflow"].ok
    assert len(world.spend()) == 1


def test_a_folder_that_cannot_be_read_stops_no_other_feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, inbox = tmp_path / "closed", tmp_path / "inbox"
    for folder in (closed, inbox):
        folder.mkdir()
        (folder / "2024-12-20.csv").write_text("x")
    glob = Path.glob

    def refused(path: Path, pattern: str) -> Iterator[Path]:  # permissions do not hold for root, who may run this
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return glob(path, pattern)

    monkeypatch.setattr(Path, "glob", refused)
    feeds = [Feed(uuid4(), 1, folder.name, "drop", FeedConfig(folder=folder), True) for folder in (closed, inbox)]
    found = arrivals(feeds, now=time.time() + 10, settle=0)
    assert [arrival.path for arrival in found] == [str(inbox / "2024-12-20.csv")]
