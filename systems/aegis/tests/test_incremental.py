"""A changed transcript remakes what depends on it: that quarter's reports and the next one's, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aegis.samples import write_samples
from systems.aegis.tests.commands import Commands

pytestmark = pytest.mark.timeout(300)  # each starts the commands several times

Made = dict[tuple[str, int, str, str], tuple[object, bytes]]
NOW, BEFORE = (2025, "Q2"), (2025, "Q1")


@pytest.fixture
def aegis(tmp_path: Path, database_url: str) -> Commands:
    """An installation with the calls of two banks loaded, two quarters each, and their reports made."""
    commands = Commands(database_url, tmp_path)
    write_samples(tmp_path / "all")
    (tmp_path / "calls").mkdir()
    bring(commands, "RY_*", "JPM_*")
    done = commands.orchestrate()
    assert (done.code, "Total Jobs: 8" in done.lines) == (0, True), done
    return commands


def bring(commands: Commands, *patterns: str) -> None:
    """Puts more of the sample calls where they are ingested from, and ingests."""
    for pattern in patterns:
        for path in (commands.folder / "all").glob(pattern):
            path.rename(commands.folder / "calls" / path.name)
    commands.ingest(commands.folder / "calls")


def made(commands: Commands) -> Made:
    """When each report was recorded, and its Word file."""
    rows = commands.rows(
        "select bank_symbol, fiscal_year, quarter, report_type, generated_at, docx_path from aegis_reports"
    )
    return {row[:4]: (row[4], Path(row[5]).read_bytes()) for row in rows}


def remade(commands: Commands, before: Made) -> set[tuple[str, int, str]]:
    """What the next run makes or makes again: periods, each with both its reports. All else is as it was."""
    assert commands.orchestrate().code == 0
    after = made(commands)
    assert after.keys() >= before.keys()
    changed = [key for key in after if key not in before or after[key][0] != before[key][0]]
    assert all(after[key] == before[key] for key in before if key not in changed)
    periods = {key[:3] for key in changed}
    assert len(changed) == 2 * len(periods)
    return periods


def change(commands: Commands, name: str, old: str = "", new: str = " Goodbye.") -> None:
    """Another text of one call, ingested."""
    path = commands.folder / "calls" / name
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new) if old else text + new, encoding="utf-8")
    assert "(0 new, 1 changed, " in commands.ingest(commands.folder / "calls").lines[0]


def test_a_changed_transcript_remakes_its_quarter_and_the_next_of_its_bank_and_nothing_else(aegis: Commands) -> None:
    before = made(aegis)
    change(aegis, "RY_2025_Q1.txt", "net interest income to grow between", "net interest income to rise between")
    assert "  • 2025 Q2: call_summary (stale)" in aegis.orchestrate("--dry-run").lines
    assert remade(aegis, before) == {("RY", *NOW), ("RY", *BEFORE)}
    # The later quarter's summary quotes the new words beside its own.
    ((markdown,),) = aegis.rows(
        "select markdown_path from aegis_reports "
        "where bank_symbol = 'RY' and quarter = 'Q2' and report_type = 'Call Summary'"
    )
    assert re.search(r"Last quarter.*net interest income to rise between", Path(markdown).read_text(encoding="utf-8"))
    # Of the newest call nothing else depends on; and an ingest that changes nothing remakes nothing.
    before = made(aegis)
    change(aegis, "RY_2025_Q2.txt")
    assert remade(aegis, before) == {("RY", *NOW)}
    aegis.ingest(aegis.folder / "calls")
    assert aegis.orchestrate().lines == ["[INFO] No gaps identified, nothing to do"]


def test_an_earlier_call_that_arrives_later_is_compared_with(aegis: Commands) -> None:
    before = made(aegis)
    bring(aegis, "BMO_2025_Q2.txt")
    assert remade(aegis, before) == {("BMO", *NOW)}
    assert aegis.rows(
        "select distinct quality ->> 'previous' from aegis_reports where bank_symbol = 'BMO' and quarter = 'Q2'"
    ) == [(None,)]
    before = made(aegis)
    bring(aegis, "BMO_2025_Q1.txt")
    assert remade(aegis, before) == {("BMO", *NOW), ("BMO", *BEFORE)}
    # The page of quality of all reports, asked for in SQL.
    uneven = aegis.rows(
        "select * from aegis_reports r where (quality -> 'statements' ->> 'considered')::int <> "
        "(quality -> 'statements' ->> 'kept')::int + coalesce((select sum(value::int) "
        "from jsonb_each_text(r.quality -> 'statements' -> 'dropped')), 0) or quality is null"
    )
    assert uneven == []
    compared = aegis.rows(
        "select quarter, (quality ->> 'compared')::int > 0, quality ->> 'previous' from aegis_reports "
        "where bank_symbol = 'BMO' and report_type = 'Call Summary' order by 1"
    )
    assert compared == [("Q1", False, None), ("Q2", True, "2025 Q1")]


def test_reports_from_before_there_were_comparisons_stay_until_their_own_transcript_changes(aegis: Commands) -> None:
    aegis.execute("drop view aegis_report_sources")
    aegis.execute("alter table aegis_reports drop column quality")
    aegis.execute("update aegis_reports set source_version = split_part(source_version, '+', 1)")
    assert aegis.orchestrate().lines == ["[INFO] No gaps identified, nothing to do"]
    before = made(aegis)
    change(aegis, "RY_2025_Q1.txt")
    assert remade(aegis, before) == {("RY", *BEFORE)}
    before = made(aegis)
    change(aegis, "RY_2025_Q2.txt")
    assert remade(aegis, before) == {("RY", *NOW)}
