"""The client of the DSP's reporting API over a real socket: what it does, and every way in which it fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from datetime import date
from typing import Any, NamedTuple

import pytest

import penstock as ps
from medallion.dsp import Dsp, ReportFailed, table
from penstock.testing import database, servers
from penstock.testing.servers import Cut, Dv360Server, Garbled, Silent, Turned

DAY = date(2024, 12, 20)
ROWS: list[dict[str, Any]] = [
    {"FILTER_LINE_ITEM": "77", "FILTER_LINE_ITEM_NAME": 'Video "A", 1', "METRIC_IMPRESSIONS": 1000, "METRIC_CLICKS": 9},
    {
        "FILTER_LINE_ITEM": "78",
        "FILTER_LINE_ITEM_NAME": "two\nlines",
        "METRIC_IMPRESSIONS": 500,
        "METRIC_CLICKS": "n/a",
    },
    {"FILTER_DATE": "", "FILTER_LINE_ITEM": "79", "METRIC_IMPRESSIONS": 1, "METRIC_CLICKS": 0},
]
GIVEN: Mapping[str, str] = {
    "client_id": "client.apps.example",
    "client_secret": "client-secret-4711",
    "refresh_token": "1//refresh-token-4711",
}


def dsp(server: Dv360Server, **options: Any) -> Dsp:
    quick: dict[str, Any] = {"first": 0.01, "longest": 0.05, "patience": 10, "timeout": 5}
    return Dsp(server.url, token_url=server.token_url, **(quick | options))


async def fetch(server: Dv360Server, credentials: Mapping[str, str] = GIVEN, **options: Any) -> str:
    async with dsp(server, **options) as client:
        pieces = [piece async for piece in client.report(credentials=credentials, advertiser="17", day=DAY)]
    return b"".join(pieces).decode()


def rows(text: str) -> list[str]:
    return list(table(text.splitlines(keepends=True)))


def paths(server: Dv360Server) -> list[str]:
    return [f"{request.method} {request.path}" for request in server.requests]


async def test_a_report_is_made_polled_fetched_and_taken_away() -> None:
    with servers.dv360(polls=3) as server:
        server.put("17", DAY, ROWS)
        text = await fetch(server)
        assert len(rows(text)) == 4
        assert "Report Time:" in text
        assert server.queries == []
        assert [path.split("/")[-1].split(":")[-1] for path in paths(server)][:3] == ["token", "queries", "run"]
        assert sum("/reports/" in path for path in paths(server)) == 3
        (created,) = [request.json() for request in server.requests if request.path == "/v2/queries"]
        assert created["metadata"]["dataRange"]["customStartDate"] == {"year": 2024, "month": 12, "day": 20}
        assert created["params"]["filters"] == [{"type": "FILTER_ADVERTISER", "value": "17"}]
        (file,) = [request for request in server.requests if request.path.startswith("/files/")]
        assert "authorization" not in file.headers


async def test_a_restated_day_has_other_rows() -> None:
    with servers.dv360() as server:
        server.put("17", DAY, ROWS)
        first = await fetch(server)
        server.put("17", DAY, [ROWS[0] | {"METRIC_CLICKS": 11}])
        second = await fetch(server)
        assert ",1000,9," in first
        assert ",1000,11," in second
        assert len(rows(second)) == 2


async def test_another_query_is_asked_for_as_it_was_given() -> None:
    with servers.dv360() as server:
        server.put("17", DAY, ROWS)
        async with dsp(server) as client:
            query = {"groupBys": ["FILTER_DATE", "FILTER_LINE_ITEM"], "metrics": ["METRIC_CLICKS"]}
            pieces = [p async for p in client.report(credentials=GIVEN, advertiser="17", day=DAY, query=query)]
            assert rows(b"".join(pieces).decode())[:2] == ["Date,Line Item ID,Clicks\n", "2024/12/20,77,9\n"]
            with pytest.raises(ps.InvalidData, match="'groupBy'; it may have type, groupBys"):
                await anext(client.report(credentials=GIVEN, advertiser="17", day=DAY, query={"groupBy": []}))
            with pytest.raises(ps.InvalidData, match="400: Invalid value: FILTER_MOOD"):
                await anext(
                    client.report(credentials=GIVEN, advertiser="17", day=DAY, query={"groupBys": ["FILTER_MOOD"]})
                )


async def test_one_access_token_serves_many_reports_and_is_renewed_once_revoked() -> None:
    with servers.dv360(polls=1) as server:
        async with dsp(server) as client:
            await client.verify(GIVEN)
            await asyncio.gather(*(client.verify(GIVEN) for _ in range(5)))
            assert paths(server).count("POST /token") == 1
            server.revoke()
            await client.verify(GIVEN)
            assert paths(server).count("POST /token") == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"refresh_token": "another-token-4711"}, "no access token: Token has been expired or revoked"),
        ({"client_secret": "another-secret-4711"}, "no access token: The OAuth client was not found"),
        ({"client_id": ""}, "credentials have no client_id"),
        ({"access_token": "ya29.stale-token-4711"}, "answered 401: Request had invalid authentication"),
    ],
)
async def test_wrong_credentials_say_so_without_showing_them(changed: dict[str, str], message: str) -> None:
    with servers.dv360() as server:
        async with dsp(server) as client:
            with pytest.raises(ps.AuthFailed, match=message) as caught:
                await client.verify({**GIVEN, **changed})
        assert "4711" not in str(caught.value)
        with pytest.raises(ps.AuthFailed):
            await fetch(server, {**GIVEN, **changed})


async def test_an_advertiser_of_somebody_else_is_refused() -> None:
    with servers.dv360() as server:
        server.allow("18")
        with pytest.raises(ps.AuthFailed, match="no access to advertiser 17"):
            await fetch(server)


@pytest.mark.parametrize("path", ["POST /token", "POST /v2/queries", "*:run", "/files/*"])
async def test_too_many_requests_say_when_to_come_back(path: str) -> None:
    with servers.dv360() as server:
        server.then(Turned(status=429, retry_after=30), path=path)
        with pytest.raises(ps.RateLimited) as caught:
            await fetch(server)
        assert caught.value.retry_after == 30


@pytest.mark.parametrize("path", ["POST /token", "POST /v2/queries", "*:run", "/files/*"])
@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_that_is_down_is_of_the_network(path: str, status: int) -> None:
    with servers.dv360() as server:
        server.fail(Turned(status=status), path=path)
        with pytest.raises(ps.NetworkError, match=str(status)):
            await fetch(server)
        server.fail(None, path=path)
        assert "Report Time:" in await fetch(server)


@pytest.mark.parametrize("fault", [Turned(status=503), Turned(status=429, retry_after=0.05), Cut(at="headers")])
async def test_a_poll_that_fails_for_a_moment_does_not_cost_the_report(fault: Turned | Cut) -> None:
    with servers.dv360() as server:
        server.put("17", DAY, ROWS)
        server.then(fault, fault, path="GET */reports/*")
        assert len(rows(await fetch(server))) == 4
        assert sum(path.endswith(":run") for path in paths(server)) == 1


async def test_polls_that_go_on_failing_end_it() -> None:
    with servers.dv360() as server:
        server.fail(Turned(status=503), path="GET */reports/*")
        with pytest.raises(ps.NetworkError, match="503"):
            await fetch(server)
        assert sum("/reports/" in path for path in paths(server)) == 5


async def test_a_pause_longer_than_its_patience_is_left_to_the_run() -> None:
    with servers.dv360() as server:
        server.then(Turned(status=429, retry_after=600), path="GET */reports/*")
        with pytest.raises(ps.RateLimited):
            await fetch(server)


async def test_a_report_that_the_dsp_gives_up_on() -> None:
    with servers.dv360() as server:
        server.failing = 1
        with pytest.raises(ReportFailed, match=r"gave up on report \d+ \(state FAILED\)"):
            await fetch(server)
        assert server.queries == []
        assert "Report Time:" in await fetch(server)


async def test_a_report_that_is_never_done() -> None:
    with servers.dv360(polls=10_000) as server:
        with pytest.raises(TimeoutError, match=r"did not finish report \d+ in 0.3 s"):
            await fetch(server, patience=0.3)
        assert server.queries == []


async def test_polls_come_at_growing_distances() -> None:
    with servers.dv360(polls=10_000) as server:
        with pytest.raises(TimeoutError):
            await fetch(server, first=0.05, longest=10, patience=1)
        polls = sum("/reports/" in path for path in paths(server))
        assert 3 <= polls <= 5  # at 0, 0.05, 0.15, 0.35 and 0.75 s at the earliest; 20 if they did not grow


async def test_a_silent_dsp_is_a_timeout() -> None:
    with servers.dv360() as server:
        server.then(Silent(), path="*:run")
        with pytest.raises(TimeoutError):
            await fetch(server, timeout=0.3)


async def test_a_download_that_is_cut_is_no_report() -> None:
    with servers.dv360() as server:
        server.put("17", DAY, ROWS * 5000)
        server.then(Cut(at="body", after=100_000), path="/files/*")
        with pytest.raises(ps.NetworkError):
            await fetch(server)
        assert len(rows(await fetch(server))) == 15_001


async def test_a_report_above_the_limit() -> None:
    with servers.dv360() as server:
        server.put("17", DAY, ROWS * 5000)
        with pytest.raises(ps.InvalidData, match="limit=1,000"):
            await fetch(server, largest=1000)


async def test_answers_of_another_form() -> None:
    with servers.dv360() as server:
        server.then(Garbled(body="<html>maintenance</html>"), path="POST /v2/queries")
        with pytest.raises(ps.InvalidData, match="/v2/queries gave no JSON"):
            await fetch(server)
        server.then(Garbled(body="{}"), path="POST /v2/queries")
        with pytest.raises(ps.InvalidData, match="has no queryId"):
            await fetch(server)
        server.then(Garbled(body='{"metadata": {"status": {"state": "DONE"}}}'), path="GET */reports/*")
        with pytest.raises(ps.InvalidData, match=r"has no metadata\.googleCloudStoragePath"):
            await fetch(server)


async def test_a_query_that_cannot_be_taken_away_is_told_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with servers.dv360() as server:
        server.put("17", DAY, ROWS)
        server.then(Turned(status=500), path="DELETE *")
        assert len(rows(await fetch(server))) == 4
        (query,) = server.queries
        assert f"query {query} is left at the DSP" in caplog.text


async def test_whoever_leaves_early_takes_the_query_away() -> None:
    with servers.dv360() as server:
        server.put("17", DAY, ROWS)
        async with dsp(server) as client:
            async with aclosing(client.report(credentials=GIVEN, advertiser="17", day=DAY)) as pieces:
                await anext(pieces)
            assert server.queries == []


async def test_the_credentials_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with servers.dv360() as server:
        await fetch(server)
        token = next(r.headers["authorization"] for r in server.requests if "authorization" in r.headers)
    assert token.removeprefix("Bearer ") not in caplog.text
    assert "4711" not in caplog.text
    assert "Signature" not in caplog.text


def test_an_empty_report_has_a_header_and_no_row() -> None:
    text = "Date,Clicks\nNo data returned by the reporting service.\n\nReport Time:,2024/12/21 06:00 GMT\n"
    assert rows(text) == ["Date,Clicks\n"]


def test_totals_and_notes_are_no_rows_and_wrong_rows_are() -> None:
    kept = ["Date,Id,Name,Clicks\n", ",,,7\n", '2024/12/20,1,"a\n\nb",2\n', ",9,,2\n"]
    below = [",,,11\n", "\n", "Report Time:,x\n", "Filter by Advertiser ID:,1\n"]
    assert rows("".join([*kept, *below])) == kept


@pytest.mark.parametrize("text", ["", "Date,Clicks\n2024/12/20,1\n", "Date,Clicks\n2024/12/20,1", '"a\n\nReport Time:'])
def test_a_report_that_ends_too_soon_is_no_report(text: str) -> None:
    with pytest.raises(ps.InvalidData, match="a part of it is missing"):
        rows(text)


class Ask(NamedTuple):
    advertiser: str


calls = ps.Quota("dsp_calls", 1000, costs={"query": 1, "run": 10, "read": 1})
reports = ps.Pipeline("reports", Ask, cost={calls: 14})


@reports.step
async def land(ask: Ask, client: Dsp) -> int:
    size = 0
    async for piece in client.report(credentials=GIVEN, advertiser=ask.advertiser, day=DAY):
        size += len(piece)
    return size


def test_a_run_pays_for_its_calls_and_waits_as_it_is_told(
    database_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_TEST_DATABASE_URL", database_server)
    with servers.dv360(polls=2) as server:
        server.put("17", DAY, ROWS)
        server.then(Turned(status=429, retry_after=0.2), path="POST /v2/queries")
        server.then(Cut(at="body", after=10), path="/files/*")
        app = ps.App("dsp", [reports], resources=[dsp(server, quotas=[calls])])
        with database(app) as db:
            summary = app.run(reports, units=[Ask("17")])
            assert summary.ok, summary
            (spent,) = db.rows("select used from penstock.v1_quotas where name = 'dsp_calls'")
            logs = db.rows("select message from penstock.v1_logs")
        asked = paths(server)
        runs = sum(path.endswith(":run") for path in asked)
        assert runs == 2
        assert spent["used"] == len(asked) - asked.count("POST /token") + 9 * runs
        assert len([row for row in logs if row["message"].startswith(("GET ", "POST ", "DELETE "))]) == len(asked)
        assert "4711" not in str(logs)
