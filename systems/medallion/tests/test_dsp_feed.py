"""A feed of a DSP: its reports are fetched over a socket, and what it sends again replaces what it sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from medallion.pipelines import backfill, ingestion
from medallion.vault import new_key
from penstock.testing import servers
from penstock.testing.servers import Dv360Server
from systems.medallion.tests.test_dsp import GIVEN
from systems.medallion.tests.world import World

TODAY = datetime.now(UTC).date()
YESTERDAY, OLD = TODAY - timedelta(days=1), date(2024, 12, 20)


@pytest.fixture
def dsp(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dv360Server]:
    with servers.dv360(polls=1) as server:
        monkeypatch.setenv("MEDALLION_DSP_URL", server.url)
        monkeypatch.setenv("MEDALLION_DSP_TOKEN_URL", server.token_url)
        monkeypatch.setenv("MEDALLION_DSP_POLL_SECONDS", "0.01")
        monkeypatch.setenv("MEDALLION_DAYS_BACK", "2")
        monkeypatch.setenv("MEDALLION_CREDENTIALS_KEY", new_key())
        yield server


def row(spend: float, item: str = "77", clicks: object = 9) -> dict[str, Any]:
    return {
        "FILTER_MEDIA_PLAN": "C1",
        "FILTER_MEDIA_PLAN_NAME": 'Spring, "big"',
        "FILTER_LINE_ITEM": item,
        "FILTER_ADVERTISER_CURRENCY": "USD",
        "METRIC_IMPRESSIONS": 1000,
        "METRIC_CLICKS": clicks,
        "METRIC_TOTAL_CONVERSIONS": 12.5,
        "METRIC_REVENUE_ADVERTISER": spend,
    }


async def fed(world: World, secret: dict[str, str] | None = None) -> None:
    from medallion.documents import settings_here
    from medallion.vault import Vault, keep

    async with world.client() as client, client.connection() as conn:
        await keep(conn, Vault(settings_here()), "acme", secret or dict(GIVEN))
    await world.feed("DV360 Daily", source="dsp", format="dv360", credential="acme", advertiser="17")


async def test_days_are_fetched_and_reach_gold(world: World, dsp: Dv360Server) -> None:
    await fed(world)
    for back in (1, 2):
        dsp.put("17", TODAY - timedelta(days=back), [row(5.25), row(1.0, "78"), row(1.0, "79", clicks="n/a")])
    done = await world.through()
    assert [one.ok for one in done.values()] == [True, True]
    assert world.spend() == {(TODAY - timedelta(days=back), "C1"): 6.25 for back in (2, 1)}
    assert [kind for _, kind, _ in world.rejected()] == ["invalid_types"] * 2
    origin = world.rows("select distinct origin from bronze.landings")
    assert origin == [{"origin": "DV360, advertiser 17"}]
    assert dsp.queries == [], "queries are taken away again"
    said = " ".join(str(row) for row in world.rows("select message, fields from penstock.logs"))
    for table in ("penstock.calls", "penstock.units", "penstock.attempts", "medallion.credentials", "bronze.landings"):
        said += str(world.rows(f"select * from {table}"))
    assert not [value for value in GIVEN.values() if value in said]


async def test_a_day_that_the_dsp_restates_is_fetched_again_the_next_morning(world: World, dsp: Dv360Server) -> None:
    await fed(world)
    dsp.put("17", YESTERDAY, [row(5.0)])
    dsp.put("17", YESTERDAY - timedelta(days=1), [row(1.0)])
    await world.through()
    assert (await world.run(ingestion)).counts == {}, "not twice on one day"
    world.execute("update bronze.landings set received_at = received_at - interval '1 day'")
    dsp.put("17", YESTERDAY, [row(6.0)])
    await world.through()
    assert world.spend()[YESTERDAY, "C1"] == 6.0
    assert world.one("select count(*) from bronze.landings") == 3, "the other day came as it was"


async def test_an_empty_report_is_a_day_without_delivery(world: World, dsp: Dv360Server) -> None:
    await fed(world)
    dsp.put("17", OLD, [])
    done = await world.run(backfill, start=OLD, end=OLD)
    assert done.counts == {"completed": 1}
    assert world.one("select count(*) from gold.days where first_date is null") == 1
    assert (await world.run(backfill, start=OLD, end=OLD)).counts == {}


async def test_credentials_that_are_refused_are_not_tried_again(world: World, dsp: Dv360Server) -> None:
    await fed(world, {**GIVEN, "refresh_token": "1//of-somebody-else"})
    dsp.put("17", OLD, [row(5.0)])
    done = await world.run(backfill, start=OLD, end=OLD)
    assert [run.error_class for run in done.failed] == ["auth"]
    assert "1//of-somebody-else" not in str(done.failed[0].error)


async def test_a_lost_key_is_told(world: World, dsp: Dv360Server, monkeypatch: pytest.MonkeyPatch) -> None:
    await fed(world)
    monkeypatch.setenv("MEDALLION_CREDENTIALS_KEY", new_key())
    done = await world.run(backfill, start=OLD, end=OLD)
    assert "'acme' was encrypted with a key that MEDALLION_CREDENTIALS_KEY does not have" in str(done.failed[0].error)
    assert dsp.requests == []
