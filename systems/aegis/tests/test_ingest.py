"""Ingesting into PostgreSQL: what is kept, what a second time changes, and the seed's own queries."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aegis.ingest import IngestResult, add_availability, create_tables, ingest
from aegis.institutions import load_institutions
from aegis.samples import other_availability, sample_call, write_samples
from aegis.transcripts.companies import companies

BANKS = load_institutions()


async def ingested(url: str, source: Path) -> IngestResult:
    async with await psycopg.AsyncConnection.connect(url) as conn:
        await create_tables(conn)
        return await ingest(conn, source, BANKS)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as conn:
        return conn.execute(query.encode()).fetchall()


TABLES = ("aegis_transcripts", "aegis_rejected_files", "aegis_data_availability")


def everything(url: str) -> list[list[tuple[Any, ...]]]:
    return [rows(url, f"select xmin::text, * from {table} order by 2, 3, 4, 5") for table in TABLES]


@pytest.mark.asyncio
async def test_the_samples_make_the_gaps_of_the_seed(database_url: str, tmp_path: Path) -> None:
    write_samples(tmp_path)
    result = await ingested(database_url, tmp_path)
    assert (result.new, result.changed, result.unchanged, result.rejected, result.flagged) == (28, 0, 0, [], [])
    async with await psycopg.AsyncConnection.connect(database_url) as conn:
        await add_availability(conn, other_availability(), BANKS)
    available = rows(
        database_url,
        "SELECT bank_id, fiscal_year, quarter FROM aegis_data_availability WHERE 'transcripts' = ANY(database_names)",
    )
    existing = rows(
        database_url,
        "SELECT bank_id, fiscal_year, quarter, report_type FROM aegis_reports "
        "WHERE report_type IN ('Call Summary', 'Key Themes')",
    )
    assert len(available) * 2 - len(existing) == 56
    assert len(rows(database_url, "SELECT DISTINCT bank_symbol FROM aegis_data_availability")) == 14
    assert rows(database_url, "select count(*) from aegis_data_availability") == [(42,)]


@pytest.mark.asyncio
async def test_a_second_time_changes_nothing(database_url: str, tmp_path: Path) -> None:
    write_samples(tmp_path)
    (tmp_path / "what.txt").write_text("x")
    await ingested(database_url, tmp_path)
    before = everything(database_url)
    result = await ingested(database_url, tmp_path)
    assert (result.new, result.changed, result.unchanged) == (0, 0, 28)
    assert result.reasons == {"unknown_name": 1}
    assert everything(database_url) == before


@pytest.mark.asyncio
async def test_a_changed_file_changes_its_row_only(database_url: str, tmp_path: Path) -> None:
    paths = write_samples(tmp_path)[:2]
    await ingested(database_url, tmp_path)
    paths[0].write_text(paths[0].read_text().replace("Our strategy", "Our plan") + " Goodbye.")
    result = await ingested(database_url, tmp_path)
    assert (result.new, result.changed, result.unchanged) == (0, 1, 27)
    ((text, sha256),) = rows(database_url, "select text, sha256 from aegis_transcripts where text like '%Goodbye.'")
    assert text == paths[0].read_text()
    assert len(sha256) == 64


@pytest.mark.asyncio
async def test_other_databases_of_a_period_stay(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "RY_2025_Q2.txt").write_text(sample_call(BANKS["RY"], 2025, "Q2"))
    async with await psycopg.AsyncConnection.connect(database_url) as conn:
        await create_tables(conn)
        await conn.execute(
            "insert into aegis_data_availability values (1, 'Royal Bank of Canada', 'RY', 2025, 'Q2', '{rts}')"
        )
        await conn.commit()
        await ingest(conn, tmp_path, BANKS)
    assert rows(database_url, "select database_names from aegis_data_availability") == [(["rts", "transcripts"],)]


@pytest.mark.asyncio
async def test_one_bad_file_costs_none_of_the_others(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "calls.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../RY_2025_Q2.txt", "x")
        archive.writestr("RY_2025_Q1.txt", b"\xff\xfe")
        archive.writestr("XX_2025_Q1.txt", "x")
        archive.writestr("BMO_2025_Q1.txt", sample_call(BANKS["BMO"], 2025, "Q1"))
    result = await ingested(database_url, path)
    assert result.accepted == 1
    assert result.reasons == {"bad_encoding": 1, "escapes_folder": 1, "unknown_bank": 1}
    assert len(rows(database_url, "select * from aegis_rejected_files")) == 3


@pytest.mark.asyncio
async def test_the_real_zip_under_its_own_institutions(
    database_url: str, tmp_path: Path, real_transcripts: Path
) -> None:
    source = real_transcripts
    with zipfile.ZipFile(source) as archive:
        tickers = sorted({Path(name).name.split("_")[0] for name in archive.namelist() if name.endswith(".txt")})
    institutions_file = tmp_path / "institutions.yaml"
    institutions_file.write_text(
        "".join(
            f'{ticker}-US: {{id: {number}, name: "{companies()[ticker].name}", type: "US_Banks"}}\n'
            for number, ticker in enumerate(tickers, start=101)
        )
    )
    institutions = load_institutions(institutions_file)
    async with await psycopg.AsyncConnection.connect(database_url) as conn:
        await create_tables(conn)
        first = await ingest(conn, source, institutions)
        second = await ingest(conn, source, institutions)
    assert (first.new, first.reasons) == (128, {"duplicate_of": 1, "other_company": 2})
    assert (second.new, second.changed, second.unchanged) == (0, 0, 128)
    assert rows(database_url, "select count(*) from aegis_transcripts where notice is not null") == [(10,)]
