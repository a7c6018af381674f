"""When pipelines are planned."""

from __future__ import annotations

from fastapi import FastAPI

from penstock.api.http.asked import AskedForAll, TheGateway
from penstock.api.http.bodies import ScheduleShown
from penstock.api.http.guard import needs


def register(app: FastAPI) -> None:
    """Add the routes."""
    app.get("/api/v1/schedules", openapi_extra=needs("viewer"), tags=["schedules"])(schedules)


async def schedules(gateway: TheGateway, asked: AskedForAll) -> list[ScheduleShown]:  # noqa: ARG001 - it guards
    """The next and the last tick of every pipeline with a schedule."""
    return [ScheduleShown.model_validate(one) for one in await gateway.whole.operations.scheduler.schedules()]
