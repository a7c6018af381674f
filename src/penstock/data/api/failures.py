"""From httpx's exceptions and from statuses to Penstock's errors."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

import httpx2

from penstock.data.refusals import Throttled, TimedOut
from penstock.model.errors import AuthFailed, InvalidData, NetworkError, RateLimited
from penstock.model.http_answers import class_of, wait
from penstock.model.narrowing import is_list, is_mapping
from penstock.model.redaction import redact

_READ: Final = 16 * 1024
_SHOWN: Final = 300
_NEVER_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_TELLING: Final = ("error_description", "message", "detail", "title", "error", "errors")


def never_sent(error: BaseException) -> bool:
    """Whether it is certain that the request did not go out."""
    return isinstance(error, _NEVER_SENT)


def broken(error: Exception, where: str) -> Exception:
    """What an exception of httpx's means; another one is itself.

    Args:
        error: The exception.
        where: Method, host and path.
    """
    told = _told(error)
    match error:
        case httpx2.ConnectTimeout() | httpx2.PoolTimeout():
            return TimedOut(f"{where}: no connection in time (timeout=).")
        case httpx2.TimeoutException():
            return TimedOut(f"{where} did not answer in time (timeout=).")
        case httpx2.UnsupportedProtocol() | httpx2.InvalidURL() | httpx2.LocalProtocolError():
            return InvalidData(f"{where} cannot be asked: {told}")
        case httpx2.TransportError():
            return NetworkError(f"{where}: {told}")
        case httpx2.DecodingError():
            return InvalidData(f"{where} sent a body that is not encoded as it says: {told}")
        case httpx2.TooManyRedirects():
            return InvalidData(f"{where} redirects without end.")
        case _:
            return error


async def refusal(answer: httpx2.Response, where: str) -> Exception:
    """What an answer means that is no good. Its body is read no further than a message goes."""
    status = answer.status_code
    told = redact(f"{where} answered {status}{await _message(answer)}")
    seconds = wait(answer.headers, datetime.now(UTC))
    match class_of(status, answer.headers):
        case "rate_limit":
            if seconds is None:
                return Throttled(told)
            return RateLimited(told, retry_after=seconds, api=answer.url.host)
        case "auth":
            return AuthFailed(f"{told} Are the credentials right, and may they do this?")
        case "timeout":
            return TimedOut(told)
        case "network":
            return NetworkError(told)
        case _:
            return InvalidData(told)


async def _message(answer: httpx2.Response) -> str:
    """What the body says of the reason, in few words."""
    body = b""
    try:
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > _READ:
                break
    except Exception as error:  # noqa: BLE001 - the status says what is wrong; why its words did not arrive is said too
        return f", and then nothing: {_told(error)}"
    finally:
        await answer.aclose()
    text = body.decode("utf-8", "replace")
    try:
        said = _said(json.loads(text))
    except ValueError:
        said = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    said = " ".join(said.split())
    return f": {said[:_SHOWN]}{'…' if len(said) > _SHOWN else ''}" if said else "."


def _said(value: Any) -> str:
    """The message in an error as JSON, where it has one of the usual names."""
    if is_mapping(value):
        inner = value.get("error")
        if is_mapping(inner):
            return _said(inner)
        given = next((value[name] for name in _TELLING if value.get(name)), None)
        return json.dumps(dict(value)) if given is None else _said(given)
    if is_list(value):
        return "; ".join(_said(part) for part in value[:3])
    return str(value)


def _told(error: BaseException) -> str:
    """The reason, which some exceptions leave to the one below them."""
    below: BaseException | None = error
    while below is not None:
        if str(below):
            return redact(str(below))
        below = below.__cause__ or below.__context__
    return type(error).__name__
