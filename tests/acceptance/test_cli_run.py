from __future__ import annotations

import os
import pty
import re
import signal
import sys

import pytest

from tests.acceptance.conftest import Cli


def test_in_a_pipe_there_is_a_line_per_event_and_a_summary(cli: Cli) -> None:
    told = cli.shell("run")
    assert told.status == 1
    assert re.fullmatch(r"reports: 6 runs in .*: 4 completed, 2 failed\.", told.out.splitlines()[0])
    assert "failed  bank_id=3 quarter=Q2\n          write: no [transcript] data found (data)\n" in told.out
    assert "penstock logs " in told.out
    lines = told.err.splitlines()
    assert lines[0] == "reports, plan 1: 6 gaps (6 missing) in 3 lanes, no history yet."
    assert any(re.search(r"run \d+  bank_id=1 quarter=Q2  started", line) for line in lines)
    assert any(re.search(r"run \d+  bank_id=2 quarter=Q2  write: connection reset", line) for line in lines)
    assert any(re.search(r"run \d+  bank_id=3 quarter=Q2  failed in .*: no \[transcript\]", line) for line in lines)
    assert "\x1b" not in told.out + told.err


def test_a_run_in_which_nothing_fails_is_status_0_and_done_once(cli: Cli) -> None:
    assert cli("run", "bank_id=1").status == 0
    told = cli("run", "bank_id=1")
    assert (told.status, told.out) == (0, "reports: nothing to do.\n")


def test_json_is_one_document_whatever_a_step_prints(cli: Cli) -> None:
    told = cli("run", "--json")
    body = told.json
    assert told.status == 1
    assert (body["ok"], body["counts"], body["plan"]) == (False, {"completed": 4, "failed": 2}, 1)
    assert {run["error"] for run in body["failed"]} == {"no [transcript] data found"}
    assert body["failed"][0]["units"][0]["bank_id"] == 3
    assert "printed by a step" in told.err


def test_parameters_reach_the_steps(cli: Cli) -> None:
    assert cli("run", "bank_id=1", "quarter=Q1", "--param", "style=long").status == 0
    assert "style=long" in cli("logs", "1").out
    told = cli("run", "--param", "stil=long", "--param", "style")
    assert told.status == 2


def test_a_dry_run_is_a_plan(cli: Cli) -> None:
    told = cli("run", "--dry-run", "--json")
    assert told.json["gaps"] == 6
    assert cli("runs", "list", "--json").json == []


def test_apply_carries_out_a_plan_and_then_has_nothing_left(cli: Cli) -> None:
    number = str(cli("plan", "bank_id=1", "--json").json["number"])
    assert cli("apply", number, "--lanes", "1").out.startswith("reports: 2 runs in ")
    again = cli("apply", number, "--json")
    assert (again.status, again.json["counts"]) == (0, {"completed": 2})
    identity = again.json["plan_id"]
    assert cli("apply", identity).status == 0


def test_a_plan_that_is_not_there(cli: Cli) -> None:
    told = cli("apply", "77")
    assert (told.status, told.out) == (2, "")
    assert "There is no plan 77." in told.err


def test_a_plan_of_another_definition_is_stale(cli: Cli) -> None:
    cli("plan")
    source = (cli.folder / "app.py").read_text()
    cli.write("app.py", source.replace("generate_series(1, 3)", "generate_series(1, 4)"))
    told = cli.shell("apply", "1")
    assert (told.status, told.out) == (1, "")
    assert "Plan again: penstock plan reports." in told.err


def test_what_waits_for_later_is_status_0(cli: Cli) -> None:
    source = (cli.folder / "app.py").read_text()
    cli.write(
        "app.py",
        source.replace('ps.InvalidData("no [transcript] data found")', 'ps.RateLimited("429", retry_after=7200)'),
    )
    told = cli("run", "bank_id=3")
    assert told.status == 0
    assert re.search(r"2 runs deferred to 20\d\d-\d\d-\d\d \d\d:\d\d UTC: penstock apply 1 goes on\.", told.out)


def test_on_a_terminal_there_are_bars(cli: Cli) -> None:
    cli.set("TERM", "xterm")
    cli.set("COLUMNS", "100")
    cli.set("TEST_SECONDS", "0.1")
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - another process
        os.execv(sys.executable, [sys.executable, "-m", "penstock.cli", "run"])
    seen = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())
    assert os.waitstatus_to_exitcode(status) == 1
    assert re.search(r"reports\s+\S*━\S*\s+\d/6", text)
    assert re.search(r"bank_id=1 quarter=Q2\s+\S*━\S*\s+[12]/3", text)
    assert "6/6" in text
    assert "started" not in text
    assert "6 runs in" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_in_good_order_and_apply_goes_on(cli: Cli, number: signal.Signals) -> None:
    cli.set("TEST_SECONDS", "0.3")
    process = cli.process("run", "bank_id=1")
    assert process.stderr is not None
    assert any("started" in line for line in process.stderr)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert re.search(r"[12] runs? left for the next process: penstock apply 1 goes on\.", out)
    assert "Stopping" in err
    cli.set("TEST_SECONDS", "0")
    assert cli("apply", "1", "--json").json["counts"] == {"completed": 2}
