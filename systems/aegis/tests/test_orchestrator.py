"""The orchestrator's printouts, letter by letter, and what its constants and its runs do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import penstock as ps
from aegis import orchestrator
from aegis.ingest_command import load
from aegis.institutions import load_institutions
from aegis.orchestrator import Limits
from aegis.pipelines import reports
from aegis.reports import CallTranscript, ExtractiveWriter, Section
from aegis.samples import write_samples
from aegis.settings import Settings
from aegis.writers import Writer
from systems.aegis.tests.commands import Commands

RULE = "-" * 80


class Flaky(ExtractiveWriter):
    """Fails the first sections of some banks' calls."""

    def __init__(self, **failures: int) -> None:
        self.failures = failures
        self.at_once: set[str] = set()
        self.most_at_once = 0

    def topics(self, report_type: str) -> list[str]:
        return super().topics(report_type)[:2]

    async def section(self, transcript: CallTranscript, topic: str) -> Section:
        symbol = transcript.bank_symbol
        assert symbol not in self.at_once, "a bank's jobs come one at a time"
        self.at_once.add(symbol)
        self.most_at_once = max(self.most_at_once, len(self.at_once))
        try:
            await asyncio.sleep(0.02)
            if self.failures.get(symbol, 0) > 0:
                self.failures[symbol] -= 1
                raise ConnectionError("Connection timeout")
            return await super().section(transcript, topic)
        finally:
            self.at_once.discard(symbol)


@pytest.fixture
def folder(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with all samples of four banks in the database."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOG_LEVEL", "POSTGRES_HOST", "AEGIS_INSTITUTIONS", "AEGIS_REPORTS_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", database_url)
    for path in write_samples(tmp_path / "calls"):
        if path.name.split("_")[0] not in ("RY", "BMO", "CM", "GS"):
            path.unlink()
    asyncio.run(load(tmp_path / "calls", load_institutions()))
    return tmp_path


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Generator[Flaky]:
    """The writer of the orchestrator's app."""
    flaky = Flaky()

    def open_writer() -> Writer:
        return flaky

    app = ps.App("aegis", [reports], settings=Settings, resources=[open_writer])
    monkeypatch.setattr(orchestrator, "app", app)
    before = reports.retry
    yield flaky
    reports.retry = before
    app.close()


def limits(folder: Path, **more: Any) -> Limits:
    given: dict[str, Any] = {"attempts": 3, "first_delay": 0.6, "longest_delay": 0.8, "parallel": 4, **more}
    return Limits(lock_file=folder / "lock", **given)


def test_the_execution_output_is_the_seeds(folder: Path, writer: Flaky, capsys: pytest.CaptureFixture[str]) -> None:
    writer.failures = {"BMO": 1}
    assert orchestrator.main(limits(folder), ["--etl-type", "key_themes", "--max-parallel", "1"]) == 0
    lines = [re.sub(r"\d+\.\d+s$", "N.Ns", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == [
        "[INFO] Starting parallel execution of 8 ETL jobs (max 1 parallel)",
        "[INFO] Grouped into 8 bank-period combinations",
    ]
    assert lines[2:4] == [
        "[INFO] Executing RY 2025 Q2 [key_themes] (attempt 1/3)",
        "[INFO] ✅ Success RY 2025 Q2 [key_themes] in N.Ns",
    ]
    failed = lines.index("[ERROR] ❌ Failed BMO 2025 Q2 [key_themes] (attempt 1): Connection timeout")
    assert lines[failed - 1 : failed + 2 : 2] == [
        "[INFO] Executing BMO 2025 Q2 [key_themes] (attempt 1/3)",
        "[INFO] Retrying in 0.6s...",
    ]
    assert "[INFO] Executing BMO 2025 Q2 [key_themes] (attempt 2/3)" in lines[failed:]
    assert lines[-9:] == [
        "",
        RULE,
        "EXECUTION RESULTS",
        RULE,
        "Total Jobs: 8",
        "Successful: 8 ✅",
        "Failed: 0 ❌",
        "Duration: N.Ns",
        "=" * 80,
    ]


def test_a_job_that_never_succeeds_has_its_attempts_and_the_others_go_on(
    folder: Path, writer: Flaky, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    writer.failures = {"BMO": 3}
    with psycopg.connect(database_url) as conn:
        conn.execute("delete from aegis_transcripts where bank_symbol = 'GS' and quarter = 'Q2'")
    assert orchestrator.main(limits(folder), []) == 1
    lines = capsys.readouterr().out.splitlines()
    bmo = [line for line in lines if "BMO 2025 Q2 [call_summary]" in line or "Retrying" in line]
    assert bmo == [
        "[INFO] Executing BMO 2025 Q2 [call_summary] (attempt 1/3)",
        "[ERROR] ❌ Failed BMO 2025 Q2 [call_summary] (attempt 1): Connection timeout",
        "[INFO] Retrying in 0.6s...",
        "[INFO] Executing BMO 2025 Q2 [call_summary] (attempt 2/3)",
        "[ERROR] ❌ Failed BMO 2025 Q2 [call_summary] (attempt 2): Connection timeout",
        "[INFO] Retrying in 0.8s...",
        "[INFO] Executing BMO 2025 Q2 [call_summary] (attempt 3/3)",
        "[ERROR] ❌ Failed BMO 2025 Q2 [call_summary] (attempt 3): Connection timeout",
        "  ❌ BMO 2025 Q2 [call_summary]: Max retries exceeded - Connection timeout",
    ]
    at = lines.index("Total Jobs: 16")
    assert lines[at + 1 : at + 3] == ["Successful: 13 ✅", "Failed: 3 ❌"]
    assert lines[at + 4 : at + 6] == ["", "Failed Jobs:"]
    assert sorted(lines[at + 6 : -1]) == [
        "  ❌ BMO 2025 Q2 [call_summary]: Max retries exceeded - Connection timeout",
        "  ❌ GS 2025 Q2 [call_summary]: No transcript data found",
        "  ❌ GS 2025 Q2 [key_themes]: No transcript data found",
    ]
    assert writer.most_at_once <= 4
    # The next run takes the failed ones up again, without waiting.
    assert orchestrator.main(limits(folder), ["--bank-symbol", "BMO"]) == 0
    assert "Total Jobs: 1" in capsys.readouterr().out.splitlines()


def test_no_more_banks_at_once_than_was_said(folder: Path, writer: Flaky, capsys: pytest.CaptureFixture[str]) -> None:
    assert orchestrator.main(limits(folder), ["--max-parallel", "2"]) == 0
    assert writer.most_at_once <= 2
    out = capsys.readouterr().out
    assert "(max 2 parallel)" in out
    order = re.findall(r"Executing RY (\d+ Q\d \[\w+\])", out)
    assert order == ["2025 Q2 [call_summary]", "2025 Q2 [key_themes]", "2025 Q1 [call_summary]", "2025 Q1 [key_themes]"]


def test_the_log_keeps_to_its_level(
    folder: Path, writer: Flaky, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    writer.failures = {"RY": 1}
    assert orchestrator.main(limits(folder), ["--bank-symbol", "RY"]) == 0
    log = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert log == ["[ERROR] ❌ Failed RY 2025 Q2 [call_summary] (attempt 1): Connection timeout"]


def test_a_symbol_that_is_none_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert orchestrator.main(limits(Path("/nowhere")), ["--bank-symbol", "BMOO"]) == 1
    assert "[ERROR] No monitored institution has the symbol BMOO; did you mean BMO?" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--max-parallel", "0"], ["--etl-type", "newsletter"], ["--unknown"]])
def test_wrong_use_is_argparses(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        orchestrator.main(limits(Path("/nowhere")), arguments)
    assert ended.value.code == 2
    assert "usage: etl_orchestrator.py" in capsys.readouterr().err


def test_a_killed_run_is_finished_and_counted_by_the_next(tmp_path: Path, database_url: str) -> None:
    commands = Commands(database_url, tmp_path)
    write_samples(tmp_path / "calls")
    commands.ingest(tmp_path / "calls")
    first = commands.start("--max-parallel", "2")
    assert first.stdout is not None
    done = 0
    while done < 4:
        done += "Success" in first.stdout.readline()
    first.kill()
    first.communicate(timeout=30)
    assert commands.lock.read_text().startswith(f"PID: {first.pid}\n")
    second = commands.orchestrate()
    made = int(next(line for line in second.lines if line.startswith("Successful: ")).split()[1])
    assert second.code == 0
    assert 40 <= made <= 52
    assert f"Total Jobs: {made}" in second.lines
    assert commands.rows("select count(*), count(distinct docx_path) from aegis_reports") == [(56, 56)]
    assert commands.orchestrate().lines == ["[INFO] No gaps identified, nothing to do"]
