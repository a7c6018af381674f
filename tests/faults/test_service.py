"""The service while its database is gone, and while it stops."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import httpx2
import pytest

from penstock import wiring
from penstock.api.http.serving import bind
from penstock.config import Settings
from tests.api.medallion import make
from tests.faults.server import Server

pytestmark = pytest.mark.faults
DEADLINE = 60.0


async def answered(caller: httpx2.AsyncClient, path: str, status: int) -> httpx2.Response:
    """Ask until the answer has this status."""
    async with asyncio.timeout(DEADLINE):
        while True:
            found = await caller.get(path)
            if found.status_code == status:
                return found
            assert found.status_code in (200, 503), found.text
            await asyncio.sleep(0.1)


@pytest.mark.timeout(240)
async def test_a_database_that_goes_and_comes_back(tmp_path: Path) -> None:
    server = Server(tmp_path / "pg")
    server.start()
    try:
        app = make()
        settings = Settings(home=tmp_path, http_port=0, grpc_port=0, http_rate=1_000_000, grace=1.0)
        async with wiring.open_service(app.registry, settings, database=wiring.Database(server.url)) as gateway:
            secret = (await gateway.tokens.create("ops", "operator")).secret
            headers = {"Authorization": f"Bearer {secret}"}
            async with wiring.running(gateway, bind("127.0.0.1", 0, "http_port")) as (url, work):
                caller = httpx2.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False)
                async with caller:
                    await answered(caller, "/readyz", 200)
                    held = {"pipeline_id": "pipe_900", "parameters": {"slow": 3.0}}
                    run = (await caller.post("/api/v1/etl/trigger", json=held)).json()["execution_id"]
                    await asyncio.to_thread(server.kill)
                    gone = await answered(caller, "/readyz", 503)
                    assert "ledger" in gone.json()["faults"]
                    assert (await caller.get("/livez")).status_code == 200
                    refused = await caller.get("/api/v1/pipelines")
                    assert refused.status_code == 503
                    assert refused.json()["type"] == "urn:penstock:problem:unavailable"
                    assert refused.headers["retry-after"] == "5"
                    assert "Traceback" not in refused.text
                    await asyncio.to_thread(server.start)
                    await answered(caller, "/readyz", 200)
                    async with asyncio.timeout(DEADLINE):
                        while (shown := (await caller.get(f"/api/v1/runs/{run}")).json())["state"] != "completed":
                            assert shown["state"] in ("scheduled", "running", "waiting", "crashed"), shown
                            await asyncio.sleep(0.2)
                    assert [step["state"] for step in shown["steps"]] == ["completed"] * 3
                    assert not work.done()
    finally:
        server.stop()


async def test_what_was_asked_is_answered_before_the_service_ends(tmp_path: Path, database_url: str) -> None:
    app = make(sluggish=True)
    settings = Settings(home=tmp_path, http_port=0, grpc_port=0, http_rate=1_000_000, grace=20.0)
    async with wiring.open_service(app.registry, settings, database=wiring.Database(database_url)) as gateway:
        secret = (await gateway.tokens.create("ops", "operator")).secret
        headers = {"Authorization": f"Bearer {secret}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as caller:
            async with wiring.running(gateway, bind("127.0.0.1", 0, "http_port")) as (url, _):
                slow = {"pipeline_id": "pipe_900", "parameters": {"slow": 1.0}}
                run = (await caller.post(f"{url}/api/v1/etl/trigger", json=slow)).json()["execution_id"]
                under_way = asyncio.create_task(caller.post(f"{url}/api/v1/plans", json={"pipeline": "late"}))
                async with asyncio.timeout(DEADLINE):
                    while (await caller.get(f"{url}/api/v1/runs/{run}")).json()["state"] != "running":  # noqa: ASYNC110 - of another process
                        await asyncio.sleep(0.05)
            answer = await under_way
            assert answer.status_code == 201, answer.text
            with pytest.raises(httpx2.TransportError):
                await caller.get(f"{url}/livez")
        shown = await gateway.whole.client.show_run(UUID(run))
        steps = [step.state for step in shown.steps]
        assert steps[0] == "completed", steps  # it had grace enough; what is left goes to whoever works next
