"""Figures that an operator sets: from the command line and with plain SQL, up to what a run then does."""

from __future__ import annotations

import psycopg
import pytest

from tests.acceptance.conftest import Cli


def ask(cli: Cli, statement: str) -> None:
    with psycopg.connect(cli.environment["url"]) as connection:
        connection.execute(statement.encode())


@pytest.fixture
def url(cli: Cli, database_url: str) -> str:
    cli.environment["url"] = database_url
    return database_url


def attempts(cli: Cli, *words: str) -> int:
    """How often a report of bank 3, which has no transcripts, is tried."""
    cli("run", "bank_id=3", "quarter=Q1", "--force", *words)
    run = cli("runs", "list", "--json").json[0]["number"]
    return int(cli("runs", "show", str(run), "--json").json["steps"][0]["attempts"])


def test_a_set_figure_holds_from_the_next_plan_on_and_unset_the_codes_again(cli: Cli) -> None:
    assert attempts(cli) == 1
    told = cli("overrides", "set", "retry.data.attempts", "3", "--pipeline", "reports", "--note", "until Friday")
    assert (told.status, told.out) == (0, "retry.data.attempts is 3 for pipeline reports, from the next plan on.\n")
    cli("overrides", "set", "retry.data.first", "0")
    assert attempts(cli) == 3
    listed = cli("overrides", "list", "--json").json
    assert [(row["pipeline"], row["name"], row["value"], row["note"], row["fault"]) for row in listed] == [
        (None, "retry.data.first", "0", None, None),
        ("reports", "retry.data.attempts", "3", "until Friday", None),
    ]
    assert "retry.data.attempts" in cli("overrides", "list").out
    told = cli("overrides", "unset", "retry.data.attempts", "--pipeline", "reports")
    assert told.out == "retry.data.attempts is as the code says, from the next plan on.\n"
    assert attempts(cli) == 1
    assert cli("overrides", "unset", "retry.data.attempts").status == 2


def test_plain_sql_does_as_well(cli: Cli, url: str) -> None:
    ask(cli, "insert into penstock.overrides (app, pipeline, name, value) values"
             " ('reports', '', 'retry.data.attempts', '2'),"
             " ('reports', '', 'retry.data.first', '0')")  # fmt: skip
    assert attempts(cli) == 2
    before = cli("overrides", "list", "--json").json[0]
    ask(cli, "update penstock.overrides set value = '4' where name = 'retry.data.attempts'")
    after = cli("overrides", "list", "--json").json[0]
    assert attempts(cli) == 4
    assert before["changed_by"]
    assert after["changed_at"] > before["changed_at"]


def test_an_open_plan_is_stale_when_a_figure_changes_and_an_applied_one_keeps_its_own(cli: Cli) -> None:
    cli("plan", "bank_id=1")
    cli("overrides", "set", "retry.attempts", "9")
    told = cli("apply", "1")
    assert told.status == 1
    assert "another definition of reports" in told.err
    cli("overrides", "unset", "retry.attempts")
    assert cli("apply", "1", "--json").json["counts"] == {"completed": 2}

    cli("overrides", "set", "retry.data.attempts", "2")
    cli("overrides", "set", "retry.data.first", "0")
    cli("run", "bank_id=3", "quarter=Q1")
    failed = cli("runs", "list", "--json").json[0]["number"]
    cli("retry", str(failed), "--no-wait")  # applied, and not begun
    cli("overrides", "set", "retry.data.attempts", "5")
    cli("apply", "3")
    newest = cli("runs", "list", "--json").json[0]["number"]
    assert cli("runs", "show", str(newest), "--json").json["steps"][0]["attempts"] == 2
    assert attempts(cli) == 5


@pytest.mark.parametrize(
    ("name", "value", "more", "says"),
    [
        ("retry.attempts", "many", [], "a whole number from 1 to 1000"),
        ("retry.tries", "2", [], "did you mean"),
        ("step.write.timeout", "2", [], "say whose with --pipeline"),
        ("step.wrote.timeout", "2", ["--pipeline", "reports"], "no step wrote; it has write, record"),
        ("timeout", "2", ["--pipeline", "report"], "did you mean reports?"),
    ],
)
def test_a_wrong_one_is_not_written(cli: Cli, name: str, value: str, more: list[str], says: str) -> None:
    told = cli("overrides", "set", name, value, *more)
    assert (told.status, told.out) == (2, "")
    assert says in told.err
    assert len(told.err.splitlines()) == 1
    assert cli("overrides", "list").out == "Nothing is set: the code's figures hold.\n"


def test_a_wrong_row_in_the_table_is_named_and_nothing_is_planned(cli: Cli, url: str) -> None:
    ask(cli, "insert into penstock.overrides (app, pipeline, name, value)"
             " values ('reports', 'reports', 'retry.limit', 'soon'), ('reports', 'gone', 'timeout', '1')")  # fmt: skip
    for words in (["plan"], ["run"]):
        told = cli(*words)
        assert (told.status, told.out) == (2, "")
        assert told.err.splitlines()[-1].startswith("Override retry.limit = 'soon' of pipeline reports: a time")
        assert "penstock overrides unset retry.limit --pipeline reports" in told.err
        assert "Traceback" not in told.err
    doctor = {check["check"]: check for check in cli("doctor", "--json").json}
    assert doctor["overrides"]["state"] == "problem"
    assert "retry.limit" in doctor["overrides"]["says"]
    listed = cli("overrides", "list")
    assert listed.status == 1
    assert "soon" in listed.out
    assert "gone" in listed.out
    cli("overrides", "unset", "retry.limit", "--pipeline", "reports")
    assert cli("plan").status == 0
    cli("overrides", "unset", "timeout", "--pipeline", "gone")
    assert cli("overrides", "list").status == 0


PRICED = """
from typing import NamedTuple
import penstock as ps

class Item(NamedTuple):
    n: int

calls = ps.Quota("calls", 10, reserve=1)
items = ps.Pipeline("items", Item, gaps=ps.SqlGaps("select n from generate_series(1, 4) n"), cost={calls: 1})

@items.step
async def make(item: Item, ctx: ps.Context[Item]) -> None:
    async with ctx.spend(calls, 1):
        pass

app = ps.App("priced", [items])
"""


def test_a_quotas_figures_hold_at_once(cli: Cli, url: str) -> None:
    cli.write("priced.py", PRICED)
    cli.set("PENSTOCK_APP", "priced.py")
    cli("plan")
    assert cli("overrides", "set", "quota.calls.limit", "3").status == 0
    cli("overrides", "set", "quota.calls.reserve", "0.5")
    ask(
        cli,
        "insert into penstock.overrides (app, pipeline, name, value) values ('other', '', 'quota.calls.limit', '1')",
    )
    (quota,) = cli("quota", "--json").json
    assert (float(quota["limit"]), float(quota["reserve"])) == (3.0, 0.5)
    told = cli("run", "--json")
    assert (told.status, told.json["counts"]) == (0, {"completed": 2})
    cli("overrides", "unset", "quota.calls.limit")
    ask(cli, "update penstock.overrides set value = 'lots' where name = 'quota.calls.reserve'")
    (quota,) = cli("quota", "--json").json
    assert (float(quota["limit"]), float(quota["reserve"])) == (10.0, 1.0)
    told = cli("plan")
    assert told.status == 2
    assert "Override quota.calls.reserve = 'lots' of app priced: an amount" in told.err
