from __future__ import annotations

import psycopg
import pytest

from penstock.ledger import prune as pruning
from tests.acceptance.conftest import Cli

LONG_AGO = """
update penstock.runs set created_at = created_at - interval '100 days', finished_at = finished_at - interval '100 days';
update penstock.plans set created_at = created_at - interval '100 days', applied_at = applied_at - interval '100 days';
"""


def age(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(LONG_AGO.encode())


def test_old_runs_go_and_their_units_stay_made(cli: Cli, database_url: str) -> None:
    assert cli("run").status == 1  # bank 3 has no transcripts
    age(database_url)
    would = cli("db", "prune", "--older-than", "90d", "--keep-failed", "--dry-run")
    assert would.status == 0
    assert "4 would go" in would.out
    assert "2 runs: failed or partial" in would.out
    assert len(cli("runs", "list", "--json").json) == 6
    told = cli("db", "prune", "--older-than", "90d", "--keep-failed", "--json")
    assert (told.status, told.err) == (0, "")
    assert {name: told.json[name] for name in ("runs", "kept_failed", "dry_run")} == {
        "runs": 4,
        "kept_failed": 2,
        "dry_run": False,
    }
    assert [run["state"] for run in cli("runs", "list", "--json").json] == ["failed", "failed"]
    assert "4 gone" not in cli("db", "prune", "--older-than", "90d", "--keep-failed").out
    assert "runs          2 gone, " in cli("db", "prune", "--older-than", "13w").out
    assert cli("plan", "--json").json["counts"] == {}
    for words in (["bank_id=1", "quarter=Q1"], ["bank_id=3", "quarter=Q1"]):
        why = cli("why", "reports", *words)
        assert (why.status, "None" in why.out) == (0, False)
    assert cli("doctor").status == 0


def test_wrong_words_say_what_is_right(cli: Cli) -> None:
    cli("plan")
    for words, said in (
        (["90"], "--older-than '90' is no length of time; write 12h, 90d or 13w."),
        (["5m"], "--older-than 5m: at least 1h"),
        (["99999999999d"], "is no length of time"),
        (["90d", "--pipeline", "report"], "There is no pipeline report in this ledger"),
    ):
        told = cli("db", "prune", "--older-than", *words)
        assert (told.status, told.out) == (2, ""), words
        assert said in told.err
    assert cli("db", "prune").status == 2


def test_an_interrupted_prune_says_what_it_did(cli: Cli, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("run")
    age(database_url)
    monkeypatch.setattr(pruning, "WINDOW", 2)
    walk = pruning._Prune.windows

    def interrupted(self: pruning._Prune) -> object:
        for _ in walk(self):
            yield
            if self.done.runs == 4:
                raise KeyboardInterrupt

    monkeypatch.setattr(pruning._Prune, "windows", interrupted)
    told = cli("db", "prune", "--older-than", "90d")
    assert (told.status, told.out) == (130, "")
    assert told.err.startswith("Stopped after 4 runs, which are gone")
    monkeypatch.setattr(pruning._Prune, "windows", walk)
    assert cli("db", "prune", "--older-than", "90d", "--json").json["runs"] == 2
