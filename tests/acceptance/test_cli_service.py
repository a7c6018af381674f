from __future__ import annotations

from tests.acceptance.conftest import Cli


def test_a_new_database_is_upgraded_once(bare: Cli, empty_database_url: str) -> None:
    bare.set("PENSTOCK_DATABASE_URL", empty_database_url)
    before = bare("db", "status", "--json")
    assert (before.status, before.json["revision"], before.json["current"]) == (1, None, False)
    assert "none yet: penstock db upgrade makes it" in bare("db", "status").out
    assert bare("db", "upgrade", "--json").json["current"]
    after = bare("db", "status")
    assert after.status == 0
    assert "the newest" in after.out
    assert "PostgreSQL" in after.out


def test_a_database_that_does_not_answer(bare: Cli) -> None:
    for words in (["db", "status"], ["db", "upgrade"]):
        told = bare(*words)
        assert (told.status, told.out) == (1, "")
        assert told.err.startswith("The database does not answer:")
        assert len(told.err.splitlines()) == 1
        assert "secret" not in told.err


def test_settings_with_their_sources(bare: Cli) -> None:
    bare.write("penstock.yaml", "lanes: 7\n")
    bare.set("LOG_LEVEL", "debug")
    shown = bare("config", "show", "--json").json
    assert shown["file"] == str(bare.folder / "penstock.yaml")
    settings = shown["settings"]
    assert settings["lanes"] == {"value": "7", "source": str(bare.folder / "penstock.yaml")}
    assert settings["log_level"] == {"value": "DEBUG", "source": "environment LOG_LEVEL"}
    assert settings["grace"]["source"] == "default"
    text = bare("config", "show").out
    assert "postgresql://me:***@127.0.0.1:1/nowhere" in text
    assert "secret" not in text


def test_settings_name_the_app_of_pyproject(bare: Cli) -> None:
    bare.write("pyproject.toml", '[tool.penstock]\napp = "shop:app"\n')
    assert bare("config", "show", "--json").json["settings"]["app"] == {
        "value": "shop:app",
        "source": str(bare.folder / "pyproject.toml"),
    }


def test_a_wrong_setting_is_status_2(bare: Cli) -> None:
    bare.write("penstock.yaml", "lane: 7\n")
    told = bare("config", "show")
    assert (told.status, told.out) == (2, "")
    assert "did you mean 'lanes'?" in told.err
    assert bare("doctor").status == 1


def test_a_healthy_installation(cli: Cli) -> None:
    cli("run", "bank_id=1")
    told = cli("doctor")
    assert told.status == 0
    assert [line.split()[:2] for line in told.out.splitlines()] == [
        ["ok", name]
        for name in ("python", "settings", "app", "database", "server", "schema", "processes", "runs", "units")
    ]


def test_a_sick_one_says_what_to_do(bare: Cli) -> None:
    bare.write("app.py", "import penstock\nApp(")
    told = bare("doctor")
    assert told.status == 1
    assert "problem  app" in told.out
    assert "problem  server" in told.out
    assert "→ check PENSTOCK_DATABASE_URL: penstock config show" in told.out
    assert "Traceback" not in told.out + told.err


def test_a_database_without_a_schema_is_a_warning(bare: Cli, empty_database_url: str) -> None:
    bare.set("PENSTOCK_DATABASE_URL", empty_database_url)
    bare.write(
        "app.py",
        "import penstock as ps\np = ps.Pipeline('p')\n@p.step\ndef s() -> int:\n    return 1\napp = ps.App('a', [p])",
    )
    checks = {check["check"]: check["state"] for check in bare("doctor", "--json").json}
    assert checks["schema"] == "warning"


def test_the_embedded_server_is_not_started_by_doctor(bare: Cli) -> None:
    bare.patch.delenv("PENSTOCK_DATABASE_URL")
    checks = {check["check"]: check for check in bare("doctor", "--json").json}
    assert "not running" in checks["database"]["says"] or checks["database"]["state"] == "problem"
    assert not (bare.folder / ".penstock").exists()
