"""The first system's table of retries: network 5 times after 1 2 4 8 16 s, rate limit 3, data none, timeout 3."""

from __future__ import annotations

from datetime import date
from uuid import uuid4

import pytest

import penstock as ps
from medallion.dsp import Dsp
from medallion.ingest import FeedDay, Fetched
from medallion.pipelines import app, fetch, ingestion, register
from medallion.settings import Settings
from medallion.vault import Vault
from penstock.testing import Simulation

DAY = FeedDay(feed_id=uuid4(), day=date(2024, 12, 20), part="", org_id=1, name="DV360 Daily", source="dsp")


def simulated() -> Simulation[FeedDay]:
    settings = Settings()
    sim = Simulation(ingestion, wanted=[DAY], resources={Settings: settings, Vault: Vault(settings), Dsp: Dsp()})
    sim.stub(fetch, Fetched(landing_id=1))
    sim.stub(register, 1)
    return sim


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (ps.NetworkError("refused"), [1, 2, 4, 8, 16]),
        (ps.RateLimited("slow down", retry_after=37), [37, 37, 37]),
        (ps.InvalidData("no such advertiser"), []),
    ],
)
def test_the_table(error: Exception, waits: list[float]) -> None:
    sim = simulated()
    sim.fail(fetch, error, times=len(waits))
    assert sim.run().counts == {"completed": 1}
    assert [round(wait, 3) for wait in sim.waits] == waits
    sim = simulated()
    sim.fail(fetch, error, times=len(waits) + 1)
    assert sim.run().counts == {"failed": 1}
    assert [round(wait, 3) for wait in sim.waits] == waits
    assert sim.calls(register) == []


def test_a_timeout_is_tried_three_times_more_each_after_twice_as_long() -> None:
    sim = simulated()
    sim.fail(fetch, TimeoutError("late"), times=4)
    assert sim.run().counts == {"failed": 1}
    first, second, third = sim.waits
    assert 1 <= first <= 1.1
    assert 2 <= second <= 2.2
    assert 4 <= third <= 4.4


def test_every_workflow_has_it() -> None:
    assert list(app.pipelines) == ["DataIngestionWorkflow", "ETLWorkflow", "BackfillWorkflow", "OnboardingWorkflow"]
    for pipeline in app.pipelines.values():
        retry = pipeline.retry
        assert isinstance(retry, dict)
        assert [(name, one.attempts - 1) for name, one in retry.items()] == [
            ("network", 5), ("rate_limit", 3), ("timeout", 3), ("data", 0),
        ]  # fmt: skip
