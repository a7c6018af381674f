"""Real files as they are published: every row of each is read, or named."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from pathlib import Path

import polars as pl
import pytest

from penstock import data
from tests.unit.data.files import SHARED, batches, refused

TABLES = {
    "adtech/online_advertising_performance_2020Q2.csv.gz": (15_408, 12),
    "adtech/google_political_weekly_spend_2018_snapshotA.csv.gz": (1_659, 5),
    "adtech/google_political_weekly_spend_2018_snapshotB.csv.gz": (2_823, 5),
    "adtech/kag_facebook_conversions.csv.gz": (1_143, 12),
    "banking/cnbv_cat_conceptos_40.csv": (641, 7),
    "banking/cnbv_cat_instituciones_40.csv": (69, 6),
    "banking/cnbv_catalogo_R12A_BM.csv": (1_331, 4),
    "banking/cnbv_ifrs9_040_R12A_sample.csv": (50, 6),
    "banking/cnbv_sh_datos_40_sample.csv": (50, 6),
    "banking/cnbv_indicadores_sistema_2000-2026.json.gz": (304, 12),
    "equities/symbols_LSE.csv.gz": (3_391, 22),
    "equities/sp500_constituents.csv": (503, 8),
    "equities/lseg_l_daily_2007-2021.csv.gz": (3_515, 7),
    "prospects/combine_official_2006-2026.csv.gz": (6_568, 24),
    "prospects/pfr_combine_2000_on.csv.gz": (7_680, 18),
    "prospects/nfl_data_py_combine.csv.gz": (5_627, 14),
    "prospects/espn_draft_prospects_1967-2021.csv.gz": (13_354, 24),
    "prospects/espn_college_qbr_2004-2020.csv.gz": (2_049, 14),
    "prospects/espn_nflfastr_id_crosswalk.csv": (236, 3),
    "prospects/cfbd_prospects2022_college_season_stats.json.gz": (440, 13),
}
WORKBOOK = "banking/cnbv_icap_ccb_ccf_mensual_200601-202603.xlsx"
PRICES = "equities/us_sp500_daily_adjusted_2019-04-22_2021-04-21.csv.gz"
TICKERS = "equities/us_sp500_raw_per_ticker_sample.zip"


def real(name: str) -> Path:
    path = SHARED / name
    if not path.is_file():
        reason = f"no {name}; set PENSTOCK_TEST_DATA to the folder that holds it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.mark.parametrize("name", TABLES)
async def test_every_row_is_read(name: str) -> None:
    path = real(name)
    frame = await data.read(path)
    assert frame.shape == TABLES[name]
    assert pl.concat(await batches(path, rows=1000)).equals(frame)


@pytest.mark.parametrize("name", [name for name in TABLES if ".csv" in name])
async def test_values_are_those_that_pythons_csv_reads(name: str) -> None:
    content = real(name).read_bytes()
    content = gzip.decompress(content) if name.endswith(".gz") else content
    encoding = "latin-1" if name.startswith("banking/cnbv_cat") else "utf-8"
    header, *rows = [row for row in csv.reader(io.StringIO(content.decode(encoding), newline="")) if row]
    kept = [at for at, title in enumerate(header) if title]
    frame = await data.read(real(name), nulls=())
    assert frame.columns == [header[at] for at in kept]
    assert frame.rows() == [tuple(row[at] for at in kept) for row in rows]


async def test_latin_1_of_the_regulator() -> None:
    frame = await data.read(real("banking/cnbv_cat_instituciones_40.csv"), schema={"orden": pl.Int64})
    assert frame["nombre_entidad"][0] == "Total Banca Múltiple"
    assert frame["orden"].to_list() == list(range(1, 70))
    indented = await data.read(real("banking/cnbv_catalogo_R12A_BM.csv"))
    assert indented["descripcion_identada"][1] == " Efectivo y equivalentes de efectivo"


async def test_the_regulators_workbook() -> None:
    path = real(WORKBOOK)
    assert "3 sheets ('MINFO', 'BD', 'Instituciones')" in str(await refused(path))
    schema = {"cve_periodo": pl.Int64, "dat_valor_4021750": pl.Float64}
    frame = await data.read(path, sheet="BD", schema=schema, line="row")
    assert frame.shape == (14_469, 9)
    assert frame["row"].to_list() == list(range(2, 14_471))
    assert frame["cve_institucion"][0] == "040124"
    assert (frame["cve_periodo"].min(), frame["cve_periodo"].max()) == (200601, 202603)
    assert (await data.read(path, sheet=3)).height == 83
    error = await refused(path, sheet="MINFO")
    assert "sheet 'MINFO', row 6, column 'column 2': 'Notas'" in str(error)


async def test_an_error_page_among_prices_is_named_and_the_rest_is_read() -> None:
    path = real(PRICES)
    assert (await refused(path)).line == 30_267
    bad: list[data.BadRow] = []
    frame = await data.read(path, bad=bad, schema="infer")
    assert [(row.line, row.values) for row in bad] == [(30_267, ("BF.B", "Error Message")), (30_268, ("BF.B", "}"))]
    assert frame.height == 253_600
    assert frame.schema["timestamp"] == pl.Date
    assert frame.schema["volume"] == pl.Int64


async def test_a_file_of_many_in_a_zip() -> None:
    path = real(TICKERS)
    assert "9 files" in str(await refused(path))
    member = "DA-AAPL-T-2021-04-21.csv"
    frame = await data.read(path, member=member, schema={"timestamp": pl.Date, "volume": pl.Int64})
    assert frame.height == 5_402
    error = await refused(path, member="DA-BF.B-T-2021-04-21.csv", schema={"timestamp": pl.Date})
    assert "lacks what schema= names: 'timestamp'" in str(error)


async def test_what_is_nested_stays_json() -> None:
    frame = await data.read(real("banking/cnbv_imor_por_banco_2000-2026.json.gz"))
    assert frame.height == 1
    assert len(json.loads(frame["bancos"][0])) == 62
    assert len(json.loads(frame["fechas"][0])) == 304
