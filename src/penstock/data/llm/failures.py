"""From the openai package's exceptions to Penstock's, from one table; and whether the vendor bills what failed.

Nothing is billed where the request cannot have reached a model: no connection was made, or a status of 4xx turned it
away. All else may have been billed, and stays at its worst case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from penstock.data.refusals import Throttled, TimedOut
from penstock.model.errors import AuthFailed, InvalidData, NetworkError, QuotaSpent, RateLimited
from penstock.model.retry_after import retry_after

_LONGEST: Final = 500
_NEVER_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "gaierror"})
_CREDIT: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low"})
_FILTERED: Final = "content_filter"
_PAYMENT_REQUIRED: Final = 402
_TOO_MANY: Final = 429
_BILLED_REFUSALS: Final = frozenset({408, 409, 425, 499})
"""Statuses of 4xx that may come after the model has begun."""


_BY_STATUS: Final[Mapping[int, Callable[[str], Exception]]] = {
    401: AuthFailed,
    402: QuotaSpent,
    403: AuthFailed,
    408: TimedOut,
    425: NetworkError,
    429: Throttled,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A call that failed: what the handler is told, and what may have been billed."""

    error: Exception
    billed: bool
    input_only: bool = False


def failed(error: Exception, where: str, seconds: float) -> Failed:
    """What an exception of the openai package, or of reading its answer, means.

    Args:
        error: The exception.
        where: The model and its endpoint, for messages.
        seconds: The time that the call had.
    """
    import openai

    match error:
        case openai.APIStatusError():
            return _by_status(error, where)
        case openai.APITimeoutError() | TimeoutError():
            return Failed(
                error=TimedOut(f"{where} did not answer within {seconds:g} s (timeout=)."), billed=_sent(error)
            )
        case openai.APIConnectionError():
            why = _root(error)
            return Failed(error=NetworkError(f"{where}: {type(why).__name__}: {why}"), billed=_sent(error))
        case openai.APIError():
            told = f"{where} broke off with an error: {_short(error.message)}"
            code = error.code or ""
            kind = QuotaSpent if code in _CREDIT else Throttled if "rate_limit" in code else NetworkError
            return Failed(error=kind(told), billed=True)
        case _:
            reason = f"{type(error).__name__}: {_short(str(error))}"
            told = f"{where} gave an answer that is no chat completion ({reason}). Is it the base URL of an API?"
            return Failed(error=InvalidData(told), billed=True)


def _by_status(error: Any, where: str) -> Failed:
    status: int = error.status_code
    told = f"{where} answered {status}: {_short(error.message)}"
    code = str(error.code or "")
    billed = status not in range(400, 500) or status in _BILLED_REFUSALS
    if code in _CREDIT:
        return Failed(error=QuotaSpent(f"{told} The account there is out of credit."), billed=False)
    again = retry_after(error.response.headers) if status == _TOO_MANY else None
    if again is not None:
        return Failed(error=RateLimited(told, retry_after=again, api=error.request.url.host), billed=False)
    refused = status in range(400, 500)
    kind = _BY_STATUS.get(status, InvalidData if refused else NetworkError)
    # A prompt that was read and found unfit is billed by some vendors, as input.
    filtered = code == _FILTERED
    return Failed(error=kind(told), billed=billed or filtered, input_only=filtered)


def _root(error: BaseException) -> BaseException:
    """The reason below the package's own words, which only say that there was one."""
    return error.__cause__ or error


def _sent(error: BaseException) -> bool:
    """Whether the request may have gone out."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ in _NEVER_SENT:
            return False
        cause = cause.__cause__
    return True


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
