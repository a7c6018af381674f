from __future__ import annotations

import subprocess
import sys

import pytest

from tests.acceptance.conftest import Cli

COMMANDS = [
    *("init", "demo", "plan", "run", "apply", "retry", "why", "logs", "cancel", "pause", "resume", "discard", "doctor"),
    *("runs-list", "runs-show", "units-list", "db-upgrade", "db-status", "config-show", "worker", "top"),
    *("backfill", "quality", "schedule-list", "schedule-tick"),
    *("overrides-list", "overrides-set", "overrides-unset", "notify-list", "notify-test", "notify-send", "notify-drop"),
]


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'psycopg', 'pydantic', 'alembic', 'sqlalchemy', 'polars', 'rich', 'asyncio'}"
    code = (
        "import sys; from penstock.cli import main; status = main(['--help']);"
        f"print(sorted({heavy} & set(sys.modules)), status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(bare: Cli, command: str) -> None:
    words = command.split("-")
    told = bare(*words, "-h")
    assert told.status == 0
    assert told.out.startswith(f"Usage: penstock {' '.join(words)}")
    assert told == bare(*words, "--help")


def test_the_list_of_commands_is_the_documented_one(bare: Cli) -> None:
    told = bare("--help").out
    assert all(command.split("-")[0] in told for command in COMMANDS)
    assert "..." not in told.partition("Commands:")[2]


def test_version(bare: Cli) -> None:
    assert bare("--version").out.startswith("penstock 0.")


def test_without_a_command_there_is_help_and_status_2(bare: Cli) -> None:
    told = bare()
    assert told.status == 2
    assert "Commands:" in told.out + told.err


@pytest.mark.parametrize("words", [["plam"], ["plan", "--limit", "x"], ["plan", "--bogus"], ["runs", "lst"], ["apply"]])
def test_wrong_use_is_status_2_with_nothing_on_stdout(bare: Cli, words: list[str]) -> None:
    told = bare(*words)
    assert told.status == 2
    assert told.out == ""
    assert "Error" in told.err


def test_the_nearest_command_is_named(bare: Cli) -> None:
    assert "Did you mean 'plan'?" in bare("plam").err
