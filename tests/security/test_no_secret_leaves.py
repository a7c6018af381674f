"""Secrets in exceptions and logs of handlers come out nowhere: ledger, events, stdout, stderr, tracebacks."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from penstock.model import redaction
from tests.acceptance.conftest import Cli

APP = Path(__file__).with_name("leaky_app.py")
SECRETS = ("source-key-4711", "db-pass-4711", "url-token-4711", "other-pass-4711", "bearer-token-4711")


@pytest.fixture
def leaky(bare: Cli, database_url: str) -> Cli:
    shutil.copy(APP, bare.folder / "app.py")
    mark = "&" if "?" in database_url else "?"
    bare.set("PENSTOCK_DATABASE_URL", f"{database_url}{mark}password=db-pass-4711")
    bare.set("PENSTOCK_APP", "app.py")
    bare.set("SOURCE_KEY", SECRETS[0])
    bare.set("TEST_EVENTS", str(bare.folder / "events.txt"))
    return bare


def stored(url: str) -> str:
    """Every row of every table of the ledger as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "select tablename from pg_tables where schemaname = 'penstock' order by 1"
        ).fetchall()
        rows: list[str] = []
        for (table,) in tables:
            query = sql.SQL("select t::text from {} t").format(sql.Identifier("penstock", table))
            rows += [f"{table}: {row[0]}" for row in connection.execute(query)]
    return "\n".join(rows)


def everything(cli: Cli, url: str) -> str:
    """Runs the leaks, and all that can be read of them afterwards."""
    answers = [cli.shell("--traceback", "run", "leaks")]
    assert answers[0].status == 1, answers[0].err
    numbers = [run["number"] for run in cli("runs", "list", "--json").json]
    assert len(numbers) == 6
    for number in numbers:
        answers += [cli("logs", str(number)), cli("logs", str(number), "--json"), cli("runs", "show", str(number))]
    words = [["config", "show"], ["config", "show", "--json"], ["doctor"], ["db", "status"], ["runs", "list"]]
    answers += [cli(*each) for each in [*words, ["why", "leaks", "kind=known"], ["units", "list", "--json"]]]
    events = (cli.folder / "events.txt").read_text()
    assert events.count("error_class") == 5
    return "\n".join([stored(url), events, *(answer.out + answer.err for answer in answers)])


def test_no_secret_is_stored_or_shown(leaky: Cli, database_url: str) -> None:
    text = everything(leaky, database_url)
    assert not [secret for secret in SECRETS if secret in text]
    assert "the source refused *** of ***" in text
    assert "https://api.test/v1/prices?symbol=RY&apikey=***" in text
    assert "shallow" in text, "what is no secret is told"


def left_in(_: object, text: str) -> str:
    return text


def test_without_redaction_each_would_be(leaky: Cli, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the very same run, with nothing taken out, shows every one of them."""
    monkeypatch.setattr(redaction.Redactor, "__call__", left_in)
    status = leaky("run", "leaks")  # in this process, where it is switched off
    text = stored(database_url) + status.out + status.err
    assert [secret for secret in SECRETS if secret in text] == list(SECRETS)


def test_a_url_that_nobody_can_read_shows_no_password(leaky: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, part in {
        "postgresql://me:p%zzq4711@h/db": "zzq4711",
        "postgresql://me:pa/ss4711@h/db": "ss4711",
        "postgresql://me:pa@ss4711:x@h/db": "ss4711",
        "mysql://me:ss4711@h/db": "ss4711",
        "host=h password=ss4711": "ss4711",
    }.items():
        leaky.set("PENSTOCK_DATABASE_URL", url)
        for words in (["runs", "list"], ["--traceback", "db", "status"], ["doctor"], ["config", "show"]):
            answer = leaky(*words)
            assert part not in answer.out + answer.err, (url, words)
            assert answer.status == (0 if words == ["config", "show"] and url.startswith("post") else answer.status)
        assert "percent-encode" in leaky("runs", "list").err or not url.startswith("post")
    with pytest.raises(psycopg.ProgrammingError, match="zzq4711"):  # the control: libpq's own message
        psycopg.connect("postgresql://me:p%zzq4711@h/db")


def test_a_setting_that_does_not_fit_is_not_repeated(leaky: Cli, database_url: str) -> None:
    text = (leaky.folder / "app.py").read_text()
    validator = """
    @field_validator("source_key")
    @classmethod
    def fits(cls, value: SecretStr) -> SecretStr:
        raise ValueError("no such key: " + value.get_secret_value())
"""
    text = text.replace("    source_key: SecretStr\n", f"    source_key: SecretStr\n{validator}")
    text = text.replace("from pydantic import SecretStr", "from pydantic import SecretStr, field_validator")
    (leaky.folder / "app.py").write_text(text)
    answer = leaky.shell("--traceback", "run", "leaks", "kind=known")
    whole = answer.out + answer.err + stored(database_url)
    assert "no such key: ***" in whole
    assert SECRETS[0] not in whole


def test_nothing_moves_the_cursor_or_forges_a_line(leaky: Cli) -> None:
    """Whatever a unit, an error or a log says, it is text, and each line of output that begins at the left is ours."""
    answers = [leaky.shell("run", "leaks", "kind=terminal")]
    number = str(leaky("runs", "list", "--json").json[0]["number"])
    words = (["logs", number], ["runs", "show", number], ["runs", "list"], ["why", "leaks", "kind=terminal"])
    answers += [leaky(*each) for each in words]
    answers.append(leaky("logs", number, "--json"))
    for answer in answers:
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", answer.out + answer.err)
        assert not [line for line in (answer.out + answer.err).splitlines() if line.startswith("2026-01-01")]
    logs = answers[1].out
    assert r"forged\x1b[2Jcleared" in logs
    assert r"\x1b]0;title\x07" in logs
    assert r"red\u202etxt.exe" in logs
    message = next(row["message"] for row in answers[-1].json if row["level"] == "warning")
    assert message == "first\n2026-01-01 00:00:00  INFO  run  forged\x1b[2Jcleared", "what is kept is what was said"
