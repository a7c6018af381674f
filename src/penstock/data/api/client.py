"""An HTTP client for APIs that count, limit and fail."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import httpx2
from httpx2 import USE_CLIENT_DEFAULT

from penstock.data.api import paging
from penstock.data.api.failures import broken, refusal
from penstock.data.api.gate import Gate
from penstock.data.api.operations import Cost, Operations
from penstock.data.api.secrets import quieten, shown
from penstock.data.api.wire import Wire, origin, where
from penstock.model.errors import InvalidData, SettingError
from penstock.model.http_answers import class_of
from penstock.model.quota import Quota

TIMEOUT: Final = httpx2.Timeout(60, connect=10)
_BELOW: Final = ("verify", "cert", "http1", "http2", "proxy", "mounts", "limits", "transport", "trust_env")
_NOT_MODIFIED: Final = 304
_PIECE: Final = 64 * 1024


class Api(httpx2.AsyncClient):
    """An `httpx2.AsyncClient` that spends quotas, obeys the server's limits, classifies failures, records each call.

    Nothing is tried again in here: the step's retry policy does that. What comes back is a good answer; an answer
    that is none is raised: `RateLimited` with the server's own time, `AuthFailed`, `NetworkError`, `TimeoutError`,
    `InvalidData`. Credentials (`auth`, `params`, `headers`, `cookies` of the client) go to the base URL's host alone.
    Every request, redirected ones too, is paid for before it is sent and stands in the run's log with method, host,
    path, status, milliseconds and bytes. A resource of an app; it may be opened again after it was closed.

    Args:
        base_url: Where the API is; paths are below it.
        quotas: What each request draws from. Asking needs a running step then.
        operations: What a request costs by its path below the base URL: `{"/eod/*": "prices"}`, or with a method,
            `{"POST /queries": 5}`; the first pattern that matches holds. Without any each request costs 1.
        returned: Statuses of 4xx and 5xx that are answers for the caller to look at.
        patience: Seconds: a pause that the server is known to want is waited out before the next request if it is no
            longer; the step waits for longer ones, without a slot.
        httpx: What `httpx2.AsyncClient` takes: `params`, `headers`, `auth`, `timeout`, `follow_redirects`, `verify`…

    Raises:
        SettingError: The base URL is none.
        DefinitionError: An operation is in no quota, or a pattern is none.
    """

    def __init__(
        self,
        base_url: str,
        *,
        quotas: Sequence[Quota] = (),
        operations: Mapping[str, Cost] | None = None,
        returned: Collection[int] = (404,),
        patience: float = 0,
        **httpx: Any,
    ) -> None:
        try:
            base = httpx2.URL(base_url)
        except httpx2.InvalidURL as error:
            raise SettingError(f"Api: base_url is no URL: {error}.") from None
        if base.scheme not in ("http", "https") or not base.host:
            raise SettingError(f"Api: base_url={shown(base)!r} is no URL; it begins with https:// or http://.")
        quieten()
        below = {name: httpx.pop(name) for name in _BELOW if name in httpx}
        self._returned = frozenset(returned)
        self._wire = Wire(
            base,
            lambda: httpx2.AsyncClient(**below),
            Operations(quotas, operations or {}),
            Gate(patience),
            httpx2.Headers(httpx.get("headers")),
        )
        httpx.setdefault("timeout", TIMEOUT)
        super().__init__(base_url=base, transport=self._wire, **httpx)
        self._stranger = httpx2.AsyncClient(transport=self._wire, timeout=self.timeout)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown(self.base_url)!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections; a later request opens new ones."""
        await self._wire.aclose()

    def build_request(self, method: str, url: httpx2.URL | str, **options: Any) -> httpx2.Request:
        """A request as it will be sent; to another host it carries nothing of the client's own."""
        try:
            target = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise InvalidData(f"{method} to something that is no URL: {error}") from None
        away = target.is_absolute_url and not self._is_home(target)
        if target.query and (not away or options.get("params")):  # httpx lets parameters replace a URL's own
            options["params"] = target.params.merge(options.get("params"))
            target = target.copy_with(query=None)
        if away:
            return self._stranger.build_request(method, target, **options)
        return super().build_request(method, target, **options)

    async def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool = False,
        auth: Any = USE_CLIENT_DEFAULT,
        follow_redirects: Any = USE_CLIENT_DEFAULT,
    ) -> httpx2.Response:
        """Send a request; every other method ends here.

        Raises:
            RateLimited, NetworkError, AuthFailed, TimeoutError, InvalidData: As their names say.
            QuotaSpent: Its cost does not fit in a quota.
        """
        if auth is USE_CLIENT_DEFAULT and not self._is_home(request.url):
            auth = None
        try:
            answer = await super().send(request, stream=True, auth=auth, follow_redirects=follow_redirects)
        except httpx2.HTTPError as error:
            raise broken(error, where(request)) from None
        status = answer.status_code
        if class_of(status) is not None and status not in self._returned:
            raise await refusal(answer, where(answer.request))
        if answer.has_redirect_location and follow_redirects is USE_CLIENT_DEFAULT and not self.follow_redirects:
            target = answer.url.join(answer.headers["location"])
            await answer.aclose()
            msg = f"{where(answer.request)} answered {status} and points to {shown(target)}; "
            raise InvalidData(f"{msg}ask there, or make the Api with follow_redirects=True.")
        if not stream:
            try:
                await answer.aread()
            except httpx2.HTTPError as error:
                raise broken(error, where(answer.request)) from None
            finally:
                await answer.aclose()
        return answer

    async def json(self, path: str, *, method: str = "GET", **request: Any) -> Any:
        """The JSON body of an answer; `request` is what `request` takes: `params`, `json`, `headers`, `timeout`.

        Raises:
            InvalidData: It is no JSON, or was not found (404).
        """
        return paging.parsed(await self._good(await self.request(method, path, **request)))

    async def download(
        self, path: str, *, limit: int | None = None, method: str = "GET", **request: Any
    ) -> AsyncGenerator[bytes]:
        """The body of an answer in pieces, as it comes; whoever leaves before the end closes it (`aclosing`).

        Args:
            path: The path, or a URL, of another host too.
            limit: The most bytes.
            method: The method.
            request: What `stream` takes.

        Raises:
            NetworkError: It broke off; what was given so far is no whole file.
            InvalidData: It is larger than `limit`, or was not found (404).
        """
        async with self.stream(method, path, **request) as answer:
            await self._good(answer)
            told = answer.headers.get("content-length", "")
            if limit is not None and told.isdigit() and int(told) > limit:
                raise InvalidData(f"{where(answer.request)} is {int(told):,} bytes; limit={limit:,}.")
            size = 0
            try:
                async for piece in answer.aiter_bytes(_PIECE):
                    size += len(piece)
                    if limit is not None and size > limit:
                        raise InvalidData(f"{where(answer.request)} is more than limit={limit:,} bytes.")
                    yield piece
            except httpx2.HTTPError as error:
                raise broken(error, where(answer.request)) from None

    def pages_by_link(self, path: str, **request: Any) -> AsyncGenerator[httpx2.Response]:
        """Pages that name the next one in the header `Link`, `rel="next"`."""
        return self._pages(path, {}, paging.by_link, request)

    def pages_by_url(self, path: str, *, field: str = "next", **request: Any) -> AsyncGenerator[httpx2.Response]:
        """Pages whose JSON holds the next one's URL in a field, by its dotted path: `paging.next`."""
        return self._pages(path, {}, paging.by_url(field), request)

    def pages_by_cursor(
        self, path: str, *, field: str = "nextPageToken", param: str = "pageToken", **request: Any
    ) -> AsyncGenerator[httpx2.Response]:
        """Pages whose JSON holds a token in `field`, which is handed back in the query parameter `param`."""
        return self._pages(path, {}, paging.by_cursor(field, param), request)

    def pages_by_number(
        self, path: str, *, items: str, param: str = "page", first: int = 1, total: str | None = None, **request: Any
    ) -> AsyncGenerator[httpx2.Response]:
        """Pages by their number, up to an empty one, or to as many as the field `total` says.

        Args:
            path: The path.
            items: The field of the JSON that holds the items, by its dotted path; "" if the body is the list.
            param: The query parameter.
            first: The number of the first page.
            total: The field that holds the number of pages.
            request: What `request` takes.
        """
        following = paging.by_count(items, param, first, offset=False, total=total)
        return self._pages(path, {param: str(first)}, following, request, counted=True)

    def pages_by_offset(
        self, path: str, *, items: str, param: str = "offset", total: str | None = None, **request: Any
    ) -> AsyncGenerator[httpx2.Response]:
        """Pages by the number of items before them, up to an empty one, or to as many as the field `total` says."""
        following = paging.by_count(items, param, 0, offset=True, total=total)
        return self._pages(path, {param: "0"}, following, request, counted=True)

    def _pages(
        self,
        path: str,
        first: dict[str, str],
        following: paging.Next,
        request: dict[str, Any],
        *,
        counted: bool = False,
    ) -> AsyncGenerator[httpx2.Response]:
        asked = dict(request)
        given = httpx2.QueryParams(asked.pop("params", None))

        async def fetch(url: httpx2.URL | str, params: dict[str, str]) -> httpx2.Response:
            if isinstance(url, httpx2.URL):  # it has all parameters but the client's own
                if not self._is_home(url):
                    msg = f"GET {path}: the next page is said to be at {shown(url)}, which is not the API's own host."
                    raise InvalidData(msg)
                return await self._good(await self.get(url, **asked))
            return await self._good(await self.get(url, params=given.merge(params), **asked))

        return paging.walk(fetch, path, first, following, same_is_a_loop=counted)

    async def _good(self, answer: httpx2.Response) -> httpx2.Response:
        """An answer that is no status for the caller to look at."""
        if class_of(answer.status_code) is not None:
            raise await refusal(answer, where(answer.request))
        return answer

    def _is_home(self, url: httpx2.URL) -> bool:
        return origin(url) == origin(self.base_url)
