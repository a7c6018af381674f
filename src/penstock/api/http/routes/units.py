"""Units: what is remembered of each, and why it was run or not."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import TypeAdapter

from penstock.api.http.asked import Asked, Name, TheGateway, named
from penstock.api.http.bodies import UnitPage, UnitShown, WhyAsked, WhyShown, Word
from penstock.api.http.guard import needs, tagged
from penstock.api.http.paging import Cursor, Limit, decode, encode
from penstock.api.http.problems import documented
from penstock.api.http.shaping import key_of
from penstock.model.states import Verdict


def register(app: FastAPI) -> None:
    """Add the routes."""
    tags, view, missing = tagged("units"), needs("viewer"), documented(404)
    app.get("/api/v1/units", openapi_extra=view, tags=tags, responses=missing)(units)
    app.post("/api/v1/pipelines/{pipeline}/why", openapi_extra=view, tags=tags, responses=missing)(why)


async def units(
    gateway: TheGateway,
    asked: Asked,
    pipeline: Annotated[Word, Query()],
    verdict: Annotated[Verdict | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> UnitPage:
    """Units of a pipeline that were ever taken, by number."""
    chosen = named(asked, gateway, pipeline)
    found = await asked.client.units(chosen, verdict=verdict, after=decode("units", cursor), limit=limit)
    following = encode("units", found[-1]["number"]) if len(found) == limit else None
    kept = [{name: row[name] for name in UnitShown.model_fields} for row in found]
    return UnitPage(items=[UnitShown.model_validate(row) for row in kept], next_cursor=following)


async def why(gateway: TheGateway, asked: Asked, pipeline: Name, body: WhyAsked) -> WhyShown:
    """Why a unit was run or not: a sentence, and the row that decides it."""
    chosen = named(asked, gateway, pipeline)
    found = await asked.client.why(chosen, key_of(chosen, dict(body.key)))
    row = TypeAdapter(dict[str, object]).dump_python(dict(found.row), mode="json", fallback=str)
    return WhyShown(sentence=found.sentence, row=row)
