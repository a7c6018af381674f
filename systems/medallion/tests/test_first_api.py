"""What the demonstration made is answered by the service with the names and types of the first system's API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from medallion.pipelines import app
from penstock import wiring
from penstock.api.http.serving import bind
from penstock.config import Settings
from systems.medallion.tests.test_commands import medallion
from systems.medallion.tests.world import World
from tests.api.conftest import until
from tests.api.test_first_api import EXECUTIONS, LOGS, QUALITY, TRIGGERED, same


@pytest.fixture
async def caller(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """Asks a service on the demonstration's ledger."""
    medallion(world, module="medallion.demo")
    settings = Settings(home=world.folder, http_port=0, grpc_port=0, grace=2.0)
    opened = wiring.open_service(app.registry, settings, handlers=app.handlers, database=wiring.Database(world.url))
    async with opened as gateway, wiring.running(gateway, bind("127.0.0.1", 0, "http_port")) as (url, _):
        secret = (await gateway.tokens.create("test", "operator")).secret
        headers = {"Authorization": f"Bearer {secret}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=20, trust_env=False) as client:
            yield client


async def test_the_four_requests(caller: httpx2.AsyncClient) -> None:
    listed = (await caller.get("/api/v1/etl/executions", params={"status": "completed"})).json()["executions"]
    made = next(one for one in listed if "bronze" in one["layers"])
    assert made["layers"].pop("notify")["status"] == "completed"
    same({"executions": [made]}, EXECUTIONS)
    assert made["pipeline_name"] == "DV360 Daily (sample)"
    layers = made["layers"]
    assert layers["bronze"]["records"] == 125_000
    assert (layers["silver"]["records"], layers["silver"]["records_filtered"]) == (124_400, 600)
    assert layers["gold"]["tables_updated"] == ["campaign_daily", "pacing_metrics"]

    logs = (await caller.get(f"/api/v1/etl/executions/{made['id']}/logs")).json()
    same({"logs": [line for line in logs["logs"] if line["layer"]]}, LOGS)
    said = {(line["level"], line["layer"], line["message"]) for line in logs["logs"]}
    assert ("info", "bronze", "Fetched 25000 records") in said
    assert any(level == "warning" and "filtered due to data quality issues" in text for level, _, text in said)

    quality = (await caller.get("/api/v1/etl/data-quality")).json()
    same(quality["by_pipeline"], QUALITY["by_pipeline"])
    day = quality["quality_metrics"]["last_24h"]
    assert (day["total_records"], day["valid_records"], day["quality_score"]) == (125_000, 124_400, 99.52)
    wanted = QUALITY["quality_metrics"]["last_24h"]
    assert list(day) == list(wanted)
    assert set(wanted["issues"]) <= set(day["issues"])
    assert {type(count) for count in day["issues"].values()} == {int}

    days = {"start": "2024-12-20", "end": "2024-12-23"}
    body = {"pipeline_id": made["pipeline_id"], "parameters": {"date_range": days, "force": False}}
    answer = await caller.post("/api/v1/etl/trigger", json=body)
    assert answer.status_code == 200, answer.text
    same(answer.json(), TRIGGERED)
    assert answer.json()["status"] == "completed"  # everything is there: a run that says so
    body["parameters"] = {"date_range": days, "force": True}
    forced = (await caller.post("/api/v1/etl/trigger", json=body)).json()
    same(forced, TRIGGERED)

    async def is_over() -> Any:
        found = (await caller.get("/api/v1/etl/executions", params={"status": "completed"})).json()
        return forced["execution_id"] in [one["id"] for one in found["executions"]]

    await until(is_over, "the forced run is over")
