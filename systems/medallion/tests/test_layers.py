"""Bronze, silver, gold: what each holds of a dirty report, and what is told about it."""

from __future__ import annotations

import hashlib
from datetime import date
from uuid import UUID

import polars as pl
import pytest

from medallion.samples import DIRT, report, write_reports
from systems.medallion.tests.world import HEADER, World, line, text_of

DAY = date(2024, 12, 20)


async def test_each_row_ends_in_silver_or_with_its_reason(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDALLION_LEAST_SCORE", "10")
    await world.feed()
    world.drop(
        "2024-12-20.csv",
        line(),
        line(campaign="", item="L2"),
        line(item="L3", clicks="n/a"),
        line(item="L4", spend="-1"),
        line("2024-13-45", item="L5"),
        line(item="L1", spend="9.99"),
        line(item="L6", clicks=2000),
        line(item="L7", conversions=11),
        line(item="L8", currency="EUR"),
        "2024-12-20,C1",
        line(item="L9", conversions="0.5", spend="0.123456789"),
        line(day="", item="L10"),
        line(item="L11", impressions="NaN"),
    )
    for done in (await world.through()).values():
        assert done.ok
    assert world.rejected() == [
        (3, "missing_fields", "campaign_id|nullability"),
        (4, "invalid_types", "clicks|dtype"),
        (5, "out_of_range", "spend|min"),
        (6, "invalid_types", "date|dtype"),
        (7, "duplicates", "primary_key"),
        (8, "inconsistent", "clicks_within_impressions"),
        (9, "inconsistent", "conversions_within_clicks"),
        (10, "inconsistent", "currency_of_the_feed"),
        (11, "inconsistent", world.rejected()[8][2]),
        (13, "missing_fields", "date|nullability"),
        (14, "invalid_types", "impressions|dtype"),
    ]
    assert world.rejected()[8][2].startswith("whole_record: ")
    kept = world.rows("select record, origin, file, organization, feed from silver.rejections where line = 4")
    assert kept == [
        {
            "record": line(item="L3", clicks="n/a"),
            "origin": str(world.inbox / "2024-12-20.csv"),
            "file": "2024-12-20.csv",
            "organization": "Acme",
            "feed": "Drop",
        }
    ]
    assert world.rows("select line, ad, conversions, spend from silver.ad_rows order by line") == [
        {"line": 2, "ad": "L1 | banner", "conversions": 1, "spend": 5},
        {"line": 12, "ad": "L9 | banner", "conversions": pl.Series([0.5])[0], "spend": world.one("select 0.123457")},
    ]
    assert world.one("select count(*) from bronze.rows") == 13
    assert world.one("select rows - valid - filtered from silver.loads") == 0


async def test_bronze_is_what_was_received(world: World) -> None:
    await world.feed()
    strange = '2024-12-20,"C ""1""",  spaces  ,L1,"a\nb, c",1000,10,,"5,0",7.00,USD'
    path = world.inbox / "2024-12-20.csv"
    path.write_text(f"{HEADER}\n{strange}\n")
    await world.through()
    row = world.rows("select * from bronze.records")[0]
    assert row["record"] == strange
    assert row["columns"] == HEADER.split(",")
    assert row["hash"] == hashlib.sha256(strange.encode()).hexdigest()
    assert row["file_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (row["origin"], row["line"], row["day"]) == (str(path), 2, DAY)
    landed = world.folder / world.one("select path from bronze.landings")
    assert landed.read_bytes() == path.read_bytes()
    assert world.rejected() == [(2, "invalid_types", "spend|dtype")]


async def test_gold_adds_up_what_silver_has(world: World) -> None:
    await world.feed()
    rows, days = 2_000, 3
    write_reports(world.inbox, rows=rows * days, days=days)
    done = await world.through()
    assert done["ETLWorkflow"].counts == {"completed": 1}, "a batch of days is one run"
    given = pl.concat([report(day, rows=rows, days=days) for day in range(days)])
    spoiled = {
        "missing_fields": given.filter(pl.col("campaign_id") == "").height,
        "invalid_types": given.filter(pl.col("clicks") == "n/a").height,
        "out_of_range": given.filter(pl.col("spend").str.starts_with("-")).height,
        "duplicates": given.height - given.unique().height,
    }
    assert spoiled["missing_fields"] == DIRT.missing_fields // days * days
    assert {
        row["type"]: row["n"] for row in world.rows("select type, count(*) n from silver.rejections group by 1")
    } == spoiled
    clean = (
        given.unique()
        .filter(pl.col("campaign_id") != "", pl.col("clicks") != "n/a", ~pl.col("spend").str.starts_with("-"))
        .group_by("date", "campaign_id")
        .agg(pl.len(), *(pl.col(c).cast(pl.Int64).sum() for c in ("impressions", "clicks", "conversions")),
             *((pl.col(c).cast(pl.Float64) * 100).round().cast(pl.Int64).sum() for c in ("spend", "revenue")))
    )  # fmt: skip
    wanted = {(row[0], row[1]): row[2:] for row in clean.iter_rows()}
    found = {
        (row["day"].isoformat(), row["campaign_id"]): (
            row["rows"], row["impressions"], row["clicks"], int(row["conversions"]),
            int(row["spend"] * 100), int(row["revenue"] * 100),
        )
        for row in world.rows("select * from gold.campaign_daily")
    }  # fmt: skip
    assert found == wanted
    first = world.rows("select * from gold.campaign_daily where clicks > 0 and conversions > 0 limit 1")[0]
    assert float(first["ctr"]) == round(first["clicks"] / first["impressions"], 6)
    assert float(first["cpc"]) == round(float(first["spend"]) / first["clicks"], 6)


async def test_layers_are_counted_and_told(world: World) -> None:
    feed = await world.feed("DV360 Daily")
    world.drop("2024-12-20.csv", line(), line(item="L2", clicks="x"), line(item="L3"))
    world.drop("2024-12-21.csv", line("2024-12-21"), line("2024-12-21", item="L2"))
    await world.through()
    (execution,) = world.rows("select * from medallion.etl_executions where config ->> 'pipeline' = 'ETLWorkflow'")
    assert execution["pipeline_id"] == feed
    assert (execution["status"], execution["org_id"], execution["layer"]) == ("completed", 1, "notify")
    assert (execution["records_processed"], execution["records_failed"]) == (5, 1)
    assert execution["size_bytes"] == sum(path.stat().st_size for path in world.inbox.iterdir())
    assert [one["table"] for one in execution["result"]["gold"]] == ["gold.campaign_daily", "gold.pacing_metrics"]
    metrics = world.rows(
        "select layer, metric_type, sum(count)::int as n from medallion.data_quality_metrics where execution_id = %s"
        " group by 1, 2 order by 2",
        execution["id"],
    )
    assert [tuple(row.values()) for row in metrics] == [
        ("silver", "invalid_types", 1), ("silver", "total_records", 5), ("silver", "valid_records", 4),
    ]  # fmt: skip
    said = [row["message"] for row in world.rows("select message from penstock.v1_logs order by number")]
    assert "Fetched 3 records" in said
    assert "1 records filtered due to data quality issues" in said


async def test_the_views_have_the_columns_of_the_first_system(world: World) -> None:
    await world.feed()
    shape = (
        "select column_name, data_type, character_maximum_length as length from information_schema.columns"
        " where table_schema = 'medallion' and table_name = %s order by ordinal_position"
    )
    assert [tuple(row.values()) for row in world.rows(shape, "etl_executions")] == [
        ("id", "uuid", None), ("pipeline_id", "uuid", None), ("org_id", "integer", None),
        ("status", "character varying", 50), ("layer", "character varying", 50), ("config", "jsonb", None),
        ("result", "jsonb", None), ("error", "text", None), ("records_processed", "bigint", None),
        ("records_failed", "bigint", None), ("size_bytes", "bigint", None), ("duration_ms", "integer", None),
        ("started_at", "timestamp without time zone", None), ("completed_at", "timestamp without time zone", None),
    ]  # fmt: skip
    assert [tuple(row.values()) for row in world.rows(shape, "data_quality_metrics")] == [
        ("id", "bigint", None), ("pipeline_id", "uuid", None), ("org_id", "integer", None),
        ("execution_id", "uuid", None), ("layer", "character varying", 50), ("metric_type", "character varying", 100),
        ("count", "integer", None), ("severity", "character varying", 50), ("details", "jsonb", None),
        ("timestamp", "timestamp without time zone", None),
    ]  # fmt: skip


async def test_a_run_of_many_weeks_is_shown_like_any_other(world: World) -> None:
    await world.feed()
    world.drop("2024-12-20.csv", line())
    await world.through()
    world.execute("update penstock.runs set started_at = now() - interval '40 days'")
    world.execute("update penstock.quality_metrics set count = 3000000000")
    assert world.one("select max(duration_ms) from medallion.etl_executions") == 2_147_483_647
    assert world.one("select max(count) from medallion.data_quality_metrics") == 2_147_483_647


async def test_a_report_with_other_columns_is_told_and_nothing_is_loaded(world: World) -> None:
    await world.feed()
    path = world.inbox / "2024-12-20.csv"
    path.write_text(text_of(line()).replace("campaign_id", "Campaign ID"))
    done = await world.through()
    (failed,) = done["ETLWorkflow"].failed
    assert failed.error_class == "data", failed.error
    assert "2024-12-20.csv has no column 'campaign_id'" in str(failed.error)
    assert "is it 'campaign'?" in str(failed.error)
    assert world.one("select count(*) from silver.loads") == 0
    assert world.one("select count(*) from bronze.rows") == 1, "what was received is kept"


async def test_what_lies_in_the_landing_folder_is_what_was_received(world: World) -> None:
    await world.feed()
    world.drop("2024-12-20.csv", line())
    async with world.client() as client:
        from medallion.pipelines import etl, ingestion

        await client.run(ingestion)
        landed = world.folder / world.one("select path from bronze.landings")
        landed.chmod(0o644)
        landed.write_text(text_of(line(spend="6.00")))
        done = await client.run(etl)
    (failed,) = done.failed
    assert "is not what was received" in str(failed.error)
    assert world.one("select count(*) from bronze.rows") == 0
    assert isinstance(world.one("select id from medallion.pipelines"), UUID)
