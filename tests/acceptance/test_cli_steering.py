from __future__ import annotations

import pytest

from tests.acceptance.conftest import Cli


def failed_run(cli: Cli) -> str:
    cli("run", "bank_id=3", "quarter=Q1")
    return str(cli("runs", "list", "--state", "failed", "--json").json[0]["number"])


def test_retry_makes_a_new_run_and_carries_it_out(cli: Cli) -> None:
    run = failed_run(cli)
    assert cli("retry", run).status == 1
    cli.set("TEST_MENDED", "1")
    told = cli("retry", run, "--json")
    assert (told.status, told.json["counts"]) == (0, {"completed": 1})


def test_retry_without_waiting_leaves_it_to_apply(cli: Cli) -> None:
    run = failed_run(cli)
    cli.set("TEST_MENDED", "1")
    told = cli("retry", run, "--no-wait")
    assert told.status == 0
    assert "is tried again as plan 2" in told.out
    assert cli("runs", "list", "--state", "scheduled", "--json").json[0]["units"][0]["bank_id"] == 3
    assert cli("apply", "2", "--json").json["counts"] == {"completed": 1}


def test_what_completed_is_not_tried_again(cli: Cli) -> None:
    cli("run", "bank_id=1", "quarter=Q1")
    told = cli("retry", "1")
    assert (told.status, told.out) == (1, "")
    assert "Every unit of run 1 completed" in told.err
    assert cli("retry", "99").status == 2


def test_cancel_a_run_and_a_plan(cli: Cli) -> None:
    run = failed_run(cli)
    cli("retry", run, "--no-wait")
    new = cli("runs", "list", "--json").json[0]["number"]
    assert cli("cancel", str(new)).out == f"Run {new} is cancelled.\n"
    assert cli("cancel", str(new)).out == f"Run {new} is cancelled.\n"
    cli("retry", run, "--no-wait")
    assert [each["state"] for each in cli("cancel", "--plan", "3", "--json").json] == ["cancelled"]
    assert cli("cancel", "--plan", "3").out == "No live runs: nothing to cancel.\n"


@pytest.mark.parametrize(
    "words",
    [["cancel"], ["cancel", "1", "--plan", "2"], ["cancel", "x"], ["pause"], ["resume", "1", "--pipeline", "reports"]],
)
def test_one_thing_at_a_time(cli: Cli, words: list[str]) -> None:
    told = cli(*words)
    assert (told.status, told.out) == (2, "")
    assert len(told.err.splitlines()) == 1


def test_cancel_of_a_run_that_is_not_there(cli: Cli) -> None:
    told = cli("cancel", "99")
    assert told.status == 2
    assert "no run 99" in told.err


def test_a_paused_pipeline_starts_nothing_until_it_is_resumed(cli: Cli) -> None:
    cli("plan", "bank_id=1")
    assert "until penstock resume --pipeline reports" in cli("pause", "--pipeline", "reports").out
    told = cli("apply", "1")
    assert told.status == 0
    assert "2 runs deferred" in told.out
    assert cli("resume", "--pipeline", "reports").out == "Pipeline reports goes on.\n"
    assert cli("apply", "1", "--json").json["counts"] == {"completed": 2}


def test_a_paused_plan(cli: Cli) -> None:
    cli("plan", "bank_id=1")
    assert cli("pause", "1", "--json").json == {"plan": 1, "pipeline": None, "paused": True}
    assert cli("apply", "1", "--json").json["deferred"] == 2
    cli("resume", "1")
    assert cli("apply", "1", "--json").json["counts"] == {"completed": 2}
    assert cli("pause", "55").status == 2
    assert "did you mean reports?" in cli("pause", "--pipeline", "report").err
