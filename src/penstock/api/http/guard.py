"""What stands before each handler: token, role, rate, size of the body, and the same answer to the same request.

A route says who may use it: `openapi_extra=needs("operator")`. One that says nothing cannot be made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, Final
from uuid import uuid4

from fastapi import Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.types import Message

from penstock.api.http.problems import Problem
from penstock.model.token import ROLES, ApiToken
from penstock.operations.gateway import Gateway
from penstock.ports.access import KeptAnswer

NOBODY: Final = "nobody"
ROLE: Final = "x-penstock-role"
KEEPS: Final = "x-penstock-keeps-answers"
LONGEST_KEY: Final = 200
KEPT_HEADERS: Final = ("content-type", "location")
bearer: Final = HTTPBearer(auto_error=False, scheme_name="token", description="A token: penstock token create.")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def needs(role: str, *, keeps: bool = True) -> dict[str, Any]:
    """Who may use a route: `nobody` is anyone, without a token.

    Args:
        role: The least role.
        keeps: Whether the answer to an Idempotency-Key may be kept; one with a secret in it may not.
    """
    return {ROLE: role} if keeps else {ROLE: role, KEEPS: False}


def tagged(name: str) -> list[str | Enum]:
    """Under which heading OpenAPI has a route; typed as FastAPI takes it."""
    return [name]


class Guarded(APIRoute):
    """A route behind the guard."""

    def get_route_handler(self) -> Handler:
        """The handler, with all that stands before it."""
        handler: Handler = super().get_route_handler()
        extra = self.openapi_extra or {}
        role = extra.get(ROLE)
        if role not in (NOBODY, *ROLES):
            msg = f"{self.path}: say who may use it: openapi_extra=needs('viewer')"
            raise TypeError(msg)

        known = {str(field.alias) for field in self.dependant.query_params}

        async def guarded(request: Request) -> Response:
            gateway: Gateway = request.app.state.gateway
            if "\0" in request.url.path or "%00" in str(request.url.query):
                raise Problem("malformed", "The address holds a NUL character.")
            token = None
            if role != NOBODY:
                token = await _token(request, gateway)
                request.state.token = token
                await _rate(gateway, token)
                if not token.may(role):
                    raise Problem("forbidden", f"This needs a token with the role {role}; this one has {token.role}.")
                _check_names(request, known)
            if request.method in ("GET", "HEAD"):
                return await handler(request)
            body = await _body(request, gateway.settings.http_body)
            again = Request(request.scope, _replay(body))
            if token is None or request.method != "POST" or "idempotency-key" not in request.headers:
                return await handler(again)
            return await _once(gateway, token, again, body, handler, keeps=extra.get(KEEPS, True))

        return guarded


def _check_names(request: Request, known: set[str]) -> None:
    """A filter that is misspelt must not be one that is not there."""
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        there = f"there are {', '.join(sorted(known))}" if known else "there are none"
        raise Problem("invalid", f"query.{unknown[0][:100]}: there is no such parameter here; {there}.")


async def _token(request: Request, gateway: Gateway) -> ApiToken:
    ask = {"WWW-Authenticate": "Bearer"}
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Problem("unauthorized", "Send a bearer token in the header Authorization.", headers=ask)
    token = await gateway.tokens.authenticate(secret.strip())
    if token is None:
        detail = "This token is not known here, was revoked, or its time is over."
        raise Problem("unauthorized", detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
    return token


async def _rate(gateway: Gateway, token: ApiToken) -> None:
    """Count one request."""
    wait = await gateway.rates.take(token.id)
    if wait is not None:
        detail = f"This token may ask {gateway.rates.per_minute:,} times a minute; ask again in {wait} s."
        raise Problem("too-many", detail, headers={"Retry-After": str(wait)})


async def _body(request: Request, limit: int) -> bytes:
    """The whole body, read no further than its limit."""
    too_large = Problem("too-large", f"A body has at most {limit:,} bytes here.", headers={"Connection": "close"})
    said = request.headers.get("content-length", "0")
    if said.isdecimal() and int(said) > limit:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large
    found = bytes(body)
    lower = found.lower()
    if b"\\u0000" in lower or b"\\ud" in lower or b"\0" in found:
        _check_text(found)
    return found


def _check_text(body: bytes) -> None:
    """Text in the body must be such as can be stored: no NUL, no half of a character."""
    import json

    try:
        said = json.dumps(json.loads(body), ensure_ascii=False)
        said.encode("utf-8")
    except UnicodeEncodeError:
        raise Problem("invalid", "The body holds half of a character (a lone surrogate).") from None
    except ValueError:
        return  # no JSON at all, which is told where it is read
    if "\\u0000" in said or "\0" in said:
        raise Problem("invalid", "The body holds a NUL character.")


def _replay(body: bytes) -> Callable[[], Coroutine[Any, Any, Message]]:
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _once(
    gateway: Gateway, token: ApiToken, request: Request, body: bytes, handler: Handler, *, keeps: bool
) -> Response:
    """Do it, unless it was done: then answer as before. What failed may be asked again under the same key."""
    key = request.headers["idempotency-key"]
    if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise Problem("invalid", f"An Idempotency-Key has 1 to {LONGEST_KEY} printable characters, such as a UUID.")
    parts = (request.method, request.url.path, request.url.query, body)
    digest = hashlib.sha256(b"\0".join(p if isinstance(p, bytes) else p.encode() for p in parts)).digest()
    attempt = uuid4()
    begun = await gateway.store.begin_request(token.id, key, digest, attempt)
    if not begun.mine:
        if begun.hash is not None and begun.hash != digest:
            raise Problem("key-reused", "This Idempotency-Key came with another request; take a new one for this.")
        if begun.answer is None:
            detail = "A request with this Idempotency-Key is being worked on; ask again for its answer."
            raise Problem("in-progress", detail, headers={"Retry-After": "1"})
        kept = begun.answer
        return Response(kept.body, kept.status, {**kept.headers, "Idempotency-Replayed": "true"})
    answer = None
    try:
        response = await handler(request)
        if keeps:
            headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
            answer = KeptAnswer(status=response.status_code, headers=headers, body=bytes(response.body))
    finally:
        await gateway.store.end_request(token.id, key, attempt, answer)
    return response
