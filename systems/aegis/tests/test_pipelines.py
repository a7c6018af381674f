"""The pipeline on a virtual clock: what is tried again and when, what is not, what comes first, what is paid once."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import penstock as ps
from aegis import pipelines
from aegis.institutions import load_institutions
from aegis.pipelines import Report, record, reports, retries, write
from aegis.reports import CallTranscript, Draft, ExtractiveWriter, Section
from aegis.samples import sample_call
from aegis.settings import Settings
from aegis.writers import Writer
from penstock.testing import Simulation

BANKS = load_institutions()


def report(symbol: str = "RY", quarter: str = "Q2", report_type: str = "Call Summary", year: int = 2025) -> Report:
    return Report(BANKS[symbol].id, symbol, BANKS[symbol].name, year, quarter, report_type)


RY = report()
DRAFT = Draft(
    docx=Path("a.docx"),
    markdown=Path("a.md"),
    source_version="v1",
    writer="extractive",
    cost_usd=Decimal(0),
    notice=None,
)


def simulate(wanted: Any, **more: Any) -> Simulation[Report]:
    sim = Simulation(reports, wanted=wanted, **more)
    sim.stub(write, DRAFT)
    sim.stub(record, "a.docx")
    return sim


def test_a_reset_connection_is_tried_again_after_5_and_10_seconds() -> None:
    sim = simulate([RY])
    sim.fail(write, ps.NetworkError("connection reset"), times=2)
    assert sim.run().ok
    assert sim.waits == [5, 10]


def test_a_third_failure_is_final() -> None:
    sim = simulate([RY])
    sim.fail(write, ConnectionError("Connection timeout"), times=3)
    (failure,) = sim.run().failed
    assert (failure.error, failure.error_class) == ("Connection timeout", "network")
    assert len(sim.calls(write)) == 3


@pytest.mark.parametrize("error", [TimeoutError("slow"), RuntimeError("odd"), ps.RateLimited("busy", retry_after=0)])
def test_every_failure_that_may_pass_has_three_attempts(error: Exception) -> None:
    sim = simulate([RY])
    sim.fail(write, error, times=9)
    assert not sim.run().ok
    assert len(sim.calls(write)) == 3


def test_waits_double_up_to_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "retry", retries(attempts=9, first=5, limit=300))
    sim = simulate([RY])
    sim.fail(write, ConnectionError("reset"), times=8)
    assert sim.run().ok
    assert sim.waits == [5, 10, 20, 40, 80, 160, 300, 300]


def test_a_transcript_that_is_not_there_fails_at_once_and_is_asked_for_again_by_the_next_run() -> None:
    sim = simulate([RY])
    sim.fail(write, ps.NoData("No transcript data found"))
    assert sim.run().failed[0].error == "No transcript data found"
    assert len(sim.calls(write)) == 1
    assert [gap.unit for gap in sim.plan()] == [RY]
    assert sim.run().ok


def test_a_bank_goes_on_after_its_own_and_after_anothers_failure() -> None:
    ours = [
        report(quarter=quarter, report_type=kind) for quarter in ("Q1", "Q2") for kind in ("Call Summary", "Key Themes")
    ]
    sim = simulate([*ours, report("BMO")], lanes=1)
    sim.fail(write, ps.InvalidData("broken"), times=2)
    summary = sim.run()
    assert dict(summary.counts) == {"failed": 2, "completed": 3}


def test_a_banks_jobs_come_one_at_a_time_the_newest_first() -> None:
    kinds = ("Key Themes", "Call Summary")
    wanted = [report(quarter=quarter, report_type=kind) for quarter in ("Q1", "Q2") for kind in kinds]
    sim = simulate([*wanted, report(year=2024, quarter="Q4")])
    assert sim.run().ok
    assert [(unit.fiscal_year, unit.quarter, unit.report_type) for unit in sim.calls(write)] == [
        (2025, "Q2", "Call Summary"),
        (2025, "Q2", "Key Themes"),
        (2025, "Q1", "Call Summary"),
        (2025, "Q1", "Key Themes"),
        (2024, "Q4", "Call Summary"),
    ]


def test_a_changed_transcript_makes_its_report_stale() -> None:
    sim = simulate({RY: "v2", report("BMO"): "v1"}, existing={RY: "v1", report("BMO"): "v1"})
    assert [(gap.unit, gap.reason) for gap in sim.plan()] == [(RY, "stale")]


class DiesOnce(ExtractiveWriter):
    """Loses its connection once, in the second section."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def topics(self, report_type: str) -> list[str]:
        return super().topics(report_type)[:3]

    async def section(self, transcript: CallTranscript, topic: str) -> Section:
        self.asked.append(topic)
        if len(self.asked) == 2:
            raise ConnectionError("reset")
        return await super().section(transcript, topic)


def with_transcript(monkeypatch: pytest.MonkeyPatch, *versions: str) -> None:
    given = list(versions)

    async def read(conn: Any, unit: Report) -> tuple[CallTranscript, str]:
        version = given.pop(0) if len(given) > 1 else given[0]
        text = sample_call(BANKS[unit.bank_symbol], unit.fiscal_year, unit.quarter)
        transcript = CallTranscript(
            text=text,
            sha256=hashlib.sha256(f"{version}{text}".encode()).hexdigest(),
            bank_name=unit.bank_name,
            bank_symbol=unit.bank_symbol,
            fiscal_year=unit.fiscal_year,
            quarter=unit.quarter,
        )
        return transcript, version

    monkeypatch.setattr(pipelines, "read_transcript", read)


def simulate_writing(folder: Path, writer: ExtractiveWriter) -> Simulation[Report]:
    sim = Simulation(reports, wanted=[RY], resources={Writer: writer}, settings=Settings(reports_dir=folder))
    sim.stub(record, "a.docx")
    return sim


def test_a_second_attempt_writes_no_section_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_transcript(monkeypatch, "v1")
    writer = DiesOnce()
    assert simulate_writing(tmp_path, writer).run().ok
    first, second, third = writer.topics("Call Summary")
    assert writer.asked == [first, second, second, third]
    assert (tmp_path / "RY_2025_Q2_call_summary.docx").is_file()


def test_sections_of_another_version_are_not_taken_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_transcript(monkeypatch, "v1", "v2")
    writer = DiesOnce()
    sim = simulate_writing(tmp_path, writer)
    assert sim.run().ok
    first, second, third = writer.topics("Call Summary")
    assert writer.asked == [first, second, first, second, third]
    output = sim.runs[0].steps[0].output
    assert isinstance(output, Draft)
    assert output.source_version == "v2"


def test_the_retry_policy_has_no_jitter() -> None:
    assert reports.retry == retries(attempts=3, first=5, limit=300)
    assert all(not policy.jitter for policy in retries(3, 5, 300).values())
