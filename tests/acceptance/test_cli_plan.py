from __future__ import annotations

import psycopg
import pytest

from tests.acceptance.conftest import Cli


def test_a_plan_shows_the_gaps_and_its_number(cli: Cli) -> None:
    told = cli("plan", "--limit", "2")
    assert told.status == 0
    assert told.out.splitlines() == [
        "reports: 6 gaps (6 missing) in 3 lanes, no history yet.",
        "",
        "bank_id  symbol  quarter  reason",
        "1        B1      Q2       missing",
        "2        B2      Q2       missing",
        "… and 4 more (--limit shows them)",
        "",
        "This is plan 1. Carry it out: penstock apply 1",
    ]
    assert told.err == ""


def test_a_plan_as_json(cli: Cli) -> None:
    body = cli("plan", "--json", "--limit", "1").json
    assert (body["number"], body["pipeline"], body["gaps"], body["lanes"]) == (1, "reports", 6, 3)
    assert body["counts"] == {"missing": 6}
    assert [gap["unit"] for gap in body["first"]] == [{"bank_id": 1, "symbol": "B1", "quarter": "Q2"}]


def test_fields_narrow_it_with_or_without_the_pipeline(cli: Cli) -> None:
    for words in (["bank_id=1"], ["reports", "bank_id=1"], ["bank_id=1", "symbol=B1"]):
        assert cli("plan", *words, "--json").json["gaps"] == 2


def test_detailed_exit_codes(cli: Cli) -> None:
    assert cli("plan", "--detailed-exitcode").status == 2
    assert cli("plan", "--detailed-exitcode", "bank_id=9").status == 0


def test_what_exists_is_a_gap_only_by_force(cli: Cli, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into made select i, q, 1 from generate_series(1, 3) i, (values ('Q1'), ('Q2')) v (q)"
        )
    assert cli("plan").out == "reports: nothing to do.\n"
    assert cli("plan", "--force", "--json").json["counts"] == {"forced": 6}


def test_what_is_remembered_and_how_long_it_will_take(cli: Cli) -> None:
    cli("run")
    told = cli("plan").out
    assert told.startswith("reports: nothing to do.\n2 units remembered as failed, the first tried again from 20")
    assert "less than a second" in cli("plan", "--force").out


def test_what_repeats(cli: Cli, database_url: str) -> None:
    for _ in range(2):
        cli("run", "bank_id=1", "--force")
        with psycopg.connect(database_url) as connection:
            connection.execute("delete from made")
    assert "2 units completed more than once and still missing" in cli("plan", "bank_id=1").out
    checks = {check["check"]: check for check in cli("doctor", "--json").json}
    assert checks["units"]["state"] == "warning"
    assert "2 of reports" in checks["units"]["says"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["reprots"],
            "No pipeline is called reprots in app reports (app.py, from PENSTOCK_APP); did you mean reports?",
        ),
        (["bank=1"], "bank is no field of Report in reports; did you mean bank_id? Its fields are bank_id, symbol,"),
        (["bank_id=x"], "reports: bank_id='x' is no int"),
        (["bank_id=1", "bank_id=2"], "bank_id is given twice"),
        (["reports", "Q1"], "'Q1' is no name=value word"),
        (["--start", "2025-13-01"], "--start '2025-13-01' is no date"),
        (["--param", "style"], "'style' is no name=value word"),
    ],
)
def test_words_that_do_not_fit(cli: Cli, words: list[str], said: str) -> None:
    told = cli("plan", *words)
    assert (told.status, told.out) == (2, "")
    assert said in told.err
    assert len(told.err.splitlines()) == 1


def test_several_pipelines_need_a_name(bare: Cli) -> None:
    text = "import penstock as ps\n"
    for name in ("one", "two"):
        text += f"{name} = ps.Pipeline('{name}')\n@{name}.step\ndef {name}_step() -> int:\n    return 1\n"
    bare.write("app.py", text + "app = ps.App('both', [one, two])\n")
    told = bare("plan")
    assert told.status == 2
    assert "App both has several pipelines; say which: one, two." in told.err


def test_wrong_sql_is_postgresqls_own_words(cli: Cli) -> None:
    source = (cli.folder / "app.py").read_text()
    cli.write("app.py", source.replace("from made", "from mad"))
    told = cli("plan")
    assert (told.status, told.out) == (1, "")
    assert 'relation "mad" does not exist' in told.err


def test_a_function_of_the_user_that_fails_is_one_line_with_its_place(cli: Cli) -> None:
    text = """
import penstock as ps
def units() -> list[ps.Day]:
    return [ps.Day(1 // 0)]
days = ps.Pipeline("days", gaps=units)
@days.step
def look() -> int:
    return 1
app = ps.App("days", [days])
"""
    cli.write("app.py", text)
    told = cli("plan")
    assert told.status == 1
    assert told.err.startswith("ZeroDivisionError: integer division or modulo by zero (app.py:4)")


def test_a_plan_is_discarded_once_and_never_applied(cli: Cli) -> None:
    cli("plan")
    assert cli("discard", "1").out == "Plan 1 is discarded.\n"
    told = cli("apply", "1")
    assert (told.status, told.out) == (1, "")
    assert "discarded" in told.err
    assert cli("discard", "7").status == 2
    assert cli("discard", "seven").err == "'seven' is no plan: give its number, such as 12, or its UUID.\n"


PRICED = """
usd = ps.Quota("usd", 10, per="day")
reports.cost[usd] = 4
"""


def test_a_plan_is_priced_and_defers_what_does_not_fit(cli: Cli) -> None:
    text = (cli.folder / "app.py").read_text()
    cli.write("app.py", text.replace("asked: set[Report]", f"{PRICED}\nasked: set[Report]"))
    told = cli("plan", "--limit", "3").out.splitlines()
    assert told[0].startswith("reports: 6 gaps (6 missing) in 2 lanes")
    assert told[2].split() == ["bank_id", "symbol", "quarter", "reason", "usd", "deferred"]
    assert told[3].split() == ["1", "B1", "Q2", "missing", "4"]
    assert told[5].startswith("3        B3      Q2       missing    4  to 20")
    assert "This costs 24 usd; `penstock quota` shows what is left." in told
    assert any(line.startswith("4 gaps deferred to 20") and line.endswith("(usd).") for line in told)
    done = cli("run")
    assert done.status == 0, done.err
    assert "2 completed" in done.out
    assert "4 gaps deferred to 20" in done.out
    body = cli("plan", "--json").json
    assert (body["gaps"], body["admitted"]) == (4, 2)


def test_without_quotas_there_is_nothing_to_show(cli: Cli) -> None:
    assert cli("quota").out == "No quota was planned with or drawn from yet.\n"


def test_quotas_are_shown(cli: Cli) -> None:
    text = (cli.folder / "app.py").read_text()
    spending = text.replace(
        "    unit = ctx.unit\n", "    unit = ctx.unit\n    async with ctx.spend(usd, 3):\n        pass\n"
    )
    cli.write("app.py", spending.replace("asked: set[Report]", f"{PRICED}\nasked: set[Report]"))
    cli("run", "bank_id=1")
    (body,) = cli("quota", "--json").json
    assert (body["quota"], body["limit"], body["used"], body["free"]) == ("usd", "10", "6", "4")  # exact, so text
    head, row = cli("quota").out.splitlines()
    assert head.split("  ")[0] == "quota"
    assert row.split()[:6] == ["usd", "10", "a", "day", "6", "0"]
