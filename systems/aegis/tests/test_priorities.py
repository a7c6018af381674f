"""What comes before what: per bank, per period, or both; within a bank one at a time all the same."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from aegis.institutions import load_institutions
from aegis.samples import write_samples
from systems.aegis.tests.commands import Commands

BANKS = load_institutions()
ORDER = """
select u.unit ->> 'bank_symbol', u.unit ->> 'quarter'
from penstock.v1_runs r join penstock.v1_run_units u on u.run = r.id order by r.started_at, r.number
"""


@pytest.fixture
def commands(tmp_path: Path, database_url: str) -> Commands:
    """An installation with two quarters of four banks."""
    commands = Commands(database_url, tmp_path)
    for path in write_samples(tmp_path / "calls"):
        if path.name.split("_")[0] not in ("RY", "BMO", "CM", "GS"):
            path.unlink()
    commands.ingest(tmp_path / "calls")
    return commands


def prioritise(commands: Commands, *words: str) -> str:
    done = commands.module("aegis.priorities", *words)
    assert done.code == 0, done
    return done.out


def order(commands: Commands) -> list[str]:
    """The order in which call summaries are begun, one at a time."""
    done = commands.orchestrate("--etl-type", "call_summary", "--max-parallel", "1")
    assert done.code == 0, done
    return [f"{symbol} {quarter}" for symbol, quarter in commands.rows(ORDER)]


def test_without_priorities_the_newest_of_each_bank_comes_first(commands: Commands) -> None:
    done = order(commands)
    for symbol in ("RY", "BMO", "CM", "GS"):
        assert done.index(f"{symbol} Q2") < done.index(f"{symbol} Q1")


def test_a_bank_comes_first_in_its_own_order_and_its_statistics_tell_of_it(commands: Commands) -> None:
    assert prioritise(commands, "set", "3", "--bank", "CM") == "CM: priority 3, from the next run on.\n"
    assert order(commands)[:2] == ["CM Q2", "CM Q1"]
    told = commands.rows(
        "select bank_symbol, periods, reports, completed_30_days, failed_30_days, p50_seconds > 0, last_error"
        " from aegis_bank_statistics order by 1"
    )
    assert told == [(symbol, 2, 2, 2, 0, True, None) for symbol in ("BMO", "CM", "GS", "RY")]


def test_a_period_comes_first_at_every_bank(commands: Commands) -> None:
    prioritise(commands, "set", "2", "--year", "2025", "--quarter", "Q1")
    done = order(commands)
    for symbol in ("RY", "BMO", "CM", "GS"):
        assert done.index(f"{symbol} Q1") < done.index(f"{symbol} Q2")


def test_the_narrowest_holds(commands: Commands) -> None:
    prioritise(commands, "set", "2", "--year", "2025", "--quarter", "Q1")
    prioritise(commands, "set", "-4", "--bank", "GS")
    prioritise(commands, "set", "5", "--bank", "GS", "--year", "2025", "--quarter", "Q2")
    prioritise(commands, "set", "4", "--year", "2025")
    plan = commands.run(["-c", SHOWN])
    assert plan.code == 0, plan
    shown = dict(line.rsplit(" ", 1) for line in plan.lines)
    assert shown == {
        "GS Q2": "5",  # its own
        "GS Q1": "-4",  # its bank's, though the quarter has one
        **{f"{symbol} Q1": "2" for symbol in ("RY", "BMO", "CM")},  # the quarter's, though the year has one
        **{f"{symbol} Q2": "4" for symbol in ("RY", "BMO", "CM")},
    }
    listed = prioritise(commands, "list").splitlines()
    assert listed == ["  5  GS 2025 Q2", "  4  all banks 2025", "  2  all banks 2025 Q1", " -4  GS"]
    prioritise(commands, "unset", "--bank", "GS")
    assert commands.module("aegis.priorities", "unset", "--bank", "GS").code == 1


SHOWN = """
from aegis.pipelines import app, reports
for gap in app.plan(reports, where={"report_type": "Call Summary"}):
    print(gap.unit.bank_symbol, gap.unit.quarter, gap.priority)
"""


def test_plain_sql_does_as_well_and_nonsense_is_refused(commands: Commands) -> None:
    bank = BANKS["CM"].id
    commands.execute(f"insert into aegis_priorities (bank_id, priority) values ({bank}, 3)")
    assert prioritise(commands, "list") == "  3  CM\n"
    assert order(commands)[:2] == ["CM Q2", "CM Q1"]
    for wrong in (
        f"({bank}, null, null, 1)",  # a second one of the same bank
        "(null, null, null, 1)",  # of nothing
        "(null, null, 'Q1', 1)",  # of a quarter of no year
        "(null, 2025, 'Q5', 1)",
    ):
        with pytest.raises(psycopg.errors.IntegrityError):
            commands.execute(f"insert into aegis_priorities values {wrong}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["set", "1"], "Say a bank, a period or both"),
        (["set", "1", "--quarter", "Q1"], "A quarter needs its year"),
        (["set", "1", "--bank", "RYY"], "did you mean RY?"),
        (["set", "6", "--bank", "RY"], "'6' is not a whole number from -4 to 5"),
        (["unset", "--year", "2031"], "No priority is set for all banks 2031."),
    ],
)
def test_wrong_use_is_said_in_a_line(commands: Commands, words: list[str], says: str) -> None:
    done = commands.module("aegis.priorities", *words)
    assert done.code in (1, 2)
    assert says in done.out + done.err
    assert "Traceback" not in done.out + done.err


def test_a_table_of_an_earlier_version_is_widened_with_what_it_holds(tmp_path: Path, database_url: str) -> None:
    commands = Commands(database_url, tmp_path)
    commands.execute(
        "create table aegis_priorities (bank_id integer not null, fiscal_year integer not null,"
        " quarter varchar not null, priority integer not null, unique (bank_id, fiscal_year, quarter))"
    )
    commands.execute(f"insert into aegis_priorities values ({BANKS['RY'].id}, 2025, 'Q2', 4)")
    write_samples(tmp_path / "calls")
    commands.ingest(tmp_path / "calls")
    prioritise(commands, "set", "1", "--bank", "BMO")
    assert prioritise(commands, "list") == "  4  RY 2025 Q2\n  1  BMO\n"
