"""Is it alive, is it ready, how is it: open to all, and naming nothing of anybody's. What it counts is not open."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from penstock.api.http.asked import AskedForAll, TheGateway
from penstock.api.http.bodies import Closed
from penstock.api.http.guard import NOBODY, needs, tagged
from penstock.api.http.problems import documented


class Live(Closed):
    """It answers."""

    status: str = "ok"


class Ready(Closed):
    """Whether work may be sent here; what keeps it from that, by part."""

    ready: bool
    faults: dict[str, str]


class LastRun(Closed):
    """The run that began last; all null before the first."""

    last_run_id: int | None
    last_run_started: datetime | None
    last_run_completed: datetime | None
    last_run_status: str | None = Field(description="success, failure, or our own word for another state.")
    last_run_duration_seconds: float | None
    last_run_rows: int | None


class Health(Closed):
    """How the service is."""

    status: str
    app: str
    faults: dict[str, str]
    etl: LastRun


def register(app: FastAPI) -> None:
    """Add the routes."""
    free = needs(NOBODY)
    tags = tagged("probes")
    not_ready: dict[int | str, dict[str, Any]] = {503: {"model": Ready, "description": "Not ready"}}
    app.get("/livez", openapi_extra=free, tags=tags)(livez)
    app.get("/readyz", openapi_extra=free, tags=tags, response_model=Ready, responses=not_ready)(readyz)
    app.get("/health", openapi_extra=free, tags=tags)(health)
    app.get(
        "/metrics",
        openapi_extra=needs("viewer"),
        tags=tags,
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **documented(503)},
    )(metrics)
    app.get("/api/v1/openapi.json", openapi_extra=needs("viewer"), tags=tags, response_model=dict[str, object])(openapi)


async def livez() -> Live:
    """Whether the process answers at all. Ask this to restart it."""
    return Live()


async def readyz(gateway: TheGateway) -> Response:
    """Whether it can work: ledger, migrations, lease. Ask this to send requests here."""
    faults = dict(await gateway.ready())
    return JSONResponse({"ready": not faults, "faults": faults}, 503 if faults else 200)


async def health(gateway: TheGateway) -> Health:
    """How it is, with the run that began last."""
    return Health.model_validate(await gateway.health())


async def metrics(gateway: TheGateway, _: AskedForAll) -> Response:
    """Figures in Prometheus' text format, over all organizations."""
    if gateway.metrics is None:
        return Response(b"", media_type="text/plain")
    body, kind = await gateway.metrics.page()
    return Response(body, headers={"Content-Type": kind})


async def openapi(request: Request) -> JSONResponse:
    """This description."""
    found: FastAPI = request.app
    return JSONResponse(found.openapi())
