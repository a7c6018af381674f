"""Backfills: a plan over a range of days, so many runs of it at a time."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query

from penstock.api.http.asked import Asked, Id, TheGateway, named
from penstock.api.http.bodies import BackfillAsked, BackfillPage, BackfillShown, Word
from penstock.api.http.guard import needs, tagged
from penstock.api.http.paging import Cursor, Limit, decode, encode
from penstock.api.http.problems import documented


def register(app: FastAPI) -> None:
    """Add the routes."""
    tags, base, missing = tagged("backfills"), "/api/v1/backfills", documented(404)
    app.get(base, openapi_extra=needs("viewer"), tags=tags, responses=missing)(backfills)
    app.post(base, openapi_extra=needs("operator"), tags=tags, status_code=202, responses=missing)(backfill)
    app.get(f"{base}/{{plan}}", openapi_extra=needs("viewer"), tags=tags, responses=missing)(show)


async def backfills(
    gateway: TheGateway,
    asked: Asked,
    pipeline: Annotated[Word | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> BackfillPage:
    """Backfills, newest first."""
    chosen = None if pipeline is None else named(asked, gateway, pipeline).name
    before = decode("backfills", cursor)
    found = await asked.operations.backfills.find(pipeline=chosen, org=asked.org, before=before, limit=limit)
    following = encode("backfills", found[-1].number) if len(found) == limit else None
    return BackfillPage(items=[BackfillShown.model_validate(one) for one in found], next_cursor=following)


async def backfill(gateway: TheGateway, asked: Asked, body: BackfillAsked) -> BackfillShown:
    """Fill the gaps of a range. What is there is not done again. Pause, resume and cancel it as the plan that it is."""
    found = await asked.operations.backfills.start(
        named(asked, gateway, body.pipeline),
        start=body.start,
        end=body.end,
        where=body.where,
        force=body.force,
        params=body.params,
        parallel=body.parallel,
        org=asked.org,
    )
    return BackfillShown.model_validate(found)


async def show(asked: Asked, plan: Id) -> BackfillShown:
    """How far a backfill is."""
    return BackfillShown.model_validate(await asked.operations.backfills.show(plan, org=asked.org))
