"""The servers of the world outside: what they answer, what they keep, and that they fail as they are told."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import date
from typing import Any

import httpx2
import pytest

from penstock.testing import servers
from penstock.testing.servers import Cut, Drip, Garbled, Request, Sent, Silent, Turned

DAY = date(2024, 12, 20)
QUERY: dict[str, Any] = {
    "metadata": {
        "title": "daily",
        "dataRange": {
            "range": "CUSTOM_DATES",
            "customStartDate": {"year": 2024, "month": 12, "day": 20},
            "customEndDate": {"year": 2024, "month": 12, "day": 20},
        },
        "format": "CSV",
    },
    "params": {
        "type": "STANDARD",
        "groupBys": ["FILTER_DATE", "FILTER_ADVERTISER", "FILTER_LINE_ITEM"],
        "metrics": ["METRIC_IMPRESSIONS", "METRIC_REVENUE_ADVERTISER"],
        "filters": [{"type": "FILTER_ADVERTISER", "value": "17"}],
    },
}


def test_a_request_is_kept_as_it_arrived() -> None:
    with servers.http(lambda request: Sent(body={"said": request.json()})) as server:
        answer = httpx2.post(f"{server.url}/a%20b?x=1&y=", json=[1], headers={"X-Mark": "m"})
        assert answer.json() == {"said": [1]}
        assert answer.headers["content-type"] == "application/json"
        (request,) = server.requests
        assert (request.method, request.path, request.query) == ("POST", "/a b", {"x": "1", "y": ""})
        assert request.headers["x-mark"] == "m"
        server.wait(1)
        with pytest.raises(TimeoutError, match="1 of 2 requests"):
            server.wait(2, timeout=0.01)


@pytest.mark.parametrize(
    ("sent", "kind", "body"),
    [
        (Sent(body=b"\x00"), "application/octet-stream", b"\x00"),
        (Sent(body="é"), "text/plain; charset=utf-8", "é".encode()),
        (Sent(body={"a": 1}), "application/json", b'{"a": 1}'),
        (Sent(body="a,b", headers=(("content-type", "text/csv"),), chunked=True), "text/csv", b"a,b"),
    ],
)
def test_an_answer_is_what_it_says(sent: Sent, kind: str, body: bytes) -> None:
    with servers.http(sent) as server:
        answer = httpx2.get(server.url)
    assert (answer.headers["content-type"], answer.content) == (kind, body)
    assert answer.headers.get("transfer-encoding") == ("chunked" if sent.chunked else None)


def test_faults_go_to_whom_they_are_meant_for() -> None:
    with servers.http(Sent(body="ok")) as server:
        server.then(Turned(status=503), Sent(status=418), path="GET /a*")
        server.fail(Turned(status=500), path="/down")
        statuses = [
            httpx2.request(method, f"{server.url}{path}").status_code
            for method, path in [("GET", "/b"), ("POST", "/a"), ("GET", "/a"), ("GET", "/ab"), ("GET", "/a")]
        ]
        assert statuses == [200, 200, 503, 418, 200]
        assert [httpx2.get(f"{server.url}/down").status_code for _ in range(3)] == [500] * 3
        server.fail(None, path="/down")
        assert httpx2.get(f"{server.url}/down").text == "ok"


def test_what_can_go_wrong_goes_wrong() -> None:
    with servers.http(Sent(body="x" * 100)) as server:
        server.then(Cut(at="headers"), Cut(at="body", after=10), Silent(), Garbled(body="{"), Drip(seconds=0.001))
        for error in (httpx2.RemoteProtocolError, httpx2.RemoteProtocolError, httpx2.ReadTimeout):
            with pytest.raises((error, httpx2.ReadError)):
                httpx2.get(server.url, timeout=0.3)
        assert httpx2.get(server.url).text == "{"
        assert httpx2.get(server.url).text == "x" * 100


def test_a_mistake_in_a_tests_function_does_not_pass_unseen() -> None:
    def wrong(_: Request) -> Sent:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), servers.http(wrong) as server, pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(server.url)


def test_a_webhook_keeps_what_it_accepted() -> None:
    with servers.webhook(script=[Turned(status=500), Sent(status=200)]) as hook:
        statuses = [httpx2.post(hook.url, json={"n": n}, headers={"X-Signature": "s"}).status_code for n in range(3)]
        assert statuses == [500, 200, 204]
        hook.wait_for_posts(2)
        assert [post.json() for post in hook.posts] == [{"n": 1}, {"n": 2}]
        assert hook.posts[0].headers["x-signature"] == "s"
        assert len(hook.requests) == 3
        assert httpx2.get(hook.url).status_code == 405
        with pytest.raises(TimeoutError, match="2 of 3 posts"):
            hook.wait_for_posts(3, timeout=0.01)


def test_a_webhook_that_accepts_and_is_cut_off_has_accepted() -> None:
    with servers.webhook(script=[Cut(at="headers"), Silent()]) as hook:
        with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
            httpx2.post(hook.url, json={})
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(hook.url, json={}, timeout=0.2)
        hook.wait_for_posts(2)


async def test_a_webhook_serves_many_at_once() -> None:
    with servers.webhook() as hook:
        async with httpx2.AsyncClient() as client:
            await asyncio.gather(*(client.post(hook.url, json=n) for n in range(50)))
        assert sorted(post.json() for post in hook.posts) == list(range(50))


def client(server: servers.Dv360Server) -> httpx2.Client:
    form = {"grant_type": "refresh_token", **server.credentials}
    told = httpx2.post(server.token_url, data=form).json()
    assert told["token_type"] == "Bearer"
    assert told["expires_in"] == 3599
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    return httpx2.Client(base_url=server.url, headers=headers)


def test_dv360_makes_a_report_of_the_real_ones_shape() -> None:
    rows: list[dict[str, Any]] = [
        {"FILTER_LINE_ITEM": "7", "METRIC_IMPRESSIONS": 10, "METRIC_REVENUE_ADVERTISER": "1.10"},
        {"FILTER_LINE_ITEM": "8", "METRIC_IMPRESSIONS": "n/a", "METRIC_REVENUE_ADVERTISER": "0.20"},
    ]
    with servers.dv360(polls=2) as server, client(server) as http:
        server.put("17", DAY, rows)
        query = http.post("/v2/queries", json=QUERY).json()
        assert query["params"] == QUERY["params"]
        path = f"/v2/queries/{query['queryId']}"
        assert http.get(path).json() == query
        run = http.post(f"{path}:run").json()
        assert run["metadata"]["status"] == {"state": "QUEUED", "format": "CSV"}
        assert run["metadata"]["reportDataStartDate"] == {"year": 2024, "month": 12, "day": 20}
        assert run["key"]["queryId"] == query["queryId"]
        report = f"{path}/reports/{run['key']['reportId']}"
        assert http.get(report).json()["metadata"]["status"]["state"] == "RUNNING"
        done = http.get(report).json()["metadata"]
        assert done["status"]["state"] == "DONE"
        assert done["status"]["finishTime"].endswith("Z")
        assert [each["key"] for each in http.get(f"{path}/reports").json()["reports"]] == [run["key"]]
        file = httpx2.get(done["googleCloudStoragePath"])
        assert file.headers["content-type"] == "text/csv"
        assert httpx2.get(done["googleCloudStoragePath"].partition("?")[0]).status_code == 403
        assert http.delete(path).json() == {}
        assert http.get(path).status_code == 404
    lines = list(csv.reader(io.StringIO(file.text)))
    assert lines[:4] == [
        ["Date", "Advertiser ID", "Line Item ID", "Impressions", "Revenue (Adv Currency)"],
        ["2024/12/20", "17", "7", "10", "1.10"],
        ["2024/12/20", "17", "8", "n/a", "0.20"],
        ["", "", "", "10", "1.30"],
    ]
    assert lines[4] == []
    assert [line[0] for line in lines[5:]][:3] == ["Report Time:", "Date Range:", "Group By:"]
    assert lines[-1] == ["Filter by Advertiser ID:", "17"]


def test_dv360_has_a_word_for_nothing() -> None:
    with servers.dv360(polls=1) as server, client(server) as http:
        path = f"/v2/queries/{http.post('/v2/queries', json=QUERY).json()['queryId']}"
        report = http.post(f"{path}:run").json()["key"]["reportId"]
        url = http.get(f"{path}/reports/{report}").json()["metadata"]["googleCloudStoragePath"]
        assert httpx2.get(url).text.splitlines()[1] == "No data returned by the reporting service."


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"refresh_token": "x"}, 400, "invalid_grant"),
        ({"client_secret": "x"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_dv360_gives_no_token_to_others(changed: dict[str, str], status: int, error: str) -> None:
    with servers.dv360() as server:
        form = {"grant_type": "refresh_token", **server.credentials, **changed}
        answer = httpx2.post(server.token_url, data=form)
        assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_dv360_refuses_as_googles_apis_do() -> None:
    with servers.dv360() as server, client(server) as http:
        none = httpx2.get(f"{server.url}/v2/queries")
        assert (none.status_code, none.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
        wrong = http.post("/v2/queries", json={"metadata": {}})
        assert (wrong.status_code, wrong.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert http.post("/v2/queries", content=b"{").status_code == 400
        assert http.get("/v2/queries/999").json()["error"]["status"] == "NOT_FOUND"
        server.allow("18")
        assert http.post("/v2/queries", json=QUERY).json()["error"]["status"] == "PERMISSION_DENIED"
        server.revoke()
        assert http.get("/v2/queries").status_code == 401


def test_dv360_lists_queries_in_pages() -> None:
    with servers.dv360() as server, client(server) as http:
        made = [http.post("/v2/queries", json=QUERY).json()["queryId"] for _ in range(3)]
        first = http.get("/v2/queries", params={"pageSize": 2}).json()
        second = http.get("/v2/queries", params={"pageSize": 2, "pageToken": first["nextPageToken"]}).json()
        assert [query["queryId"] for page in (first, second) for query in page["queries"]] == made == server.queries
        assert "nextPageToken" not in second
