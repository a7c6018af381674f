"""A new organization: from nothing to its first gold tables, or taken back whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from medallion.documents import settings_here
from medallion.feeds import FeedConfig, NewFeed
from medallion.pipelines import Organization, onboarding
from medallion.vault import Vault, keep, new_key
from penstock.testing import servers
from penstock.testing.servers import Dv360Server
from systems.medallion.tests.test_dsp import GIVEN
from systems.medallion.tests.test_dsp_feed import row
from systems.medallion.tests.world import World, line

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
EVERYTHING = (
    "medallion.organizations", "medallion.pipelines", "bronze.landings", "bronze.rows", "silver.loads",
    "silver.ad_rows", "silver.rejected_rows", "gold.days", "gold.campaign_daily", "gold.pacing_metrics",
)  # fmt: skip


def of_drop(world: World, name: str = "Acme") -> Organization:
    return Organization(name=name, feeds=(NewFeed(name="Drop", source="drop", config=FeedConfig(folder=world.inbox)),))


def landed(world: World) -> int:
    """How many reports are kept."""
    return len([path for path in (world.folder / "landings").rglob("*.csv") if path.is_file()])


def left(world: World) -> dict[str, int]:
    """What is there, table by table, where anything is."""
    counts = {table: world.one(f"select count(*) from {table}") for table in EVERYTHING}
    return {table: count for table, count in counts.items() if count}


@pytest.fixture
def dsp(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dv360Server]:
    with servers.dv360(polls=1) as server:
        monkeypatch.setenv("MEDALLION_DSP_URL", server.url)
        monkeypatch.setenv("MEDALLION_DSP_TOKEN_URL", server.token_url)
        monkeypatch.setenv("MEDALLION_DSP_POLL_SECONDS", "0.01")
        monkeypatch.setenv("MEDALLION_DAYS_BACK", "1")
        monkeypatch.setenv("MEDALLION_CREDENTIALS_KEY", new_key())
        yield server


async def test_from_nothing_to_gold(world: World) -> None:
    world.drop("2024-12-20.csv", line(), line(item="L2", clicks="x"))
    done = await world.run(onboarding, units=[of_drop(world)])
    assert done.counts == {"completed": 1}
    assert left(world)["gold.campaign_daily"] == 1
    assert world.rows("select id, name from medallion.organizations") == [{"id": 1, "name": "Acme"}]


async def test_one_without_reports_is_taken_back_and_may_come_again(world: World) -> None:
    done = await world.run(onboarding, units=[of_drop(world)])
    assert done.counts == {"failed": 1}
    assert "did not reach its first gold tables: its feeds had no reports" in str(done.failed[0].error)
    assert left(world) == {}
    world.drop("2024-12-20.csv", line())
    assert (await world.run(onboarding, units=[of_drop(world)])).counts == {"completed": 1}


async def test_one_whose_reports_are_no_good_is_taken_back_with_all_that_was_made_of_them(world: World) -> None:
    world.drop("2024-12-20.csv", line())
    world.drop("2024-12-21.csv", line("2024-12-21", clicks="x"))
    done = await world.run(onboarding, units=[of_drop(world)])
    assert done.counts == {"failed": 1}
    assert "ETLWorkflow: Only 0 of 1 rows of 2024-12-21 are valid" in str(done.failed[0].error)
    assert left(world) == {}
    assert landed(world) == 0


async def test_taking_back_touches_no_other_organization(world: World) -> None:
    world.drop("2024-12-20.csv", line())
    await world.run(onboarding, units=[of_drop(world, "First")])
    before = left(world)
    other = Organization(
        name="Second",
        feeds=(
            NewFeed(name="A", source="drop", config=FeedConfig(folder=world.inbox)),
            NewFeed(name="B", source="drop", config=FeedConfig(folder=world.folder / "nowhere")),
        ),
    )
    done = await world.run(onboarding, units=[other])
    assert "there is no folder" in str(done.failed[0].error)
    assert left(world) == before
    again = await world.run(onboarding, units=[of_drop(world, "First")], force=True)
    assert "There is an organization 'First' already" in str(again.failed[0].error)
    assert left(world) == before, "what another onboarding made is not this one's to take back"
    assert landed(world) == 1


async def test_a_dsp_lets_it_in_and_no_secret_is_left_behind(world: World, dsp: Dv360Server) -> None:
    dsp.put("17", YESTERDAY, [row(5.0)])
    async with world.client() as client, client.connection() as conn:
        await keep(conn, Vault(settings_here()), "acme", GIVEN)
    config = FeedConfig(format="dv360", credential="acme", advertiser="17")
    new = Organization(name="Acme", feeds=(NewFeed(name="DV360", source="dsp", config=config),))
    done = await world.run(onboarding, units=[new])
    assert done.counts == {"completed": 1}, done.failed
    assert world.spend() == {(YESTERDAY, "C1"): 5.0}
    ledger = "".join(
        str(world.rows(f"select * from penstock.{table}"))
        for table in ("units", "attempts", "calls", "logs", "plans", "runs")
    )
    assert not [value for value in GIVEN.values() if value in ledger]


async def test_a_dsp_that_refuses_takes_it_all_back_but_the_credential(world: World, dsp: Dv360Server) -> None:
    async with world.client() as client, client.connection() as conn:
        await keep(conn, Vault(settings_here()), "acme", {**GIVEN, "client_secret": "wrong"})
    config = FeedConfig(format="dv360", credential="acme", advertiser="17")
    new = Organization(name="Acme", feeds=(NewFeed(name="DV360", source="dsp", config=config),))
    done = await world.run(onboarding, units=[new])
    assert (done.failed[0].failed_step, done.failed[0].error_class) == ("credentials", "auth")
    assert left(world) == {}
    assert world.rows("select name, org_id from medallion.credentials") == [{"name": "acme", "org_id": None}]
