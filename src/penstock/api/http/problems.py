"""What went wrong, as RFC 9457 problem details: one table from errors to statuses, and no traceback to anybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from penstock.model.errors import (
    Conflict,
    DefinitionError,
    Forbidden,
    LeaseLost,
    LedgerUnavailable,
    NotFound,
    PenstockError,
    PlanStale,
    SettingError,
    StepError,
)
from penstock.model.redaction import redact

MEDIA: Final = "application/problem+json"
URN: Final = "urn:penstock:problem:"
TITLES: Final[Mapping[str, tuple[int, str]]] = {
    "malformed": (400, "The request cannot be read"),
    "unauthorized": (401, "A token is needed"),
    "forbidden": (403, "This token may not do this"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "This cannot be done here"),
    "conflict": (409, "The thing is in another state"),
    "plan-stale": (409, "The plan no longer fits"),
    "in-progress": (409, "The same request is being worked on"),
    "too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The body is no JSON"),
    "invalid": (422, "A value does not fit"),
    "definition": (422, "The pipeline cannot do this"),
    "setting": (422, "A setting is wrong"),
    "key-reused": (422, "The Idempotency-Key was used for another request"),
    "too-many": (429, "Too many requests"),
    "internal": (500, "Something is wrong on our side"),
    "unavailable": (503, "The service cannot answer now"),
}
_OF_ERRORS: Final[tuple[tuple[type[PenstockError], str], ...]] = (  # the first that fits
    (NotFound, "not-found"),
    (Conflict, "conflict"),
    (LedgerUnavailable, "unavailable"),
    (LeaseLost, "conflict"),
    (PlanStale, "plan-stale"),
    (Forbidden, "forbidden"),
    (DefinitionError, "definition"),
    (SettingError, "setting"),
    (StepError, "invalid"),
)
_OF_STATUS: Final = {
    400: "malformed", 401: "unauthorized", 403: "forbidden", 404: "not-found", 405: "method-not-allowed",
    413: "too-large", 415: "unsupported-media-type", 422: "invalid", 429: "too-many", 503: "unavailable",
}  # fmt: skip


class Fault(BaseModel):
    """One value that does not fit."""

    model_config = ConfigDict(extra="forbid")
    where: str = Field(description="Where it stands, such as body.parameters.date_range.start.")
    detail: str


class ProblemDetails(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "type": f"{URN}not-found", "title": "There is no such thing", "status": 404,
                "detail": "There is no run 12.", "instance": "/api/v1/runs/12", "request_id": "5f0c1b7ad2a94c8e",
            }
        },
    )  # fmt: skip
    type: str = Field(description="Which kind of problem, for programs; it stays the same.")
    title: str
    status: int
    detail: str = Field(description="What is wrong here and what to do, for people.")
    instance: str = Field(description="The path that was asked for.")
    request_id: str = Field(description="By which the service's log tells of this request.")
    errors: list[Fault] | None = Field(default=None, description="Value by value, where several may not fit.")


class Problem(Exception):  # noqa: N818 - the standard's word
    """Raised to answer with problem details.

    Args:
        kind: One of `TITLES`.
        detail: What is wrong here.
        headers: More headers of the answer.
        errors: Value by value.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: list[Fault] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers, self.errors = kind, detail, dict(headers or {}), errors
        self.status, self.title = TITLES[kind]


def answer(request: Request, problem: Problem) -> JSONResponse:
    """The problem as a response."""
    body: dict[str, Any] = {
        "type": URN + problem.kind,
        "title": problem.title,
        "status": problem.status,
        "detail": redact(problem.detail),
        "instance": request.url.path,
        "request_id": getattr(request.state, "request_id", ""),
    }
    if problem.errors:
        body["errors"] = [fault.model_dump() for fault in problem.errors]
    return JSONResponse(body, problem.status, headers=problem.headers, media_type=MEDIA)


def problem_of(error: PenstockError) -> Problem | None:
    """The problem that one of our errors is; None for one that nobody outside has caused."""
    kind = next((kind for known, kind in _OF_ERRORS if isinstance(error, known)), None)
    if kind is None:
        return None
    headers = {"Retry-After": "5"} if kind == "unavailable" else {}
    return Problem(kind, str(error), headers=headers)


def handle_problems(app: FastAPI) -> None:
    """Make every error of this app a problem."""

    async def own(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)  # noqa: S101 - what it is registered for
        return answer(request, error)

    async def ours(request: Request, error: Exception) -> JSONResponse:
        problem = problem_of(error) if isinstance(error, PenstockError) else None
        if problem is None:
            raise error
        return answer(request, problem)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
        faults = [
            Fault(where="body", detail=f"is no JSON at byte {each['loc'][-1]}")
            if each["type"] == "json_invalid"
            else Fault(where=".".join(str(part) for part in each["loc"])[:300], detail=str(each["msg"])[:1_000])
            for each in error.errors()[:50]
        ]
        first = faults[0] if faults else Fault(where="body", detail="does not fit")
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        return answer(request, Problem("invalid", f"{first.where}: {first.detail}{more}.", errors=faults))

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        kind = _OF_STATUS.get(error.status_code, "malformed")
        detail = {
            404: f"There is no {request.url.path}.",
            405: f"{request.url.path} takes no {request.method}.",
        }.get(error.status_code, str(error.detail))
        return answer(request, Problem(kind, detail, headers=error.headers))

    app.add_exception_handler(Problem, own)
    app.add_exception_handler(PenstockError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses in OpenAPI, all of them with problem details."""
    titles: dict[int, str] = dict(reversed(list(TITLES.values())))
    return {
        status: {
            "description": titles[status],
            "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }
