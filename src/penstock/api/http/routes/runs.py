"""Runs: what was done, what it said, and stopping or trying it again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import AwareDatetime, Field

from penstock.api.http.asked import Asked, Id, Number, TheGateway, named
from penstock.api.http.bodies import Cancelled, LogPage, LogShown, PlanShown, RunPage, RunShown, Word
from penstock.api.http.guard import needs, tagged
from penstock.api.http.paging import Cursor, Limit, decode, encode
from penstock.api.http.problems import documented
from penstock.api.http.shaping import plan_shown, run_shown
from penstock.model.states import RunState

Since = Annotated[AwareDatetime, Field(ge=datetime.fromisoformat("1900-01-01T00:00:00+00:00"))]


def register(app: FastAPI) -> None:
    """Add the routes."""
    tags, base, one = tagged("runs"), "/api/v1/runs", "/api/v1/runs/{run}"
    view, work, missing = needs("viewer"), needs("operator"), documented(404)
    app.get(base, openapi_extra=view, tags=tags, responses=missing)(runs)
    app.get(one, openapi_extra=view, tags=tags, responses=missing)(show)
    app.get(f"{one}/logs", openapi_extra=view, tags=tags, responses=missing)(logs)
    app.post(f"{one}/retry", openapi_extra=work, tags=tags, status_code=202, responses=missing)(retry)
    app.post(f"{one}/cancel", openapi_extra=work, tags=tags, status_code=202, responses=missing)(cancel)


async def runs(
    gateway: TheGateway,
    asked: Asked,
    pipeline: Annotated[Word, Query()],
    state: Annotated[RunState | None, Query()] = None,
    since: Annotated[Since | None, Query()] = None,
    plan: Annotated[Number | None, Query(description="The plan's number.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> RunPage:
    """Runs of a pipeline, newest first, without their steps."""
    chosen = named(asked, gateway, pipeline)
    before = decode("runs", cursor)
    found = await asked.client.runs(chosen, state=state, since=since, plan=plan, before=before, limit=limit)
    following = encode("runs", found[-1].number) if len(found) == limit else None
    return RunPage(items=[run_shown(chosen, run) for run in found], next_cursor=following)


async def show(gateway: TheGateway, asked: Asked, run: Id) -> RunShown:
    """One run with its steps."""
    found = await asked.client.show_run(run)
    return run_shown(named(asked, gateway, found.pipeline), found)


async def logs(asked: Asked, run: Id, limit: Limit = 500, cursor: Cursor = None) -> LogPage:
    """What its handlers said."""
    found = await asked.client.logs(run, after=decode("lines", cursor) or 0, limit=limit)
    following = encode("lines", found[-1]["number"]) if len(found) == limit else None
    kept = [{name: row[name] for name in LogShown.model_fields} for row in found]
    return LogPage(items=[LogShown.model_validate(row) for row in kept], next_cursor=following)


async def retry(asked: Asked, run: Id) -> PlanShown:
    """A new run over what did not complete; steps that completed are not done again."""
    return plan_shown(await asked.client.retry(run))


async def cancel(asked: Asked, run: Id) -> Cancelled:
    """Stop it; what runs ends as soon as its handler is interrupted."""
    await asked.client.show_run(run)
    return Cancelled.model_validate({"runs": await asked.cancel(run=run)})
