"""Reports by a language model, whole: commands, the real ledger, a server on a real socket, the vendor's bill."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from aegis.institutions import load_institutions
from aegis.reports.lexicon import topics
from aegis.reports.summary import summary_topics
from aegis.samples import sample_call
from penstock.testing import servers
from penstock.testing.servers import Answer, Call, ChatServer, Silent, Turned
from systems.aegis.tests.commands import Commands

KEY = "sk-of-nobody-0815"
PRICES = {"m": {"input": "0.40", "cached": "0.10", "output": "1.60", "context": 128_000}}
PER = {"input": Decimal("0.40"), "cached": Decimal("0.10"), "output": Decimal("1.60")}
SECTIONS = len(summary_topics())
TEXT = sample_call(load_institutions()["RY"], 2025, "Q2")
PROVISION = next(
    sentence for sentence in re.split(r"(?<=\.) ", TEXT) if "provision" in sentence.lower() and "?" not in sentence
)


def answer(call: Call) -> Answer:
    """A statement on provisions for the section on credit, nothing for any other."""
    task = call.text.rsplit("Subject: ", 1)[1]
    points = [{"label": "Provision", "quote": PROVISION}] if task.startswith(topics()["credit"].title) else []
    form = call.body["response_format"]["json_schema"]["schema"]["properties"]
    return Answer(text=json.dumps({"points": points} if "points" in form else {"exchanges": []}), cached=50)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with servers.openai(answer, api_key=KEY) as opened:
        yield opened


@pytest.fixture
def commands(database_url: str, tmp_path: Path, server: ChatServer) -> Commands:
    """aegis with the writer `llm`, and one call in the database."""
    calls = tmp_path / "calls"
    calls.mkdir()
    (calls / "RY_2025_Q2.txt").write_text(TEXT, encoding="utf-8")
    made = Commands(
        database_url,
        tmp_path,
        AEGIS_WRITER="llm",
        AEGIS_LLM_MODEL="m",
        AEGIS_LLM_URL=server.url,
        AEGIS_LLM_KEY=KEY,
        AEGIS_LLM_PRICES=json.dumps(PRICES),
    )
    made.ingest(calls)
    return made


def spent(commands: Commands) -> tuple[Decimal, int]:
    """What the ledger has for the day, and how many draws were left at their worst case."""
    (row,) = commands.rows(
        "select coalesce(sum(coalesce(settled, amount)), 0), count(*) filter (where settled is null)"
        " from penstock.v1_draws where quota = 'llm_usd'"
    )
    return row[0], row[1]


ONE = ("aegis.etls.call_summary.main", "--bank", "RY", "--year", "2025", "--quarter", "Q2")


def test_reports_are_written_and_the_ledger_has_what_the_vendor_bills(commands: Commands, server: ChatServer) -> None:
    done = commands.orchestrate("--etl-type", "call_summary")
    assert done.code == 0, done
    ((cost, writer, markdown),) = commands.rows("select cost_usd, writer, markdown_path from aegis_reports")
    bill = server.bill.total(**PER)
    assert server.bill.calls == SECTIONS
    assert (cost, writer) == (bill, "llm m")
    assert spent(commands) == (bill, 0)
    assert PROVISION in Path(markdown).read_text(encoding="utf-8").replace("\\", "")
    assert KEY not in done.out + done.err


def test_a_report_that_died_in_a_section_goes_on_there_and_pays_for_nothing_twice(
    commands: Commands, server: ChatServer
) -> None:
    server.then(
        *(Answer(text='{"points": []}') for _ in range(4)), Turned(status=400, message="the fifth is not for us")
    )
    died = commands.module(*ONE)
    assert died.code == 1
    assert "the fifth is not for us" in died.err + died.out
    assert server.bill.calls == 4
    again = commands.module(*ONE)
    assert again.code == 0, again
    assert server.bill.calls == SECTIONS
    assert len(server.calls) == SECTIONS + 1
    ((cost,),) = commands.rows("select cost_usd from aegis_reports")
    bill = server.bill.total(**PER)
    assert cost == bill
    assert spent(commands) == (bill, 0)


def test_a_killed_report_goes_on_and_the_ledger_never_has_less_than_the_bill(
    commands: Commands, server: ChatServer
) -> None:
    commands.environment["AEGIS_LLM_STREAM"] = "true"
    server.then(*(Answer(text='{"points": []}') for _ in range(3)), Silent())
    process = commands.start("--etl-type", "call_summary")
    try:
        server.wait(4, timeout=60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert commands.orchestrate("--etl-type", "call_summary").code == 0
    # Three sections were kept; the fourth was under way, is asked for again, and may be billed twice.
    assert len(server.calls) == SECTIONS + 1
    used, open_draws = spent(commands)
    assert open_draws == 1
    assert used > server.bill.total(**PER)


def test_a_plan_prices_what_a_model_is_to_write_and_nothing_else(commands: Commands, server: ChatServer) -> None:
    plan = ("penstock.cli", "--app", "aegis", "plan", "aegis_reports", "--json")
    by_model = json.loads(commands.module(*plan).out)
    without = json.loads(commands.module(*plan, AEGIS_WRITER="extractive").out)
    assert (by_model["gaps"], without["gaps"]) == (2, 2)
    assert Decimal(by_model["cost"]["llm_usd"]) == Decimal("0.80")
    assert Decimal(without["cost"].get("llm_usd", 0)) == 0
    assert server.calls == []


def test_a_section_that_cannot_fit_under_the_cap_of_a_report_is_not_asked_for(
    commands: Commands, server: ChatServer
) -> None:
    dear = json.dumps({"m": {"input": "400", "output": "400"}})
    done = commands.module(*ONE, AEGIS_LLM_PRICES=dear)
    assert done.code == 1
    assert "llm_usd_a_report" in done.err + done.out
    assert server.calls == []
    assert spent(commands) == (Decimal(0), 0)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AEGIS_LLM_KEY": ""}, "api_key is empty"),
        (
            {"AEGIS_LLM_PRICES": "{}"},
            "There is no price for the model 'm'.*llm_prices .under 'settings:' in penstock.yaml",
        ),
        ({"AEGIS_LLM_URL": "example.org"}, "base_url='example.org' is no URL"),
        ({"AEGIS_LLM_MAX_TOKENS": "none"}, "MAX_TOKENS|max_tokens"),
    ],
)
def test_a_wrong_setting_is_told_before_anything_is_planned(
    commands: Commands, server: ChatServer, environment: dict[str, str], message: str
) -> None:
    done = commands.orchestrate(**environment)
    assert done.code == 1
    assert re.search(message, done.err + done.out)
    assert "Traceback" not in done.err + done.out
    assert KEY not in done.err + done.out
    assert commands.rows("select count(*) from penstock.v1_runs") == [(0,)]
    assert server.calls == []


def test_a_setting_that_is_missing_is_named(commands: Commands) -> None:
    del commands.environment["AEGIS_LLM_MODEL"]
    done = commands.orchestrate()
    assert done.code == 1
    assert "The writer 'llm' needs llm_model: set AEGIS_LLM_MODEL" in done.err + done.out
