"""The database's disk is full while runs go on: nothing is half written, and all of it goes on when there is room.

The data directory is on a small tmpfs, which only root may mount. A heap that cannot grow is an error of a statement; a
log that cannot grow takes the whole server down, which does not come up before there is room.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults.server import Server
from tests.faults.world import World, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

UNITS, LANES = 120, 12
SIZE = 160 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o711)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=711", "tmpfs", str(folder)]
    tried = subprocess.run(mount, capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {tried.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def server(small_disk: Path) -> Iterator[Server]:
    """All that it has is on the small disk."""
    made = Server(small_disk)
    made.start()
    yield made
    made.end()


@pytest.fixture
def tables_only(small_disk: Path, own_server: Server) -> Iterator[str]:
    """The URL of a database whose tables are on the small disk, and whose log is not."""
    if own_server.process is None or own_server.process.poll() is not None:
        own_server.start()
    place = small_disk / "tables"
    place.mkdir(mode=0o700)
    os.chown(place, *own_server.owner)
    with psycopg.connect(own_server.url, autocommit=True) as connection:
        connection.execute(f"create tablespace small location '{place}'".encode())
        connection.execute("create database small tablespace small")
        fill(small_disk, leave=16 << 20)
        yield own_server.url.rpartition("/")[0] + "/small"
        connection.execute("drop database small with (force)")
        connection.execute("drop tablespace small")


def fill(disk: Path, leave: int = 0) -> None:
    """Take all that is left but so much; what the server frees meanwhile as well."""
    with contextlib.suppress(OSError), (disk / "ballast").open("ab", buffering=0) as file:
        while os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > leave:
            file.write(bytes(1 << 16))


def is_dead(server: Server) -> bool:
    assert server.process is not None
    return server.process.poll() is not None


def test_what_waits_for_room_goes_on(
    server: Server, small_disk: Path, tmp_path: Path, chance: random.Random, turn: int
) -> None:
    world = World(server.url, tmp_path)
    try:
        world.prepare(UNITS, LANES)
        programs = [world.start(PENSTOCK_LANES=4, BIG=20_000) for _ in range(2)]
        assert all(world.wait_for_entries(1, program, own=True) for program in programs)
        assert world.wait_for_entries(chance.randrange(1, 40), programs[0])

        def noticed() -> bool:
            fill(small_disk)
            return is_dead(server) or "No space left on device" in server.log

        until(noticed, "the server is out of room")
        pause = time.monotonic() + chance.random() * 2
        until(lambda: time.monotonic() > pause, "the programs have met it")
        assert [program.process.poll() for program in programs] == [None, None], [p.text for p in programs]
        (small_disk / "ballast").unlink()
        with contextlib.suppress(AssertionError):  # it may be on its way down
            until(server.answers, "the server answers", patience=10)
        if is_dead(server):
            server.start()
        until(server.answers, "the server is back")
        assert [program.ended() for program in programs] == [0, 0], [program.text for program in programs]
        world.assert_complete(UNITS)
        assert world.count("select count(*) from public.big") == UNITS
        assert not any("Traceback" in program.text for program in programs)
    finally:
        world.end()


def test_tables_that_cannot_grow_wait_for_room(  # noqa: PLR0917 - fixtures
    tables_only: str, own_server: Server, small_disk: Path, tmp_path: Path, chance: random.Random, turn: int
) -> None:
    """The server is well; only what needs another page fails, and is tried again: a load, a record, a claim."""
    world, before = World(tables_only, tmp_path), own_server.log.count("No space left")
    try:
        world.prepare(UNITS, LANES)
        programs = [world.start(PENSTOCK_LANES=4, BIG=20_000) for _ in range(2)]
        assert all(world.wait_for_entries(1, program, own=True) for program in programs)
        fill(small_disk)
        until(lambda: own_server.log.count("No space left") > before + 4, "statements find no room")
        pause = time.monotonic() + chance.random() * 2
        until(lambda: time.monotonic() > pause, "they try again")
        assert [program.process.poll() for program in programs] == [None, None], [p.text for p in programs]
        (small_disk / "ballast").unlink()
        assert [program.ended() for program in programs] == [0, 0], [program.text for program in programs]
        world.assert_complete(UNITS)
        assert world.count("select count(*) from public.big") == UNITS
    finally:
        world.end()


def test_a_plan_without_room_says_so(server: Server, small_disk: Path, tmp_path: Path) -> None:
    """The statement that finds no room fails with a message, and leaves no plan half made."""
    world = World(server.url, tmp_path)
    world.prepare(0, 1)
    world.want(0, 60_000, 1)
    fill(small_disk)
    program = world.start(DO="plan")
    status = program.ended()
    (small_disk / "ballast").unlink()
    assert status == 1, program.text
    assert "Traceback" not in program.text
    assert "no room" in program.text or "does not answer" in program.text
    if is_dead(server):
        server.start()
    until(server.answers, "the server is back")
    with psycopg.connect(server.url) as connection:
        left = connection.execute("select count(*) from penstock.plans where summary is null").fetchone()
    assert left == (0,)
    assert world.finish(DO="plan").text.strip().isdigit()
