"""A server in the shape of the DV360 reporting API (Bid Manager API v2), with the token endpoint and the file store.

A query is created, run, its report polled until it is done, and the file downloaded from where the report says.
See https://developers.google.com/bid-manager/reference/rest.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Any, Final, Literal

from penstock.testing.servers.bid_manager_csv import TITLES, report
from penstock.testing.servers.web import Request, Sent, WebServer

State = Literal["QUEUED", "RUNNING", "DONE", "FAILED"]
_QUERIES: Final = "/v2/queries"
_QUERY: Final = re.compile(r"/v2/queries/(\d+)(:run|/reports|/reports/(\d+))?")
_FILE: Final = re.compile(r"/files/(\d+)_(\d+)\.csv")
_STATUS: Final = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
CREDENTIALS: Final[Mapping[str, str]] = {
    "client_id": "client.apps.example",
    "client_secret": "client-secret-4711",
    "refresh_token": "1//refresh-token-4711",
}
"""Whom a server lets in that was given nobody else."""


def dv360(*, credentials: Mapping[str, str] = CREDENTIALS, polls: int = 2) -> AbstractContextManager[Dv360Server]:
    """A server for the block: `with servers.dv360() as dsp: dsp.put("17", day, rows)`.

    Args:
        credentials: The `client_id`, `client_secret` and `refresh_token` that are let in.
        polls: How often a report is asked for before it is done.
    """
    return Dv360Server(credentials, polls)


@dataclass(slots=True, kw_only=True)
class _Report:
    query: str
    number: str
    polls: int
    content: bytes
    day: date
    failing: bool
    signature: str = field(default_factory=lambda: secrets.token_hex(16))
    state: State = "QUEUED"
    finished: str | None = None


class Dv360Server(WebServer):
    """See `dv360`; `then`, `fail`, `requests` and `wait` are those of `servers.http`.

    Paths for faults: `POST /token`, `POST /v2/queries`, `*:run`, `*/reports/*` (polls), `/files/*` (downloads).

    Attributes:
        polls: How often the next reports are asked for before they are done.
        failing: How many of the next reports end FAILED.
        credentials: Who is let in.
    """

    def __init__(self, credentials: Mapping[str, str], polls: int) -> None:
        super().__init__(Sent())
        self.credentials, self.polls, self.failing = dict(credentials), polls, 0
        self._tokens: set[str] = set()
        self._rows: dict[tuple[str, date], Sequence[Mapping[str, Any]] | bytes] = {}
        self._queries: dict[str, dict[str, Any]] = {}
        self._reports: dict[str, _Report] = {}
        self._advertisers: set[str] | None = None

    @property
    def token_url(self) -> str:
        """Where access tokens are had."""
        return f"{self.url}/token"

    @property
    def queries(self) -> list[str]:
        """The ids of the queries that exist."""
        with self._changed:
            return list(self._queries)

    def put(self, advertiser: str, day: date, rows: Sequence[Mapping[str, Any]] | bytes) -> None:
        """What reports of an advertiser and a day hold from now on; a second time restates it.

        Args:
            advertiser: The advertiser's id.
            day: The day.
            rows: Rows by the names of queries (`FILTER_LINE_ITEM`, `METRIC_CLICKS`), or a whole file as it is sent.
        """
        with self._changed:
            self._rows[advertiser, day] = rows

    def allow(self, *advertisers: str) -> None:
        """The credentials may see these advertisers alone; until this is said, all."""
        with self._changed:
            self._advertisers = set(advertisers)

    def revoke(self) -> None:
        """The access tokens that were given out are no longer valid."""
        with self._changed:
            self._tokens.clear()

    def answer(self, request: Request) -> Sent:
        """What the API says."""
        with self._changed:
            if request.path == "/token":
                return self._token(request)
            if stored := _FILE.fullmatch(request.path):
                return self._file(request, stored[1], stored[2])
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme != "Bearer" or token not in self._tokens:
                return _error(401, "Request had invalid authentication credentials.")
            if request.path == _QUERIES:
                return self._create(request) if request.method == "POST" else self._list(request)
            found = _QUERY.fullmatch(request.path)
            if found is None or found[1] not in self._queries:
                return _error(404, "Requested entity was not found.")
            return self._query(request, found[1], found[2] or "", found[3])

    def _token(self, request: Request) -> Sent:
        form = request.form
        if form.get("grant_type") != "refresh_token":
            return Sent(status=400, body={"error": "unsupported_grant_type"})
        if (form.get("client_id"), form.get("client_secret")) != (
            self.credentials["client_id"],
            self.credentials["client_secret"],
        ):
            told = {"error": "invalid_client", "error_description": "The OAuth client was not found."}
            return Sent(status=401, body=told)
        if form.get("refresh_token") != self.credentials["refresh_token"]:
            told = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
            return Sent(status=400, body=told)
        token = f"ya29.{secrets.token_urlsafe(24)}"
        self._tokens.add(token)
        return Sent(body={"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    def _create(self, request: Request) -> Sent:
        try:
            asked: dict[str, Any] = request.json()
            wanted = _wanted(asked)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _error(400, f"Invalid query: {error!r}")
        unknown = [name for name in (*wanted.groups, *wanted.metrics) if name not in TITLES]
        if unknown:
            return _error(400, f"Invalid value: {unknown[0]}")
        if self._advertisers is not None and wanted.advertiser not in self._advertisers:
            return _error(403, f"The caller has no access to advertiser {wanted.advertiser}.")
        number = str(1_000_000 + len(self._reports) + len(self._queries))
        while number in self._queries:
            number = str(int(number) + 1)
        self._queries[number] = {"queryId": number, **asked}
        return Sent(body=self._queries[number])

    def _list(self, request: Request) -> Sent:
        size = int(request.query.get("pageSize", "100"))
        at = int(request.query.get("pageToken", "0"))
        every = list(self._queries.values())
        body: dict[str, Any] = {"queries": every[at : at + size]}
        if at + size < len(every):
            body["nextPageToken"] = str(at + size)
        return Sent(body=body)

    def _query(self, request: Request, number: str, rest: str, report_number: str | None) -> Sent:
        match request.method, rest:
            case "GET", "":
                return Sent(body=self._queries[number])
            case "DELETE", "":
                del self._queries[number]
                return Sent(body={})
            case "POST", ":run":
                return Sent(body=self._shown(self._start(number)))
            case "GET", "/reports":
                reports = [self._shown(each) for each in self._reports.values() if each.query == number]
                return Sent(body={"reports": reports})
            case "GET", _ if report_number in self._reports and self._reports[report_number].query == number:
                return Sent(body=self._shown(self._polled(self._reports[report_number])))
            case _:
                return _error(404, "Requested entity was not found.")

    def _start(self, number: str) -> _Report:
        wanted = _wanted(self._queries[number])
        rows = self._rows.get((wanted.advertiser, wanted.day), ())
        content = (
            rows
            if isinstance(rows, bytes)
            else report(
                groups=wanted.groups,
                metrics=wanted.metrics,
                rows=rows,
                day=wanted.day,
                advertiser=wanted.advertiser,
            )
        )
        failing = self.failing > 0
        self.failing -= failing
        made = _Report(
            query=number,
            number=str(5_000_000 + len(self._reports)),
            polls=self.polls,
            content=content,
            day=wanted.day,
            failing=failing,
        )
        self._reports[made.number] = made
        return made

    def _polled(self, made: _Report) -> _Report:
        made.polls -= 1
        if made.polls > 0:
            made.state = "RUNNING"
        elif made.finished is None:
            made.state = "FAILED" if made.failing else "DONE"
            made.finished = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return made

    def _shown(self, made: _Report) -> dict[str, Any]:
        day = {"year": made.day.year, "month": made.day.month, "day": made.day.day}
        metadata: dict[str, Any] = {
            "status": {"state": made.state, "format": "CSV"},
            "reportDataStartDate": day,
            "reportDataEndDate": day,
        }
        if made.finished is not None:
            metadata["status"]["finishTime"] = made.finished
        if made.state == "DONE":
            path = f"/files/{made.query}_{made.number}.csv?Signature={made.signature}"
            metadata["googleCloudStoragePath"] = f"{self.url}{path}"
        key = {"queryId": made.query, "reportId": made.number}
        return {"key": key, "metadata": metadata, "params": self._queries[made.query]["params"]}

    def _file(self, request: Request, query: str, number: str) -> Sent:
        made = self._reports.get(number)
        if made is None or made.query != query or request.query.get("Signature") != made.signature:
            return Sent(status=403, body="<Error><Code>SignatureDoesNotMatch</Code></Error>")
        return Sent(body=made.content, headers=(("Content-Type", "text/csv"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    groups: tuple[str, ...]
    metrics: tuple[str, ...]
    advertiser: str
    day: date


def _wanted(query: Mapping[str, Any]) -> _Wanted:
    """What a query asks for, as far as this server goes: one day of one advertiser.

    Raises:
        ValueError: It asks for something else.
    """
    params, span = query["params"], query["metadata"]["dataRange"]
    if query["metadata"].get("format") != "CSV" or params.get("type") != "STANDARD":
        raise ValueError("this server makes STANDARD reports in CSV")
    if span.get("range") != "CUSTOM_DATES" or span["customStartDate"] != span["customEndDate"]:
        raise ValueError("this server makes reports of one day (CUSTOM_DATES)")
    advertisers = [each["value"] for each in params["filters"] if each["type"] == "FILTER_ADVERTISER"]
    if len(advertisers) != 1 or not params["groupBys"] or not params["metrics"]:
        raise ValueError("a report has one FILTER_ADVERTISER, groupBys and metrics")
    first = span["customStartDate"]
    return _Wanted(
        groups=tuple(params["groupBys"]),
        metrics=tuple(params["metrics"]),
        advertiser=str(advertisers[0]),
        day=date(first["year"], first["month"], first["day"]),
    )


def _error(status: int, message: str) -> Sent:
    told = {"code": status, "message": message, "status": _STATUS.get(status, HTTPStatus(status).phrase)}
    return Sent(status=status, body={"error": told})
