"""The commands that aegis's operators have: each one is run as it is written, its output read as it is printed."""

from __future__ import annotations

import re
import resource
import time
from datetime import datetime
from pathlib import Path

import pytest

from aegis.institutions import load_institutions
from aegis.samples import write_samples
from systems.aegis.tests.commands import SCRIPT, Commands

pytestmark = pytest.mark.timeout(300)  # each starts the commands several times

RULE, LINE = "=" * 80, "-" * 80
LOOK = """
import asyncio
from aegis.connections.postgres_connector import get_connection
from sqlalchemy import text

async def check():
    async with get_connection() as conn:
        result = await conn.execute(text('SELECT DISTINCT bank_symbol FROM aegis_data_availability'))
        print([row.bank_symbol for row in result.fetchall()])

asyncio.run(check())
"""


@pytest.fixture
def aegis(tmp_path: Path, database_url: str) -> Commands:
    """An installation with the sample transcripts loaded: 14 banks, two quarters each."""
    commands = Commands(database_url, tmp_path)
    write_samples(tmp_path / "calls")
    commands.ingest(tmp_path / "calls")
    return commands


def test_the_dry_run_is_the_seeds_line_by_line(aegis: Commands) -> None:
    aegis.execute(
        "insert into aegis_data_availability values "
        "(90, 'Some Trust', 'ST', 2025, 'Q1', '{transcripts}'), "
        "(90, 'Some Trust', 'ST', 2025, 'Q2', '{rts,transcripts}'), "
        "(90, 'Some Trust', 'ST', 2024, 'Q4', '{rts}')"
    )
    done = aegis.orchestrate("--dry-run")
    assert (done.code, done.err) == (0, "")
    head = [
        RULE,
        "ETL ORCHESTRATOR EXECUTION SUMMARY",
        RULE,
        done.lines[3],
        "Monitored Institutions: 14 banks",
        "Data Availability: 30 bank-period combinations with transcripts",
        "Existing Reports: 0 reports",
        "",
        "📋 GAPS IDENTIFIED: 56 missing reports",
        LINE,
        "",
    ]
    banks = [
        line
        for bank in load_institutions().values()
        for line in (
            f"{bank.name} ({bank.symbol}):",
            "  • 2025 Q2: call_summary",
            "  • 2025 Q2: key_themes",
            "  • 2025 Q1: call_summary",
            "  • 2025 Q1: key_themes",
            "",
        )
    ]
    assert done.lines == [*head, *banks, RULE]
    assert re.fullmatch(r"Timestamp: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", done.lines[3])
    assert abs((datetime.now() - datetime.fromisoformat(done.lines[3].split()[1])).total_seconds()) < 60  # noqa: DTZ005
    assert aegis.rows("select count(*) from aegis_reports") == [(0,)]


def test_every_command_of_the_usage(aegis: Commands) -> None:
    gaps = {
        ("--dry-run",): 56,
        ("--bank-symbol", "RY", "--dry-run"): 4,
        ("--etl-type", "call_summary", "--dry-run"): 28,
        ("--etl-type", "key_themes", "--dry-run"): 28,
        ("--bank-symbol", "JPM", "--etl-type", "key_themes", "--max-parallel", "2", "--no-lock", "--dry-run"): 2,
    }
    for arguments, count in gaps.items():
        done = aegis.orchestrate(*arguments)
        assert (done.code, f"📋 GAPS IDENTIFIED: {count} missing reports" in done.lines) == (0, True), done
    runs = {
        ("--bank-symbol", "RY"): 4,
        ("--etl-type", "call_summary"): 26,
        ("--etl-type", "key_themes", "--max-parallel", "8"): 26,
    }
    for arguments, count in runs.items():
        done = aegis.orchestrate(*arguments)
        assert done.code == 0, done
        for line in (f"Total Jobs: {count}", f"Successful: {count} ✅", "Failed: 0 ❌"):
            assert line in done.lines
        assert f"[INFO] Starting parallel execution of {count} ETL jobs" in done.out
    assert aegis.rows("select count(*) from aegis_reports") == [(56,)]
    for arguments in ((), ("--no-lock",), ("--max-parallel", "8")):
        done = aegis.orchestrate(*arguments)
        assert (done.code, done.lines) == (0, ["[INFO] No gaps identified, nothing to do"])
    assert "✅ NO GAPS IDENTIFIED: nothing to do" in aegis.orchestrate("--dry-run").lines
    help_text = aegis.orchestrate("--help").out
    for flag in ("--dry-run", "--bank-symbol", "--etl-type", "--max-parallel", "--no-lock", "(default: 4)"):
        assert flag in help_text


def test_the_constants_of_the_script_are_the_seeds() -> None:
    constants = re.findall(r"(?m)^([A-Z_]+) = ([^#\n]+?)(?:  #.*)?$", SCRIPT.read_text())
    assert dict(constants) == {
        "LOCK_FILE_PATH": '"/tmp/aegis_etl_orchestrator.lock"',
        "MAX_RETRIES": "3",
        "INITIAL_RETRY_DELAY": "5",
        "MAX_RETRY_DELAY": "300",
        "MAX_PARALLEL_ETLS": "4",
    }


def test_a_report_is_recorded_with_its_files_and_its_source(aegis: Commands) -> None:
    assert aegis.orchestrate("--bank-symbol", "RY").code == 0
    rows = aegis.rows(
        "select r.report_type, r.docx_path, r.markdown_path, split_part(r.source_version, '+', 1) = t.sha256, r.writer "
        "from aegis_reports r join aegis_transcripts t using (bank_id, fiscal_year, quarter) "
        "where quarter = 'Q2' order by 1"
    )
    assert [(row[0], *row[3:]) for row in rows] == [
        ("Call Summary", True, "extractive"),
        ("Key Themes", True, "extractive"),
    ]
    for _, word, markdown, *_ in rows:
        assert Path(word).parent == aegis.folder / "reports"
        assert Path(word).read_bytes().startswith(b"PK")
        assert Path(markdown).read_text().startswith("# Royal Bank of Canada (RY): ")


def test_a_period_without_its_transcript_fails_and_is_told(aegis: Commands) -> None:
    aegis.execute("delete from aegis_transcripts where bank_symbol = 'GS' and quarter = 'Q2'")
    done = aegis.orchestrate("--bank-symbol", "GS")
    assert done.code == 1
    assert "[ERROR] ❌ Failed GS 2025 Q2 [call_summary] (attempt 1): No transcript data found" in done.lines
    assert done.lines[-5:] == [
        "",
        "Failed Jobs:",
        "  ❌ GS 2025 Q2 [call_summary]: No transcript data found",
        "  ❌ GS 2025 Q2 [key_themes]: No transcript data found",
        RULE,
    ]
    assert {"Total Jobs: 4", "Successful: 2 ✅", "Failed: 2 ❌"} < set(done.lines)
    again = aegis.orchestrate("--bank-symbol", "GS")
    assert (again.code, "Total Jobs: 2" in again.lines) == (1, True)
    aegis.ingest(aegis.folder / "calls")
    assert aegis.orchestrate("--bank-symbol", "GS").code == 0


def test_a_system_error_is_one_line_and_1(aegis: Commands) -> None:
    down = "postgresql://postgres@127.0.0.1:1/nowhere"
    for done in (
        aegis.orchestrate(PENSTOCK_DATABASE_URL=down),
        aegis.orchestrate("--dry-run", LOG_LEVEL="loud"),
        aegis.orchestrate(AEGIS_INSTITUTIONS="/nowhere.yaml"),
        aegis.orchestrate(AEGIS_WRITER="nobody"),
        aegis.orchestrate("--bank-symbol", "RYY"),
        aegis.module("aegis.ingest", "/nowhere"),
        aegis.module("aegis.etls.call_summary.main", "--bank", "RY", "--year", "2031", "--quarter", "Q2"),
    ):
        assert (done.code, done.err, len(done.lines)) == (1, "", 1), done
        assert done.out.startswith("[ERROR] ")


def test_the_database_may_be_given_by_its_parts_in_the_env_file(aegis: Commands) -> None:
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(aegis.url)
    given = {"HOST": parts.get("host"), "PORT": parts.get("port"), "DATABASE": parts["dbname"]}
    given |= {"USER": parts.get("user"), "PASSWORD": parts.get("password")}
    (aegis.folder / ".env").write_text("".join(f"POSTGRES_{name}={value}\n" for name, value in given.items() if value))
    del aegis.environment["PENSTOCK_DATABASE_URL"]
    assert "📋 GAPS IDENTIFIED: 56 missing reports" in aegis.orchestrate("--dry-run").lines


def test_one_report_by_hand(aegis: Commands) -> None:
    for etl, report_type in (("call_summary", "Call Summary"), ("key_themes", "Key Themes")):
        for _ in range(2):  # the second time although it exists
            done = aegis.module(f"aegis.etls.{etl}.main", "--bank", "RY", "--year", "2025", "--quarter", "Q2")
            assert done.code == 0, done
            assert done.lines[0] == f"[INFO] Executing RY 2025 Q2 [{etl}] (attempt 1/3)"
            assert [Path(line).name for line in done.lines[2:]] == [f"RY_2025_Q2_{etl}.docx", f"RY_2025_Q2_{etl}.md"]
        assert aegis.rows(f"select count(*) from aegis_reports where report_type = '{report_type}'") == [(1,)]
    assert aegis.module("aegis.etls.key_themes.main", "--bank", "RY").code == 2


def test_the_seeds_queries_answer(aegis: Commands) -> None:
    done = aegis.run(["-c", LOOK])
    assert done.code == 0, done
    assert sorted(re.findall(r"'(\w+)'", done.out)) == sorted(load_institutions())
    assert done.err == ""
    available = (
        "SELECT bank_id, fiscal_year, quarter FROM aegis_data_availability WHERE 'transcripts' = ANY(database_names)"
    )
    existing = (
        "SELECT bank_id, fiscal_year, quarter, report_type FROM aegis_reports "
        "WHERE report_type IN ('Call Summary', 'Key Themes')"
    )
    assert (len(aegis.rows(available)), aegis.rows(existing)) == (28, [])


def test_reports_of_the_system_before_count_as_existing(aegis: Commands) -> None:
    aegis.execute("drop table aegis_reports cascade")
    aegis.execute(
        "create table aegis_reports (bank_id integer, fiscal_year integer, quarter varchar, report_type varchar, "
        "unique(bank_id, fiscal_year, quarter, report_type))"
    )
    aegis.execute("insert into aegis_reports values (1, 2025, 'Q2', 'Call Summary')")
    done = aegis.orchestrate("--bank-symbol", "RY", "--dry-run")
    assert {"Existing Reports: 1 reports", "📋 GAPS IDENTIFIED: 3 missing reports"} < set(done.lines)
    assert aegis.orchestrate("--bank-symbol", "RY").code == 0
    assert aegis.rows("select count(*), count(source_version) from aegis_reports") == [(4, 3)]


def test_a_second_run_waits_for_the_first_and_goes_on_at_once(aegis: Commands) -> None:
    first = aegis.start("--max-parallel", "1", "--etl-type", "call_summary")
    assert first.stdout is not None
    assert "Starting" in first.stdout.readline()
    assert aegis.lock.read_text().splitlines()[0] == f"PID: {first.pid}"
    second = aegis.start()
    out, _ = first.communicate(timeout=100)
    ended = time.monotonic()
    assert "Total Jobs: 28" in out
    assert second.stdout is not None
    lines = [second.stdout.readline().strip() for _ in range(2)]
    assert time.monotonic() - ended < 60
    assert lines[0].startswith(f"[INFO] Another run is under way (PID: {first.pid}, Started: 20")
    assert lines[1] == "[INFO] Starting parallel execution of 28 ETL jobs (max 4 parallel)"
    out, _ = second.communicate(timeout=100)
    assert (second.returncode, "Failed: 0 ❌" in out) == (0, True)
    assert aegis.lock.is_file()


def test_two_runs_side_by_side_make_no_report_twice(aegis: Commands) -> None:
    both = [aegis.start("--no-lock") for _ in range(2)]
    outputs = [one.communicate(timeout=110)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    made = re.findall(r"✅ Success (.+) in ", "".join(outputs))
    assert (len(made), len(set(made))) == (56, 56)
    assert aegis.rows("select count(*) from aegis_reports") == [(56,)]
    assert not aegis.lock.exists()


def test_the_demonstration_fills_the_gaps_once(tmp_path: Path, database_url: str) -> None:
    commands = Commands(database_url, tmp_path)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    first = commands.module("aegis.demo")
    assert first.code == 0, first
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 40  # a minute, whoever else computes
    assert {"📋 GAPS IDENTIFIED: 56 missing reports", "Total Jobs: 56", "Successful: 56 ✅"} < set(first.lines)
    assert "    # Royal Bank of Canada (RY): Call Summary, 2025 Q2" in first.lines
    second = commands.module("aegis.demo")
    assert second.code == 0
    assert any(line.startswith("Nothing to do: ") for line in second.lines)


def test_the_demonstration_leaves_other_transcripts_alone(tmp_path: Path, database_url: str) -> None:
    commands = Commands(database_url, tmp_path)
    write_samples(tmp_path / "calls")
    (tmp_path / "calls" / "RY_2025_Q2.txt").write_text((tmp_path / "calls" / "RY_2025_Q2.txt").read_text() + " Ours.")
    commands.ingest(tmp_path / "calls")
    done = commands.module("aegis.demo")
    assert done.code == 1
    assert "This database holds transcripts that are no samples" in done.lines[-1]
    assert commands.rows("select count(*) from aegis_transcripts where text like '%Ours.'") == [(1,)]
