"""The REST application of one gateway."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware

from penstock.api.http.entrance import Entrance
from penstock.api.http.guard import NOBODY, ROLE, Guarded
from penstock.api.http.problems import ProblemDetails, documented, handle_problems
from penstock.api.http.routes import (
    backfills,
    etl,
    events,
    overrides,
    pipelines,
    plans,
    probes,
    quotas,
    runs,
    schedules,
    tokens,
    units,
)
from penstock.operations.gateway import Gateway

DESCRIPTION = """
Every path but the three probes needs a token: `Authorization: Bearer pst_…`, made by `penstock token create`. A token
has a role, `viewer`, `operator` or `admin`, and may be bound to one organization, whose rows are then all that it sees.

Errors are problem details (RFC 9457). A POST may carry an `Idempotency-Key`: the same request with the same key is
done once, and answered again as it was for a day. Lists go on with `cursor`.
"""
ROUTES = (probes, etl, pipelines, plans, runs, units, quotas, schedules, backfills, events, overrides, tokens)


def make_app(gateway: Gateway, *, tracer_provider: Any = None) -> FastAPI:
    """The application.

    Args:
        gateway: What it is a face of.
        tracer_provider: OpenTelemetry's, where traces are wanted.
    """
    settings = gateway.settings
    tls = settings.behind_tls or settings.tls_cert is not None
    app = FastAPI(
        title=f"Penstock: {gateway.registry.name}",
        version=version("penstock"),
        description=DESCRIPTION.strip(),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        middleware=[Middleware(Entrance, metrics=gateway.metrics, tls=tls)],
        telemetry={
            "tracing": tracer_provider is not None,
            "tracer_provider": tracer_provider,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
        separate_input_output_schemas=False,
    )
    app.state.gateway = gateway
    app.router.route_class = Guarded
    handle_problems(app)
    for module in ROUTES:
        module.register(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The schema, with what the guard may answer on every route."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            openapi_version="3.1.0",
        )
        parts = schema.setdefault("components", {})
        parts.setdefault("schemas", {}).update(_definitions())
        for unused in ("HTTPValidationError", "ValidationError"):
            parts["schemas"].pop(unused, None)
        parts["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "Made by: penstock token create."}
        }
        for path in schema["paths"].values():
            for method, operation in path.items():
                _complete(method, operation)
        app.openapi_schema = schema
    return app.openapi_schema


def _definitions() -> dict[str, Any]:
    found = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**found.pop("$defs", {}), "ProblemDetails": found}


def _complete(method: str, operation: dict[str, Any]) -> None:
    """Security, the answers of the guard, and the header of a POST."""
    guarded = operation[ROLE] != NOBODY
    statuses = [400, 500]
    if guarded:
        operation["security"] = [{"token": []}]
        statuses += [401, 403, 422, 429, 503]
    if method == "post":
        statuses += [409, 413]
        operation.setdefault("parameters", []).append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
                "description": "The same request with the same key is done once.",
            }
        )
    elif method in ("put", "delete", "patch"):
        statuses += [413]
    responses = operation["responses"]
    if "422" in responses and "application/json" in responses["422"].get("content", {}):
        del responses["422"]
        statuses += [422]
    for status, told in documented(*statuses).items():
        responses.setdefault(str(status), told)
    operation["responses"] = dict(sorted(responses.items()))
