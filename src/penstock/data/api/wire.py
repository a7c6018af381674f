"""Each request on its way out, redirects and those of an auth flow too: paid for, limited, and written down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import httpx2

from penstock.data.api.failures import broken, never_sent
from penstock.data.api.gate import Gate
from penstock.data.api.operations import Operations
from penstock.data.api.secrets import is_secret, learn, shown
from penstock.definition.context import Context, Draw, running
from penstock.model.errors import DefinitionError

_OUTSIDE: Final = logging.getLogger("penstock.api")
_NO_GOOD: Final = 400


def where(request: httpx2.Request) -> str:
    """A request as messages name it: method, host and path."""
    return f"{request.method} {shown(request.url)}"


def origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    """Whom a URL leads to: scheme, host and port."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


class Wire(httpx2.AsyncBaseTransport):
    """The way out of a client.

    Args:
        base: The API's base URL. Only what goes there is paid for and carries the client's credentials.
        opener: Makes the client below, which has the connections; called anew after a close, and in another loop.
        operations: What requests cost.
        gate: The server's limits.
        headers: The client's own headers.
    """

    def __init__(
        self,
        base: httpx2.URL,
        opener: Callable[[], httpx2.AsyncClient],
        operations: Operations,
        gate: Gate,
        headers: httpx2.Headers,
    ) -> None:
        self._base, self._opener, self._operations, self._gate = base, opener, operations, gate
        self._headers = headers
        self._line: tuple[asyncio.AbstractEventLoop, httpx2.AsyncClient] | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request."""
        home = origin(request.url) == origin(self._base)
        if not home:
            self._strip(request)
        learn(request)
        context = running()
        cost = self._operations.cost(request.method, self._path(request.url)) if home else 0
        await self._gate.enter(request.url.host)
        call = Call(context, where(request))
        async with self._drawn(context, cost) as draw:
            try:
                answer = await self._opened().send(request, stream=True, auth=None, follow_redirects=False)
            except BaseException as error:
                if draw is not None and never_sent(error):
                    draw.settle(0)
                call.broke(error)
                if isinstance(error, httpx2.HTTPError):
                    raise broken(error, call.where) from None
                raise
        call.status = answer.status_code
        self._gate.heed(request.url.host, answer.status_code, answer.headers)
        stream: Any = answer.stream
        return httpx2.Response(
            answer.status_code, headers=answer.headers, stream=_Body(stream, call), extensions=answer.extensions
        )

    async def aclose(self) -> None:
        """Close the connections; a later request opens new ones."""
        line, self._line = self._line, None
        if line is not None and line[0] is asyncio.get_running_loop():
            await line[1].aclose()

    def _opened(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._line is None or self._line[0] is not loop:
            self._line = loop, self._opener()
        return self._line[1]

    def _path(self, url: httpx2.URL) -> str:
        """The path below the base URL."""
        return f"/{url.path.removeprefix(self._base.path.rstrip('/')).lstrip('/')}"

    def _strip(self, request: httpx2.Request) -> None:
        """A redirect to another host must not take the client's credentials there."""
        for name, value in self._headers.items():
            if is_secret(name) and request.headers.get(name) == value:
                del request.headers[name]
        request.headers.pop("cookie", None)

    def _drawn(self, context: Context[Any] | None, cost: Any) -> AbstractAsyncContextManager[Draw | None]:
        if not self._operations.quotas or cost == 0:
            return nullcontext()
        if context is None:
            msg = (
                "An Api with quotas was asked outside of a running step, where there is no run to pay for it. Ask it "
                "in a step, in a test in a Simulation; without quotas it can be asked anywhere."
            )
            raise DefinitionError(msg)
        return context.spend(self._operations.quotas, cost)


@dataclass(slots=True)
class Call:
    """One call, which is written down once: when its answer was read, or it broke.

    Attributes:
        context: The running step, if there is one.
        where: Method, host and path.
    """

    context: Context[Any] | None
    where: str
    status: int | None = None
    bytes: int = 0
    began: float = 0.0
    told: bool = False

    def __post_init__(self) -> None:
        self.began = perf_counter()

    def broke(self, error: BaseException) -> None:
        """It ended by an exception."""
        self.tell(why=type(error).__name__)

    def tell(self, *, why: str | None = None) -> None:
        """Write it down."""
        if self.told:
            return
        self.told = True
        fields: dict[str, Any] = {"ms": round((perf_counter() - self.began) * 1000), "bytes": self.bytes}
        if self.status is not None:
            fields["status"] = self.status
        if why is not None:
            fields["error"] = why
        message = f"{self.where} {self.status or why}"
        if self.context is None:
            _OUTSIDE.debug("%s %s", message, fields)
            return
        good = why is None and (self.status or _NO_GOOD) < _NO_GOOD
        (self.context.log.info if good else self.context.log.warning)(message, **fields)


class _Body(httpx2.AsyncByteStream):
    """The body of an answer as it comes."""

    def __init__(self, stream: httpx2.AsyncByteStream, call: Call) -> None:
        self._stream, self._call = stream, call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                self._call.bytes += len(piece)
                yield piece
        except httpx2.HTTPError as error:
            self._call.broke(error)
            raise broken(error, self._call.where) from None
        except asyncio.CancelledError as error:
            self._call.broke(error)
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()
        self._call.tell()
