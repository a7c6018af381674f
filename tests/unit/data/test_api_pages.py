"""Lists that come in pages, each the way that its server has, and servers that go in circles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

import penstock as ps
from penstock import data
from penstock.testing import servers
from penstock.testing.servers import Request, Sent, Turned
from tests.unit.data.calling import running

ROWS = list(range(1, 8))
SIZE = 3
KEY = "quite-secret-4711"


@dataclass(frozen=True)
class Way:
    """How the pages of `/rows` are read."""

    by: str
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    def pages(self, api: data.Api) -> AsyncIterator[httpx2.Response]:
        pages: AsyncIterator[httpx2.Response] = getattr(api, f"pages_by_{self.by}")("/rows", **self.options)
        return pages


def rows_at(at: int) -> list[int]:
    return ROWS[at : at + SIZE]


def linked(request: Request) -> Sent:
    at = int(request.query.get("after", "0"))
    more = f'<{request.path}?after={at + SIZE}&day=2024>; rel="next", </>; rel="first"' if at + SIZE < len(ROWS) else ""
    return Sent(body=rows_at(at), headers=(("Link", more),) if more else ())


def by_url(request: Request) -> Sent:
    at = int(request.query.get("after", "0"))
    more = f"?after={at + SIZE}" if at + SIZE < len(ROWS) else None
    return Sent(body={"rows": rows_at(at), "paging": {"next": more}})


def by_cursor(request: Request) -> Sent:
    at = int(request.query.get("pageToken", "c0")[1:])
    more = {"nextPageToken": f"c{at + SIZE}"} if at + SIZE < len(ROWS) else {}
    return Sent(body={"rows": rows_at(at), **more})


def by_number(request: Request) -> Sent:
    page = int(request.query["page"])
    return Sent(body={"rows": rows_at((page - 1) * SIZE), "meta": {"pages": 3}})


def by_offset(request: Request) -> Sent:
    return Sent(body={"rows": rows_at(int(request.query["offset"])), "meta": {"total": len(ROWS)}})


@pytest.mark.parametrize(
    ("answer", "way", "asked"),
    [
        (linked, Way("link", {"params": {"day": "2024"}}), 3),
        (by_url, Way("url", {"field": "paging.next"}), 3),
        (by_cursor, Way("cursor", {"params": {"day": "2024"}}), 3),
        (by_number, Way("number", {"items": "rows"}), 4),
        (by_number, Way("number", {"items": "rows", "total": "meta.pages"}), 3),
        (by_offset, Way("offset", {"items": "rows"}), 4),
        (by_offset, Way("offset", {"items": "rows", "total": "meta.total"}), 3),
    ],
    ids=["link", "url", "cursor", "number", "number of pages", "offset", "total"],
)
async def test_every_row_comes_once(answer: Callable[[Request], Sent], way: Way, asked: int) -> None:
    with servers.http(answer) as server, running() as step:
        async with data.Api(server.url, params={"api_token": KEY}, quotas=[ps.Quota("calls", 9)]) as api:
            bodies: list[Any] = [page.json() async for page in way.pages(api)]
        rows: list[int] = []
        for body in bodies:
            rows += body if isinstance(body, list) else body["rows"]
        assert rows == ROWS
        assert len(server.requests) == asked
        assert step.spent == {"calls": asked}
        assert {request.query["api_token"] for request in server.requests} == {KEY}
        days = {request.query.get("day") for request in server.requests}
        assert len(days) == 1  # the parameters of the first page are those of all
        assert KEY not in str(step.log.lines)


@pytest.mark.parametrize(
    ("body", "headers", "way"),
    [
        ([1], (("Link", '</rows?after=3>; rel="next"'),), Way("link")),
        ({"next": "/rows?after=3"}, (), Way("url")),
        ({"nextPageToken": "c3"}, (), Way("cursor")),
        ([1], (), Way("number", {"items": ""})),
        ([1], (), Way("offset", {"items": ""})),
    ],
    ids=["link", "url", "cursor", "number", "offset"],
)
async def test_a_server_that_goes_in_circles(body: Any, headers: Any, way: Way) -> None:
    with servers.http(Sent(body=body, headers=headers)) as server:
        async with data.Api(server.url) as api:
            with pytest.raises(ps.InvalidData, match=r"/rows (goes in circles|gives the same page for .*=[12] as)"):
                [page async for page in way.pages(api)]
        assert len(server.requests) == 2


async def test_a_long_circle_is_found() -> None:
    def answer(request: Request) -> Sent:
        at = int(request.query.get("pageToken", "0"))
        return Sent(body={"rows": [at], "nextPageToken": str((at + 1) % 5)})

    with servers.http(answer) as server:
        async with data.Api(server.url) as api:
            with pytest.raises(ps.InvalidData, match="goes in circles"):
                [page async for page in api.pages_by_cursor("/rows")]
        assert len(server.requests) <= 7


@pytest.mark.parametrize(
    ("body", "way", "message"),
    [
        ({"rows": {}}, Way("number", {"items": "rows"}), "rows is dict, not a list of items"),
        ({"rows": []}, Way("number", {"items": ""}), "the body is dict, not a list of items"),
        ({}, Way("offset", {"items": "a.b"}), "a.b is NoneType, not a list"),
        ({"next": 7}, Way("url"), "next is 7, which is no URL"),
        ({"nextPageToken": {}}, Way("cursor"), None),
        ({"nextPageToken": {"a": 1}}, Way("cursor"), "is dict, which is no cursor"),
        ("no json", Way("cursor"), "gave no JSON"),
    ],
)
async def test_a_page_of_another_form_names_the_field(body: Any, way: Way, message: str | None) -> None:
    with servers.http(Sent(body=body)) as server:
        async with data.Api(server.url) as api:
            with pytest.raises(ps.InvalidData, match=message or "is dict, which is no cursor"):
                [page async for page in way.pages(api)]


async def test_the_next_page_is_not_fetched_from_another_host() -> None:
    elsewhere = Sent(body={"next": "https://evil.example/rows?after=3"})
    with servers.http(elsewhere) as server:
        async with data.Api(server.url, params={"api_token": KEY}) as api:
            with pytest.raises(ps.InvalidData, match=r"evil\.example/rows, which is not the API's own host"):
                [page async for page in api.pages_by_url("/rows")]


async def test_a_failure_between_pages_is_its_own() -> None:
    with servers.http(by_cursor) as server:
        server.then(Sent(body={"rows": [1], "nextPageToken": "c3"}), Turned(status=429, retry_after=9))
        async with data.Api(server.url) as api:
            seen: list[Any] = []
            pages = api.pages_by_cursor("/rows")
            seen += (await anext(pages)).json()["rows"]
            with pytest.raises(ps.RateLimited):
                await anext(pages)
            assert seen == [1]


async def test_a_minutes_limit_is_kept_between_pages_by_the_patient() -> None:
    def answer(request: Request) -> Sent:
        sent = by_cursor(request)
        return Sent(body=sent.body, headers=(("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "0.1")))

    with servers.http(answer) as server:
        async with data.Api(server.url, patience=2) as api:
            rows = [row async for page in api.pages_by_cursor("/rows") for row in page.json()["rows"]]
    assert rows == ROWS
