"""Plans: what would run, and then that it does."""

from __future__ import annotations

from fastapi import FastAPI, Response

from penstock.api.http.asked import Asked, Id, TheGateway, named
from penstock.api.http.bodies import ApplyAsked, Cancelled, GapPage, Paused, PlanAsked, PlanShown, Progress
from penstock.api.http.guard import needs, tagged
from penstock.api.http.paging import Cursor, Limit, decode, encode
from penstock.api.http.problems import documented
from penstock.api.http.shaping import gap_shown, plan_shown, units_of


def register(app: FastAPI) -> None:
    """Add the routes."""
    tags, base, one = tagged("plans"), "/api/v1/plans", "/api/v1/plans/{plan}"
    view, work, missing = needs("viewer"), needs("operator"), documented(404)
    app.post(base, openapi_extra=work, tags=tags, status_code=201, responses=missing)(make)
    app.get(one, openapi_extra=view, tags=tags, responses=missing)(show)
    app.delete(one, openapi_extra=work, tags=tags, status_code=204, responses=documented(404, 409))(discard)
    app.get(f"{one}/gaps", openapi_extra=view, tags=tags, responses=missing)(gaps)
    app.get(f"{one}/progress", openapi_extra=view, tags=tags, responses=missing)(progress)
    app.post(f"{one}/apply", openapi_extra=work, tags=tags, status_code=202, responses=missing)(apply)
    app.post(f"{one}/pause", openapi_extra=work, tags=tags, responses=missing)(pause)
    app.post(f"{one}/resume", openapi_extra=work, tags=tags, responses=missing)(resume)
    app.post(f"{one}/cancel", openapi_extra=work, tags=tags, status_code=202, responses=missing)(cancel)


async def make(gateway: TheGateway, asked: Asked, body: PlanAsked) -> PlanShown:
    """Plan, and run nothing: the dry run. Apply it to run exactly this."""
    pipeline = named(asked, gateway, body.pipeline)
    found = await asked.client.plan(
        pipeline,
        units=units_of(pipeline, body.units),
        where=body.where,
        start=body.start,
        end=body.end,
        force=body.force,
        params=body.params,
        triggered_by="api",
    )
    return plan_shown(found)


async def show(asked: Asked, plan: Id) -> PlanShown:
    """One plan."""
    return plan_shown(await asked.client.show_plan(plan))


async def discard(asked: Asked, plan: Id) -> Response:
    """Put an open plan away."""
    await asked.client.show_plan(plan)
    await asked.client.discard(plan)
    return Response(status_code=204)


async def gaps(gateway: TheGateway, asked: Asked, plan: Id, limit: Limit = 100, cursor: Cursor = None) -> GapPage:
    """The gaps of an open plan, in order."""
    found = await asked.client.show_plan(plan)
    pipeline = named(asked, gateway, found.pipeline)
    page, last = await asked.client.gap_page(found, decode("gaps", cursor) or 0, limit)
    following = encode("gaps", last) if len(page) == limit else None
    return GapPage(items=[gap_shown(pipeline, gap) for gap in page], next_cursor=following)


async def progress(asked: Asked, plan: Id) -> Progress:
    """How far a plan is."""
    return Progress.model_validate(await asked.progress(plan))


async def apply(asked: Asked, plan: Id, body: ApplyAsked | None = None) -> PlanShown:
    """Run exactly this plan; a second time it changes nothing. Answers when its runs are made, not when they end."""
    number = await asked.client.begin(plan, "api", None if body is None else body.parallel)
    return plan_shown(await asked.client.show_plan(number))


async def pause(asked: Asked, plan: Id) -> Paused:
    """No further run of it starts."""
    await asked.client.show_plan(plan)
    await asked.client.pause(plan)
    return Paused(paused=True)


async def resume(asked: Asked, plan: Id) -> Paused:
    """Its runs start again."""
    await asked.client.show_plan(plan)
    await asked.client.resume(plan)
    return Paused(paused=False)


async def cancel(asked: Asked, plan: Id) -> Cancelled:
    """Stop what is live of it; what runs ends as soon as its handler is interrupted."""
    await asked.client.show_plan(plan)
    return Cancelled.model_validate({"runs": await asked.cancel(plan=plan)})
