"""What went wrong, as gRPC statuses: one table from errors to codes, and no traceback to anybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import grpc

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

LONGEST: Final = 1_500
"""Bytes of a detail: all trailing metadata of a call must fit in 8 KiB, where each byte may take three."""
AGAIN: Final = 5.0
"""Seconds after which a ledger that did not answer may be asked again."""
_OF_ERRORS: Final[tuple[tuple[type[PenstockError], grpc.StatusCode], ...]] = (  # the first that fits
    (NotFound, grpc.StatusCode.NOT_FOUND),
    (Conflict, grpc.StatusCode.FAILED_PRECONDITION),
    (LedgerUnavailable, grpc.StatusCode.UNAVAILABLE),
    (LeaseLost, grpc.StatusCode.ABORTED),
    (PlanStale, grpc.StatusCode.FAILED_PRECONDITION),
    (Forbidden, grpc.StatusCode.PERMISSION_DENIED),
    (DefinitionError, grpc.StatusCode.FAILED_PRECONDITION),
    (SettingError, grpc.StatusCode.FAILED_PRECONDITION),
    (StepError, grpc.StatusCode.INVALID_ARGUMENT),
)
HTTP: Final[Mapping[grpc.StatusCode, int]] = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.INTERNAL: 500,
}
"""The statuses under which calls are counted, beside those of REST."""


class Refusal(Exception):  # noqa: N818 - what the call gets
    """Raised to end a call with a status.

    Args:
        code: The status.
        detail: What is wrong and what to do.
        again: Seconds after which the same call may go well; None: not without a change.
    """

    def __init__(self, code: grpc.StatusCode, detail: str, *, again: float | None = None) -> None:
        super().__init__(detail)
        self.code, self.again = code, again
        told = redact(detail).encode()
        self.detail = told.decode() if len(told) <= LONGEST else f"{told[:LONGEST].decode(errors='ignore')}…"

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """When to call again: `retry-after` in seconds, and as gRPC's own retries read it, in milliseconds."""
        if self.again is None:
            return ()
        return (
            ("retry-after", f"{self.again:g}"),
            ("grpc-retry-pushback-ms", str(round(self.again * 1000))),
        )


def invalid(detail: str) -> Refusal:
    """A value of the request does not fit."""
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, detail)


def refusal_of(error: PenstockError) -> Refusal | None:
    """The status that one of our errors is; None for one that nobody outside has caused."""
    code = next((code for known, code in _OF_ERRORS if isinstance(error, known)), None)
    if code is None:
        return None
    return Refusal(code, str(error), again=AGAIN if code is grpc.StatusCode.UNAVAILABLE else None)
