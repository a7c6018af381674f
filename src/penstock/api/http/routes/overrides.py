"""Figures that hold instead of the code's."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Query, Response

from penstock.api.http.asked import AskedForAll, TheToken
from penstock.api.http.bodies import OverrideAsked, OverrideShown, Word
from penstock.api.http.guard import needs, tagged
from penstock.api.http.problems import documented

Figure = Annotated[str, Path(min_length=1, max_length=200, description="Such as retry.network.attempts.")]
OfPipeline = Annotated[Word | None, Query(description="For this pipeline only; else for the whole app.")]


def register(app: FastAPI) -> None:
    """Add the routes."""
    tags, base, missing = tagged("overrides"), "/api/v1/overrides", documented(404)
    app.get(base, openapi_extra=needs("viewer"), tags=tags)(overrides)
    app.put(f"{base}/{{name}}", openapi_extra=needs("admin"), tags=tags, responses=missing)(put)
    app.delete(f"{base}/{{name}}", openapi_extra=needs("admin"), tags=tags, status_code=204, responses=missing)(delete)


async def overrides(asked: AskedForAll) -> list[OverrideShown]:
    """All that is set, and what is wrong with it, if anything is."""
    found = asked.client.overrides
    rows = [(row, found.fault(row)) for row in await found.list()]
    return [
        OverrideShown(
            pipeline=row.pipeline, name=row.name, value=row.value, note=row.note, changed_at=row.changed_at,
            changed_by=row.changed_by, fault=fault,
        )
        for row, fault in rows
    ]  # fmt: skip


async def put(
    asked: AskedForAll, token: TheToken, name: Figure, body: OverrideAsked, pipeline: OfPipeline = None
) -> OverrideShown:
    """Set a figure. It holds from the next plan on."""
    by = f"token {token.name}"
    row = await asked.client.overrides.set(name, body.value, pipeline=pipeline, note=body.note, by=by)
    return OverrideShown.model_validate(row)


async def delete(asked: AskedForAll, name: Figure, pipeline: OfPipeline = None) -> Response:
    """Take a figure away; the code's holds again."""
    await asked.client.overrides.unset(name, pipeline=pipeline)
    return Response(status_code=204)
