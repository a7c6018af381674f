"""Pipelines as the code says them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from penstock.api.http.asked import Asked, AskedForAll, Name, TheGateway, named
from penstock.api.http.bodies import Paused, PipelineShown
from penstock.api.http.guard import needs, tagged
from penstock.api.http.problems import documented
from penstock.definition.pipeline import Pipeline


def register(app: FastAPI) -> None:
    """Add the routes."""
    tags, base, missing = tagged("pipelines"), "/api/v1/pipelines", documented(404)
    view, work = needs("viewer"), needs("operator")
    app.get(base, openapi_extra=view, tags=tags)(pipelines)
    app.get(f"{base}/{{pipeline}}", openapi_extra=view, tags=tags, responses=missing)(pipeline)
    app.post(f"{base}/{{pipeline}}/pause", openapi_extra=work, tags=tags, responses=missing)(pause)
    app.post(f"{base}/{{pipeline}}/resume", openapi_extra=work, tags=tags, responses=missing)(resume)


async def pipelines(gateway: TheGateway, asked: Asked) -> list[PipelineShown]:
    """All pipelines that the token may know of."""
    return [_shown(p) for p in gateway.registry.pipelines.values() if asked.org is None or p.org is not None]


async def pipeline(gateway: TheGateway, asked: Asked, pipeline: Name) -> PipelineShown:
    """One pipeline."""
    return _shown(named(asked, gateway, pipeline))


async def pause(gateway: TheGateway, asked: AskedForAll, pipeline: Name) -> Paused:
    """No further run of it starts. It is in the ledger from its first plan on."""
    await asked.client.pause(pipeline=named(asked, gateway, pipeline))
    return Paused(paused=True)


async def resume(gateway: TheGateway, asked: AskedForAll, pipeline: Name) -> Paused:
    """Its runs start again."""
    await asked.client.resume(pipeline=named(asked, gateway, pipeline))
    return Paused(paused=False)


def _shown(pipeline: Pipeline[Any]) -> PipelineShown:
    return PipelineShown(
        name=pipeline.name,
        unit=list(pipeline.units.fields),
        key=list(pipeline.key),
        steps=list(pipeline.steps),
        lane=pipeline.lane,
        date=pipeline.date,
        org=pipeline.org,
        instance=pipeline.instance,
        schedule=pipeline.schedule,
        timezone=pipeline.timezone,
        after=[earlier.name for earlier in pipeline.after],
        batch=pipeline.batch,
        version=pipeline.version,
    )
