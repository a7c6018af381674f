"""Two apps on one ledger: what is one's does not exist for the other's tokens, whatever its number."""

from __future__ import annotations

from typing import Any

import pytest

import penstock as ps
from tests.api.conftest import Serve, until
from tests.api.medallion import make

TRIGGER = {"pipeline_id": "pipe_456", "parameters": {"date_range": {"start": "2024-12-20", "end": "2024-12-20"}}}


def twin() -> ps.App:
    """Another app with the same pipelines."""
    app = make()
    return ps.App("twin", list(app.registry.pipelines.values()))


@pytest.mark.parametrize("org", [None, "7"])
async def test_another_app_sees_and_changes_nothing(serve: Serve, org: str | None) -> None:
    served = await serve()
    owner = await served.caller("admin")
    execution = (await owner.post("/api/v1/etl/trigger", json=TRIGGER)).json()["execution_id"]

    async def over() -> Any:
        found = (await owner.get(f"/api/v1/runs/{execution}")).json()
        return found if found["state"] == "completed" else None

    run = await until(over, "the run is over")
    held = (await owner.post("/api/v1/plans", json={"pipeline": "ads", "where": {"feed_id": "pipe_457"}})).json()
    filled = {"pipeline": "ads", "start": "2024-12-21", "end": "2024-12-21", "where": {"feed_id": "pipe_456"}}
    backfill = (await owner.post("/api/v1/backfills", json=filled)).json()

    other = await serve(twin())
    caller = await other.caller("admin", org)
    for one in (run["id"], run["number"]):
        for path in (f"/api/v1/runs/{one}", f"/api/v1/runs/{one}/logs", f"/api/v1/etl/executions/{one}/logs"):
            assert (await caller.get(path)).status_code == 404, path
        for path in (f"/api/v1/runs/{one}/retry", f"/api/v1/runs/{one}/cancel"):
            assert (await caller.post(path)).status_code == 404, path
    for one in (held["id"], held["number"], backfill["number"]):
        for path in ("", "/gaps", "/progress"):
            assert (await caller.get(f"/api/v1/plans/{one}{path}")).status_code == 404, path
        for path in ("/apply", "/pause", "/resume", "/cancel"):
            assert (await caller.post(f"/api/v1/plans/{one}{path}")).status_code == 404, path
        assert (await caller.delete(f"/api/v1/plans/{one}")).status_code == 404
    assert (await caller.get(f"/api/v1/backfills/{backfill['id']}")).status_code == 404
    assert (await caller.get("/api/v1/etl/executions")).json() == {"executions": []}
    assert (await owner.get(f"/api/v1/plans/{held['id']}")).json()["state"] == "open"
