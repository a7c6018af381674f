from __future__ import annotations

import re

import pytest

from tests.acceptance.conftest import Cli


@pytest.fixture
def ran(cli: Cli) -> Cli:
    """All six, one lane after the other."""
    cli("run", "--lanes", "1")
    return cli


def number_of(cli: Cli, *words: str) -> int:
    return int(cli("runs", "list", "--json", *words).json[0]["number"])


def test_runs_are_listed_newest_first(ran: Cli) -> None:
    lines = ran("runs", "list").out.splitlines()
    assert lines[0].split() == ["run", "unit", "state", "started", "took", "error"]
    numbers = [int(line.split()[0]) for line in lines[1:]]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 6
    assert len(ran("runs", "list", "--limit", "2", "--json").json) == 2


def test_runs_by_state_time_and_unit(ran: Cli) -> None:
    failed = ran("runs", "list", "reports", "--state", "failed", "--json").json
    assert [run["units"][0]["bank_id"] for run in failed] == [3, 3]
    assert len(ran("runs", "list", "--since", "1h", "--json").json) == 6
    assert ran("runs", "list", "--since", "2099-01-01").out == "No such runs.\n"
    one = ran("runs", "list", "--unit", "bank_id=1", "--unit", "quarter=Q1", "--json").json
    assert [run["units"][0] for run in one] == [{"bank_id": 1, "symbol": "B1", "quarter": "Q1"}]


def test_no_runs_yet(cli: Cli) -> None:
    assert cli("runs", "list").out == "No runs yet: penstock run makes some.\n"
    told = cli("runs", "show", "1")
    assert told.status == 2
    assert told.err == "There is no run 1, nor any other yet: penstock run makes some.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--state", "faild"], "; did you mean failed?"),
        (["--since", "yesterdy"], "is no time; write 30m, 2h, 7d"),
        (["--unit", "bank_id=1"], "A unit of reports is told by bank_id=… quarter=…; quarter is missing."),
        (["rep"], "No pipeline is called rep in app reports"),
    ],
)
def test_runs_list_with_words_that_do_not_fit(cli: Cli, words: list[str], said: str) -> None:
    told = cli("runs", "list", *words)
    assert (told.status, told.out) == (2, "")
    assert said in told.err


def test_a_run_with_its_steps(ran: Cli) -> None:
    run = str(number_of(ran, "--state", "failed"))
    told = ran("runs", "show", run).out
    assert told.startswith(f"Run {run} of reports: failed\n")
    assert "error    no [transcript] data found (data)" in told
    assert re.search(r"write\s+failed\s+1 ", told)
    assert re.search(r"record\s+skipped", told)
    body = ran("runs", "show", run, "--json").json
    assert [step["state"] for step in body["steps"]] == ["failed", "skipped"]
    assert ran("runs", "show", body["id"]).out == told


def test_attempts_count_the_first(ran: Cli) -> None:
    run = str(number_of(ran, "--unit", "bank_id=2", "--unit", "quarter=Q2"))
    steps = ran("runs", "show", run, "--json").json["steps"]
    assert [(step["step"], step["attempts"], step["output"]) for step in steps] == [
        ("write", 2, "short text"),
        ("record", 1, 2),
    ]


def test_a_run_that_is_not_there_names_the_newest(ran: Cli) -> None:
    for words in (["runs", "show", "99"], ["logs", "99"]):
        told = ran(*words)
        assert (told.status, told.out) == (2, "")
        assert "There is no run 99" in told.err
        assert f"The newest is run {number_of(ran)}." in told.err


def test_logs(ran: Cli) -> None:
    told = ran("logs", "1").out
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  INFO     write#1  writing  style=short\n", told)
    assert ran("logs", "1", "--json").json[0]["message"] == "writing"
    failed = ran("logs", str(number_of(ran, "--state", "failed"))).out
    assert failed.splitlines()[-1] == "failed  write: no [transcript] data found (data)"
    assert ran("logs", "1", "--follow").out == told
    assert ran("logs", "1", "--follow", "--json").status == 2


def test_units(ran: Cli) -> None:
    lines = ran("units", "list").out.splitlines()
    assert lines[0].split() == ["bank_id", "quarter", "verdict", "failures", "tried", "again", "changed"]
    assert len(lines) == 7
    failed = ran("units", "list", "reports", "--verdict", "failed", "--json").json
    assert [row["key"]["bank_id"] for row in failed] == [3, 3]
    assert ran("units", "list", "--verdict", "fail").status == 2
    first = ran("units", "list", "--limit", "4").out
    after = re.search(r"--after (\d+)", first)
    assert after is not None
    assert len(ran("units", "list", "--after", after[1], "--json").json) == 2
    assert ran("units", "list", "--verdict", "no_data").out == "No such units of reports in the ledger.\n"


def test_why(ran: Cli) -> None:
    made = ran("why", "reports", "bank_id=1", "quarter=Q1")
    assert made.status == 0
    assert made.out.startswith("reports bank_id=1 quarter=Q1 is there, made by run ")
    assert re.search(r"\n  verdict +completed\n", made.out)
    failed = ran("why", "bank_id=3", "quarter=Q1", "--json").json
    assert "ended failed" in failed["sentence"]
    assert failed["row"]["verdict"] == "failed"
    assert "is not wanted" in ran("why", "bank_id=9", "quarter=Q1").out


def test_why_of_a_unit_that_was_never_planned(cli: Cli) -> None:
    assert "is missing: it is wanted and was never made" in cli("why", "bank_id=1", "quarter=Q1").out


def test_why_needs_the_whole_key(cli: Cli) -> None:
    told = cli("why", "bank_id=1")
    assert (told.status, told.out) == (2, "")
    assert told.err == "A unit of reports is told by bank_id=… quarter=…; quarter is missing.\n"
    assert "did you mean quarter?" in cli("why", "bank_id=1", "quater=Q1").err


def test_a_reader_that_has_seen_enough(ran: Cli) -> None:
    with ran.process("runs", "list") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) in (1, 141)


def test_logs_are_followed_to_the_end_of_the_run(cli: Cli) -> None:
    cli.set("TEST_SECONDS", "0.3")
    with cli.process("run", "bank_id=3", "quarter=Q1") as process:
        assert process.stderr is not None
        assert any("started" in line for line in process.stderr)
        told = cli("logs", "1", "--follow")
        process.communicate(timeout=60)
    assert (told.status, told.err) == (0, "")
    assert told.out.splitlines()[-1] == "failed  write: no [transcript] data found (data)"
    assert "writing  style=short" in told.out
