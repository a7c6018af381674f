"""Migrations while others are at work: they wait for each other briefly, and an older process goes on undisturbed."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Final

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from penstock.ledger import migrate
from penstock.model.errors import LedgerUnavailable, SettingError
from tests.faults.world import World, race_to_upgrade, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

UNITS, LANES = 150, 24
TABLES: Final = ("units", "active", "runs", "run_units", "lanes", "attempts", "calls", "processes", "plans")
ADDITIVE: Final = '''"""What the next version of Penstock might add."""

from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    for table in {tables}:
        op.execute(f"alter table {{table}} add column later_{revision} int default 1")
        op.execute(f"create index on {{table}} (later_{revision})")
    op.execute("create table later_{revision} (id bigint generated always as identity primary key)")
'''


class Future:
    """Migrations that this version of Penstock does not have; one more with each call of `add`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch
        self._own = migrate._config
        self.head = ScriptDirectory.from_config(self._own()).get_current_head()
        self._count = 0

    def add(self, tables: list[str]) -> None:
        self._count += 1
        revision = f"9{self._count:03}"
        text = ADDITIVE.format(revision=revision, before=self.head, tables=tables)
        (self._folder / f"{revision}_later.py").write_text(text)
        self.head = revision

    def comes(self) -> None:
        """From here on this process is the newer version; programs that it starts are not."""

        def config() -> Config:
            both = self._own()
            own = Path(str(both.get_main_option("script_location"))) / "versions"
            both.set_main_option("path_separator", "newline")
            both.set_main_option("version_locations", f"{own}\n{self._folder}")
            return both

        self._monkeypatch.setattr(migrate, "_config", config)


@pytest.fixture
def future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Future:
    folder = tmp_path / "later"
    folder.mkdir()
    return Future(folder, monkeypatch)


def test_an_additive_one_under_work(world: World, future: Future, chance: random.Random, turn: int) -> None:
    """Older processes go on: what they write goes into the new tables, and no run is put off."""
    world.prepare(UNITS, LANES)
    programs = [world.start(PENSTOCK_LANES=4) for _ in range(2)]
    assert all(world.wait_for_entries(1, program, own=True) for program in programs)
    future.comes()
    for _ in range(3):
        if not world.wait_for_entries(chance.randrange(1, 60), programs[0]):
            break
        future.add(chance.sample(TABLES, len(TABLES)))  # in any order: locks that are taken crosswise
        assert migrate.upgrade(world.url).revision == future.head
    assert [program.ended() for program in programs] == [0, 0], [program.text for program in programs]
    world.assert_complete(UNITS)
    assert world.count("select count(*) from penstock.runs where later_9001 is null") == 0
    assert world.lost_processes() == []
    assert not any("cannot go on here" in program.text for program in programs), [p.text for p in programs]


def test_two_race(empty_database_url: str, tmp_path: Path, turn: int) -> None:
    """From nothing: one migrates, the others wait for it and find all done."""
    race_to_upgrade(empty_database_url)
    world = World(empty_database_url, tmp_path)
    assert world.count("select count(*) from penstock.migrations") == 1
    world.prepare(6, 2)
    world.finish()
    world.assert_complete(6)


def test_an_older_program_does_not_start_on_a_newer_schema(world: World, future: Future) -> None:
    """It cannot know what it would do there; it says so, and does nothing."""
    world.prepare(3, 1)
    future.comes()
    future.add(["runs"])
    migrate.upgrade(world.url)
    program = world.start()
    assert program.ended() == 1
    assert program.text.startswith(
        "error: The ledger's schema is at revision 9001, and this Penstock knows those up to"
    )
    assert "Traceback" not in program.text
    assert world.entries() == []


def test_tables_that_are_never_free(world: World, future: Future, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's long transaction: the migration gives up with a message, and nobody queues up behind it."""
    world.prepare(24, 12)
    monkeypatch.setattr(migrate, "PATIENCE", 4.0)
    monkeypatch.setattr(migrate, "LOCK_WAIT", 0.3)
    future.comes()
    future.add(list(TABLES))
    told: list[str] = []

    def try_it() -> None:
        try:
            migrate.upgrade(world.url)
        except (LedgerUnavailable, SettingError) as error:
            told.append(str(error))

    with migrate._connect(world.url) as connection:
        connection.exec_driver_sql("select count(*) from penstock.processes")
        thread = threading.Thread(target=try_it)
        thread.start()
        world.finish()
        until(lambda: told, "it gives up", patience=30)
        thread.join()
    assert "in use for 4 s" in told[0]
    world.assert_complete(24)
    assert migrate.upgrade(world.url).current
