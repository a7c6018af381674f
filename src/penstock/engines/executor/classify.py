"""From an exception to its class, once, at the boundary where handlers end.

Foreign errors are told by the names of their classes, so that no library is imported to recognise its errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from penstock.model.attempt import Instant
from penstock.model.errors import DefinitionError, NoData, QuotaSpent, RateLimited, SettingError, StepError
from penstock.model.http_answers import class_of
from penstock.model.redaction import redact
from penstock.model.retry_after import retry_after
from penstock.model.states import ErrorClass

BY_NAME: Final[Mapping[str, ErrorClass]] = {
    "httpx.TimeoutException": "timeout",
    "httpx.TransportError": "network",
    "httpx.UnsupportedProtocol": "data",
    "httpx.InvalidURL": "data",
    "httpx2.TimeoutException": "timeout",
    "httpx2.TransportError": "network",
    "httpx2.UnsupportedProtocol": "data",
    "httpx2.InvalidURL": "data",
    "psycopg.errors.SerializationFailure": "network",
    "psycopg.errors.DeadlockDetected": "network",
    "psycopg.errors.QueryCanceled": "timeout",
    "psycopg.errors.InsufficientPrivilege": "auth",
    "psycopg.DataError": "data",
    "psycopg.IntegrityError": "data",
    "psycopg.ProgrammingError": "data",
    "psycopg.OperationalError": "network",
    "psycopg.InterfaceError": "network",
    "psycopg_pool.PoolTimeout": "network",
    "openai.RateLimitError": "rate_limit",
    "openai.AuthenticationError": "auth",
    "openai.PermissionDeniedError": "auth",
    "openai.APITimeoutError": "timeout",
    "openai.APIConnectionError": "network",
    "openai.InternalServerError": "network",
    "openai.BadRequestError": "data",
    "pydantic.ValidationError": "data",
    "pydantic_core.ValidationError": "data",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt's class, message, and when the other side said to come back."""

    error_class: ErrorClass
    error: str
    not_before: Instant | None = None


def classify(error: BaseException, now: Instant, errors: Mapping[type[Exception], ErrorClass]) -> Failure:
    """What an exception means.

    Args:
        error: What a handler raised.
        now: The ledger's time, for waits that are given in seconds.
        errors: The app's own table; it comes first.

    Returns:
        Class and message; secrets are taken out of the message here, before it goes to the ledger, logs and events.
    """
    message = redact(str(error)) or type(error).__name__
    own: ErrorClass | None = next((errors[kind] for kind in type(error).__mro__ if kind in errors), None)
    if own is not None:
        return Failure(own, message, _retry_after(error, now) if own == "rate_limit" else None)
    match error:
        case RateLimited():
            return Failure("rate_limit", message, instant(error.retry_after, now))
        case NoData() | QuotaSpent():
            kind = error.error_class
            return Failure(kind, message, None if error.until is None else instant(error.until, now))
        case StepError():
            return Failure(error.error_class, message)
        case SettingError() | DefinitionError():
            return Failure("data", message)
        case TimeoutError() | asyncio.TimeoutError():
            return Failure("timeout", message)
        case ConnectionError():
            return Failure("network", message)
        case _:
            return _foreign(error, message, now)


def _foreign(error: BaseException, message: str, now: Instant) -> Failure:
    status = _status(error)
    if status is not None:
        kind: ErrorClass = class_of(status, _headers(error)) or "unknown"
        return Failure(kind, message, _retry_after(error, now) if kind == "rate_limit" else None)
    for base in type(error).__mro__:
        root = base.__module__.split(".", 1)[0]
        for name in (f"{base.__module__}.{base.__qualname__}", f"{root}.{base.__qualname__}"):
            if name in BY_NAME:
                return Failure(BY_NAME[name], message)
    if isinstance(error, OSError) and type(error).__name__ == "gaierror":
        return Failure("network", message)
    return Failure("unknown", message if type(error) is Exception else f"{type(error).__name__}: {message}")


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def _headers(error: BaseException) -> Mapping[str, Any]:
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    return {} if headers is None else headers


def _retry_after(error: BaseException, now: Instant) -> Instant | None:
    again = retry_after(_headers(error))
    return None if again is None else instant(again, now)


def instant(value: float | timedelta | datetime, now: Instant) -> Instant:
    """A time given in seconds from now, as a timedelta, or as a datetime; one without a zone is UTC."""
    if isinstance(value, datetime):
        return Instant((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return Instant(now + (value.total_seconds() if isinstance(value, timedelta) else float(value)))
