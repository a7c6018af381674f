"""Quotas in their present windows."""

from __future__ import annotations

from fastapi import FastAPI

from penstock.api.http.asked import AskedForAll
from penstock.api.http.bodies import QuotaShown
from penstock.api.http.guard import needs


def register(app: FastAPI) -> None:
    """Add the routes."""
    app.get("/api/v1/quotas", openapi_extra=needs("viewer"), tags=["quotas"])(quotas)


async def quotas(asked: AskedForAll) -> list[QuotaShown]:
    """Every quota that was ever planned with or drawn from."""
    return [QuotaShown.model_validate(use) for use in await asked.client.quotas()]
