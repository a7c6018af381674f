"""All real calls there are, through the ingest and the pipeline: what is bad is found, the rest is reported on."""

from __future__ import annotations

import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aegis.transcripts.companies import companies
from systems.aegis.tests.commands import Commands

ROOT = Path(__file__).parents[2]
REJECTED = {"duplicate_of": 1, "other_company": 2}
ACCEPTED = 128


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_real_call_has_its_two_reports(
    real_transcripts: Path, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("systems.aegis.tests.commands.SECONDS", 2500)
    folder = tmp_path / "calls"
    with zipfile.ZipFile(real_transcripts) as archive:
        archive.extractall(folder)
    files = sorted(path for path in folder.rglob("*_Q?.txt") if not path.name.startswith("."))
    tickers = sorted({path.name.split("_")[0] for path in files})
    assert (len(files), len(tickers)) == (131, 22)
    institutions = tmp_path / "institutions.yaml"
    institutions.write_text(
        "".join(
            f'{ticker}-US: {{id: {number}, name: "{companies()[ticker].name}", type: "US_Banks"}}\n'
            for number, ticker in enumerate(tickers, start=101)
        )
    )
    aegis = Commands(database_url, tmp_path, AEGIS_INSTITUTIONS=str(institutions))
    loaded = aegis.ingest(folder)
    assert loaded.lines[0] == f"Accepted: {ACCEPTED} transcripts ({ACCEPTED} new, 0 changed, 0 unchanged)"
    assert "Rejected: 3 (duplicate_of 1, other_company 2)" in loaded.lines
    assert dict(aegis.rows("select reason, count(*)::int from aegis_rejected_files group by 1")) == REJECTED
    flagged = aegis.rows("select count(*) from aegis_transcripts where notice is not null")[0][0]
    assert f"Flagged: {flagged}" in loaded.lines

    # Two processes side by side: one for each core, and no report made twice.
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(aegis.orchestrate, ["--no-lock", "--no-lock"]))
    for done in both:
        assert (done.code, "Failed: 0 ❌" in done.lines) == (0, True), done.out[-3000:]
    successes = re.findall(r"✅ Success (.+) in ", "".join(done.out for done in both))
    assert (len(successes), len(set(successes))) == (2 * ACCEPTED, 2 * ACCEPTED)
    made = aegis.rows("select docx_path, markdown_path, notice from aegis_reports")
    assert len({word for word, _, _ in made}) == 2 * ACCEPTED
    for word, markdown, notice in made:
        assert Path(word).stat().st_size > 5_000
        text = Path(markdown).read_text()
        # A notice of the previous call stands beside this one's, and is no reason to flag it.
        own = re.search(r"(?m)^> \*\*Notice\.\*\* (?!Of the previous call, )", text)
        assert (own is not None) == (notice is not None), markdown
    assert sum(notice is not None for _, _, notice in made) == 2 * flagged
    assert aegis.orchestrate().lines == ["[INFO] No gaps identified, nothing to do"]

    # A changed file makes its two reports stale, and the two of the next quarter, which stand beside it. Only these.
    changed = next(path for path in files if path.name == "RF_2025_Q1.txt")
    changed.write_bytes(changed.read_bytes() + b" Correction: this is the final version of the transcript.")
    assert "(0 new, 1 changed, 127 unchanged)" in aegis.ingest(folder).lines[0]
    dry = aegis.orchestrate("--dry-run")
    assert "📋 GAPS IDENTIFIED: 4 missing reports (4 of them stale: a transcript has changed)" in dry.lines
    assert [line for line in dry.lines if "•" in line] == [
        "  • 2025 Q2: call_summary (stale)",
        "  • 2025 Q2: key_themes (stale)",
        "  • 2025 Q1: call_summary (stale)",
        "  • 2025 Q1: key_themes (stale)",
    ]
    before = dict(aegis.rows("select docx_path, source_version from aegis_reports"))
    assert "Total Jobs: 4" in aegis.orchestrate().lines
    after = dict(aegis.rows("select docx_path, source_version from aegis_reports"))
    assert {Path(path).name for path in after if after[path] != before[path]} == {
        f"RF_2025_{quarter}_{kind}.docx" for quarter in ("Q1", "Q2") for kind in ("call_summary", "key_themes")
    }
    assert aegis.rows(
        "select count(*) from aegis_reports r join aegis_report_sources s using (bank_id, fiscal_year, quarter) "
        "where r.source_version <> s.source_version"
    ) == [(0,)]
