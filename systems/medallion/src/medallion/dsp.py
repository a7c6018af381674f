"""A client for the reporting API of DV360 (Bid Manager API v2): a query is created, run, polled, and its file fetched.

See https://developers.google.com/bid-manager/reference/rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from types import TracebackType
from typing import Any, ClassVar, Final, Self

import penstock as ps
from penstock import data

API: Final = "https://doubleclickbidmanager.googleapis.com"
TOKENS: Final = "https://oauth2.googleapis.com/token"
GROUPS: Final = (
    "FILTER_DATE",
    "FILTER_ADVERTISER",
    "FILTER_ADVERTISER_NAME",
    "FILTER_ADVERTISER_CURRENCY",
    "FILTER_MEDIA_PLAN",
    "FILTER_MEDIA_PLAN_NAME",
    "FILTER_INSERTION_ORDER",
    "FILTER_INSERTION_ORDER_NAME",
    "FILTER_LINE_ITEM",
    "FILTER_LINE_ITEM_NAME",
)
METRICS: Final = (
    "METRIC_IMPRESSIONS",
    "METRIC_CLICKS",
    "METRIC_TOTAL_CONVERSIONS",
    "METRIC_REVENUE_ADVERTISER",
    "METRIC_MEDIA_COST_ADVERTISER",
)
NOTHING: Final = "No data returned by the reporting service."
OPERATIONS: Final = {
    "POST /v2/queries": "query",
    "POST /v2/queries/*:run": "run",
    "DELETE /v2/queries/*": "query",
    "/*": "read",
}
"""What requests are called in the `costs` of a quota."""
_FOOTER: Final = "Report Time:"
_FIELDS: Final = ("client_id", "client_secret", "refresh_token")
_EARLY: Final = 60.0
"""Seconds: a token is renewed so long before it ends."""
_LIFE: Final = 3600.0
_LARGEST: Final = 2 * 1024**3
_MISSES: Final = 5
_log: Final = logging.getLogger("medallion.dsp")


class ReportFailed(ps.StepError):
    """The DSP could not make the report; it may the next time."""

    error_class: ClassVar[ps.ErrorClass] = "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    secret: str
    until: float


class Dsp:
    """The reporting API of one DSP, for any number of organizations; a resource of an app.

    Args:
        api_url: Where the API is.
        token_url: Where a refresh token is changed for an access token.
        quotas: What requests draw from: `query`, `run` and `read` are the operations.
        first: Seconds until a report is asked for the first time; from then on twice as long each time.
        longest: The longest time between two polls, in seconds.
        patience: Seconds that a report may take.
        largest: The most bytes of a report.
        httpx: What `penstock.data.Api` takes besides.
    """

    def __init__(
        self,
        api_url: str = API,
        *,
        token_url: str = TOKENS,
        quotas: Sequence[ps.Quota] = (),
        first: float = 5,
        longest: float = 60,
        patience: float = 1500,
        largest: int = _LARGEST,
        **httpx: Any,
    ) -> None:
        self._api = data.Api(api_url, quotas=quotas, operations=_priced(quotas), **httpx)
        base, _, self._token_path = token_url.rpartition("/")
        self._tokens_api = data.Api(base, returned=(400, 401), **httpx)
        self._first, self._longest, self._patience, self._largest = first, longest, patience, largest
        self._tokens: dict[str, _Token] = {}
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tokens.clear()
        self._renewing = asyncio.Lock()  # the next time it may be another loop
        await self._api.aclose()
        await self._tokens_api.aclose()

    async def verify(self, credentials: Mapping[str, str]) -> None:
        """See whether the credentials are let in.

        Raises:
            AuthFailed: They are not, or a field is missing.
        """
        await self._call(credentials, "GET", "/v2/queries", params={"pageSize": "1"})

    async def report(
        self, *, credentials: Mapping[str, str], advertiser: str, day: date, query: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[bytes]:
        """The file of one advertiser's day as the DSP made it, in pieces; `table` finds the rows in it.

        Args:
            credentials: `client_id`, `client_secret` and `refresh_token`, or an `access_token`.
            advertiser: The advertiser's id.
            day: The day, in the advertiser's own zone.
            query: What is asked for otherwise than by default, as the API writes a query's `params`: `type`,
                `groupBys`, `metrics`, and `filters` beside the advertiser's.

        Raises:
            ReportFailed: The DSP gave up on the report.
            TimeoutError: It was not done within `patience`.
            AuthFailed, RateLimited, NetworkError, InvalidData: As their names say.
        """
        async with self._query(credentials, asked(advertiser, day, query or {})) as number:
            made = await self._call(credentials, "POST", f"/v2/queries/{number}:run", json={})
            report = _text(made, "key", "reportId")
            url = await self._done(credentials, f"/v2/queries/{number}/reports/{report}")
            async with aclosing(self._api.download(url, limit=self._largest)) as pieces:
                async for piece in pieces:
                    yield piece

    @asynccontextmanager
    async def _query(self, credentials: Mapping[str, str], body: Mapping[str, Any]) -> AsyncGenerator[str]:
        """A query for one report, taken back when it is no longer needed: the DSP keeps only so many."""
        created = await self._call(credentials, "POST", "/v2/queries", json=body)
        query = _text(created, "queryId")
        try:
            yield query
        finally:
            try:
                await self._call(credentials, "DELETE", f"/v2/queries/{query}")
            except (ps.StepError, ps.DefinitionError) as error:
                # The report is there, or failed by something else; a query too many does no harm.
                _log.warning("query %s is left at the DSP: %s", query, error)

    async def _done(self, credentials: Mapping[str, str], path: str) -> str:
        """Ask until the report is done; where its file is.

        A poll that fails for a moment is asked again here, since to begin anew is dear.
        """
        clock = asyncio.get_running_loop().time
        until, pause, missed = clock() + self._patience, self._first, 0
        while True:
            wait = pause
            try:
                found = await self._call(credentials, "GET", path)
                missed = 0
                state = _field(found, "metadata", "status", "state")
                if state == "DONE":
                    return _text(found, "metadata", "googleCloudStoragePath")
                if state == "FAILED":
                    raise ReportFailed(f"the DSP gave up on report {path.rpartition('/')[2]} (state FAILED).")
            except ps.RateLimited as error:
                wait = float(error.retry_after) if isinstance(error.retry_after, int | float) else self._longest
                if clock() + wait > until:
                    raise
            except (ps.NetworkError, TimeoutError):
                missed += 1
                if missed >= _MISSES:
                    raise
            if clock() + wait > until:
                raise TimeoutError(f"the DSP did not finish report {path.rpartition('/')[2]} in {self._patience:g} s.")
            await asyncio.sleep(wait)
            pause = min(pause * 2, self._longest)

    async def _call(self, credentials: Mapping[str, str], method: str, path: str, **request: Any) -> Any:
        """A call with an access token; one that is no longer valid is renewed once."""
        token = await self._token(credentials)
        try:
            return await self._api.json(path, method=method, headers=_bearer(token), **request)
        except ps.AuthFailed:
            renewed = await self._token(credentials, not_this=token)
            if renewed == token:
                raise
            return await self._api.json(path, method=method, headers=_bearer(renewed), **request)

    async def _token(self, credentials: Mapping[str, str], not_this: str | None = None) -> str:
        given = credentials.get("access_token")
        if given:
            return given
        missing = [name for name in _FIELDS if not credentials.get(name)]
        if missing:
            raise ps.AuthFailed(f"the DSP's credentials have no {' and no '.join(missing)}.")
        key = sha256("\n".join(credentials[name] for name in _FIELDS).encode()).hexdigest()
        clock = asyncio.get_running_loop().time
        async with self._renewing:
            known = self._tokens.get(key)
            if known is None or known.until <= clock() or known.secret == not_this:
                known = self._tokens[key] = await self._fresh(credentials, clock())
        return known.secret

    async def _fresh(self, credentials: Mapping[str, str], now: float) -> _Token:
        form = {"grant_type": "refresh_token", **{name: credentials[name] for name in _FIELDS}}
        answer = await self._tokens_api.post(f"/{self._token_path}", data=form)
        try:
            told = answer.json()
        except ValueError:
            told = None
        if answer.status_code >= 400:  # noqa: PLR2004 - HTTP's ranges
            why = _field(told, "error_description") or _field(told, "error") or f"status {answer.status_code}"
            raise ps.AuthFailed(f"the DSP gave no access token: {why}.")
        life = _field(told, "expires_in")
        seconds = float(life) if isinstance(life, int | float) else _LIFE
        return _Token(secret=_text(told, "access_token"), until=now + max(0.0, seconds - _EARLY))


def table(lines: Iterable[str]) -> Iterator[str]:
    """The header and the rows of a report's file, without the totals and the notes below them.

    The table ends at the first empty line, or at `Report Time:`. The row before is the totals: its first cells are
    empty. Such a row in the middle stays: it is wrong, and whoever checks rows must see it.

    Args:
        lines: The lines of the file; the ones given back are the same, with their ends.

    Raises:
        InvalidData: It ends without the notes, so that a part of it is missing.
    """
    held: str | None = None  # the last line, which may be the totals
    quoted = False
    for line in lines:
        if not quoted and (not line.strip() or line.startswith(_FOOTER)):
            if held is None:
                break
            if not held.startswith((",,", NOTHING)):
                yield held
            return
        if quoted and held is not None:  # a cell has a line's end in it
            held += line
        else:
            if held is not None:
                yield held
            held = line
        quoted ^= line.count('"') % 2 == 1
    raise ps.InvalidData(f"the DSP's report ends before {_FOOTER!r}: a part of it is missing.")


def asked(advertiser: str, day: date, query: Mapping[str, Any]) -> dict[str, Any]:
    """The query for one advertiser's day; see `Dsp.report`.

    Raises:
        InvalidData: `query` has a field that it cannot have.
    """
    unknown = sorted(set(query) - {"type", "groupBys", "metrics", "filters", "options"})
    if unknown:
        msg = f"the DSP's query has {unknown[0]!r}; it may have type, groupBys, metrics, filters and options."
        raise ps.InvalidData(msg)
    when = {"year": day.year, "month": day.month, "day": day.day}
    return {
        "metadata": {
            "title": f"penstock {advertiser} {day}",
            "dataRange": {"range": "CUSTOM_DATES", "customStartDate": when, "customEndDate": when},
            "format": "CSV",
        },
        "params": {
            "type": "STANDARD",
            "groupBys": list(GROUPS),
            "metrics": list(METRICS),
            **query,
            "filters": [{"type": "FILTER_ADVERTISER", "value": advertiser}, *query.get("filters", ())],
        },
        "schedule": {"frequency": "ONE_TIME"},
    }


def _priced(quotas: Sequence[ps.Quota]) -> dict[str, str | int]:
    """The operations that one of the quotas has a price for; the others cost nothing."""
    known = {name for quota in quotas for name in quota.costs}
    if not known:  # so many requests, whatever they are
        return {}
    return {pattern: name if name in known else 0 for pattern, name in OPERATIONS.items()}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _field(value: Any, *path: str) -> Any:
    found: Any = value
    for name in path:
        found = found.get(name) if hasattr(found, "get") else None
    return found


def _text(value: Any, *path: str) -> str:
    found = _field(value, *path)
    if not isinstance(found, str) or not found:
        raise ps.InvalidData(f"the DSP's answer has no {'.'.join(path)}.")
    return found
