"""What every request passes: an id, headers, a line in the log, a count; and the net for what nobody expected."""

from __future__ import annotations

import re
import time
from typing import Final
from uuid import uuid4

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.api.http.problems import Problem, answer
from penstock.model.redaction import traced
from penstock.ports.telling import RequestMetrics

ID: Final = re.compile(rb"[0-9A-Za-z._:-]{1,64}")
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
QUIET: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by machines: in the log at the level of debugging."""


class Entrance:
    """The outermost layer.

    Args:
        app: What lies within.
        metrics: Where requests are counted.
        tls: Whether callers come by HTTPS, so that they may be told to come by nothing else.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics | None, *, tls: bool) -> None:
        self._app, self._metrics = app, metrics
        self._headers = {**HEADERS, **({"Strict-Transport-Security": "max-age=31536000"} if tls else {})}
        self._log = structlog.get_logger("penstock.http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, started = time.perf_counter(), 500, False
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given.decode() if ID.fullmatch(given) else uuid4().hex[:16]
        scope.setdefault("state", {})["request_id"] = request_id

        async def sending(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a problem and the log the traceback
            self._log.error("a request failed", request_id=request_id, path=scope["path"], traceback=traced(error))
            if not started:
                detail = f"The service's log has more under request {request_id}."
                response = answer(Request(scope), Problem("internal", detail))
                await response(scope, receive, sending)
        finally:
            self._tell(scope, request_id, status, time.perf_counter() - began)

    def _tell(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        if self._metrics is not None:
            self._metrics.request(route, scope["method"], status, seconds)
        token = scope["state"].get("token")
        log = self._log.debug if scope["path"] in QUIET else self._log.info
        log(
            "request",
            request_id=request_id,
            method=scope["method"],
            path=scope["path"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            token=None if token is None else token.name,
            org=None if token is None else token.org,
            client=scope["client"][0] if scope.get("client") else None,
        )
