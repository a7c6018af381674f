"""What a call costs, what is written down of it, and that its credentials come out nowhere."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Generator
from typing import Any, NamedTuple

import httpx2
import pytest
from pydantic import SecretStr

import penstock as ps
from penstock import data
from penstock.testing import Simulation, database, servers
from penstock.testing.servers import Cut, Sent, Turned
from tests.unit.data.calling import running

KEY = "quite-secret-4711"
EODHD = ps.Quota("eodhd", 100_000, costs={"fundamentals": 10, "prices": 1})
NEW = ps.Quota("new_assets", 8_000, costs={"fundamentals": 1})
OPERATIONS: dict[str, str | int] = {
    "/fundamentals/*": "fundamentals",
    "/eod/*": "prices",
    "POST /bulk": 50,
    "/free": 0,
}


async def test_a_request_costs_what_its_path_is_priced_at() -> None:
    with servers.http() as server, running() as step:
        async with data.Api(f"{server.url}/api/v1/", quotas=[EODHD, NEW], operations=OPERATIONS) as api:
            await api.get("/fundamentals/AAPL.US")
            await api.get("eod/AAPL.US", params={"from": "2024-12-20"})
            await api.post("/bulk")
            await api.get("/free")
            assert step.spent == {"eodhd": 61, "new_assets": 51}
            with pytest.raises(ps.DefinitionError, match="operations has no pattern for GET /bulk; add one, with 0"):
                await api.get("/bulk")
        assert [request.path for request in server.requests] == [
            "/api/v1/fundamentals/AAPL.US",
            "/api/v1/eod/AAPL.US",
            "/api/v1/bulk",
            "/api/v1/free",
        ]


async def test_without_operations_each_request_costs_one_redirected_ones_too() -> None:
    def answer(request: servers.Request) -> Sent:
        return Sent() if request.path == "/b" else Sent(status=307, headers=(("Location", "/b"),))

    with servers.http(answer) as server, running() as step:
        async with data.Api(server.url, quotas=[ps.Quota("calls", 9)], follow_redirects=True) as api:
            await api.get("/a")
        assert step.spent == {"calls": 2}
        assert len(server.requests) == 2


async def test_what_was_answered_is_paid_whatever_the_answer() -> None:
    with servers.http(script=[Turned(status=500), Cut(at="headers")]) as server, running() as step:
        async with data.Api(server.url, quotas=[ps.Quota("calls", 9)]) as api:
            for _ in range(2):
                with pytest.raises(ps.NetworkError):
                    await api.get("/a")
        assert step.spent == {"calls": 2}


async def test_a_spent_quota_sends_nothing() -> None:
    with servers.http() as server, running(left={"calls": 0}):
        async with data.Api(server.url, quotas=[ps.Quota("calls", 9)]) as api:
            with pytest.raises(ps.QuotaSpent):
                await api.get("/a")
        assert server.requests == []


async def test_a_quota_needs_a_run_that_pays() -> None:
    with servers.http() as server:
        async with data.Api(server.url, quotas=[ps.Quota("calls", 9)]) as api:
            with pytest.raises(ps.DefinitionError, match="outside of a running step"):
                await api.get("/a")
        assert server.requests == []


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ({"/eod/*": "price"}, r"operations\['/eod/\*'\]: .*no operation 'price'; there are .*prices"),
        ({"eod/*": "prices"}, "pattern 'eod/.*'; write a path such as"),
        ({"get /eod/*": "prices"}, "pattern 'get /eod"),
        ({"/eod/*": -1}, "is no amount"),
    ],
)
def test_a_wrong_operation_is_found_when_the_api_is_made(operations: Any, message: str) -> None:
    with pytest.raises(ps.DefinitionError, match=message):
        data.Api("https://api.example", quotas=[EODHD, NEW], operations=operations)


@pytest.mark.parametrize("url", ["", "api.example", "ftp://api.example", "https://", "/v1", "http://[::1"])
def test_a_wrong_base_url_names_itself(url: str) -> None:
    with pytest.raises(ps.SettingError, match="base_url"):
        data.Api(url)


async def test_each_call_is_written_down() -> None:
    with servers.http(
        Sent(body="x" * 5000), script=[Sent(body="abc"), Turned(status=404), Turned(status=500)]
    ) as server:
        with running() as step:
            async with data.Api(server.url, params={"api_token": KEY}, returned=(404,)) as api:
                await api.get("/eod/AAPL.US", params={"from": "2024"})
                await api.post("/eod/none")
                with pytest.raises(ps.NetworkError):
                    await api.get("/eod/broken")
                async with api.stream("GET", "/eod/large") as answer:
                    assert [line.message for line in step.log.lines][-1].endswith("/eod/broken 500")
                    await answer.aread()
        host = server.url.removeprefix("http://")
        assert [(line.level, line.message) for line in step.log.lines] == [
            ("info", f"GET {host}/eod/AAPL.US 200"),
            ("warning", f"POST {host}/eod/none 404"),
            ("warning", f"GET {host}/eod/broken 500"),
            ("info", f"GET {host}/eod/large 200"),
        ]
        assert [line.fields["bytes"] for line in step.log.lines][::3] == [3, 5000]
        assert [line.fields["status"] for line in step.log.lines] == [200, 404, 500, 200]
        assert all(0 <= line.fields["ms"] < 10_000 for line in step.log.lines)
        assert KEY not in str(step.log.lines)


@pytest.mark.parametrize(
    "options",
    [
        {"params": {"api_token": KEY}},
        {"headers": {"Authorization": f"Bearer {KEY}"}},
        {"headers": {"X-Api-Key": KEY}},
        {"auth": ("user", KEY)},
    ],
    ids=["query", "bearer", "header", "basic"],
)
async def test_a_secret_that_the_server_repeats_is_masked(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def answer(request: servers.Request) -> Turned:
        said = f"{request.query} {request.headers.get('authorization')} {request.headers.get('x-api-key')}"
        return Turned(status=403, message=f"wrong key {KEY}: {said}")

    with servers.http(answer) as server, running() as step:
        async with data.Api(server.url, **options) as api:
            with pytest.raises(ps.AuthFailed, match=r"wrong key \*\*\*") as caught:
                await api.get("/x", params={"q": "1"})
            assert KEY not in repr(api)
        assert KEY not in f"{caught.value!r} {step.log.lines}"
        assert KEY not in caplog.text
        assert server.requests[0].headers.get("authorization", "")[:5] != f"Basic {KEY}"


async def test_httpx_logs_no_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with servers.http() as server:
        async with data.Api(server.url, params={"u": "someone@example.org"}) as api:
            await api.get("/x")
    assert f"{server.url}/x" in caplog.text
    assert "someone" not in caplog.text


async def test_credentials_go_to_the_apis_own_host_alone() -> None:
    with servers.http(Sent(body="file")) as store:
        away = store.url.replace("127.0.0.1", "localhost") + "/file.csv?Signature=a%2Fb"

        def answer(request: servers.Request) -> Sent:
            return (
                Sent(status=302, headers=(("Location", away),)) if request.path == "/redirected" else Sent(body="home")
            )

        with servers.http(answer) as server, running() as step:
            options: dict[str, Any] = {
                "params": {"api_token": KEY},
                "headers": {"X-Api-Key": KEY, "Authorization": f"Bearer {KEY}"},
                "cookies": {"session": KEY},
            }
            api = data.Api(server.url, quotas=[ps.Quota("calls", 9)], follow_redirects=True, **options)
            async with api:
                assert b"".join([piece async for piece in api.download(away)]) == b"file"
                assert (await api.get("/redirected")).text == "file"
                assert (await api.get(f"{server.url}/home?a=1&a=2&b=3")).text == "home"
            assert step.spent == {"calls": 2}  # those of the API, not of the store
        for request in store.requests:
            assert KEY not in f"{request}"
            assert request.query == {"Signature": "a/b"}
        assert [request.query["api_token"] for request in server.requests] == [KEY, KEY]
        assert server.requests[1].query == {"a": "2", "b": "3", "api_token": KEY}
        assert server.requests[1].headers["x-api-key"] == KEY


async def test_basic_auth_does_not_go_to_another_host() -> None:
    with servers.http() as server, servers.http() as store:
        async with data.Api(server.url, auth=("user", KEY)) as api:
            await api.get(f"{store.url}/file")
            await api.get("/x")
        assert "authorization" not in store.requests[0].headers
        assert server.requests[0].headers["authorization"].startswith("Basic ")


class Login(httpx2.Auth):
    """Changes a password for a token when it is asked to."""

    requires_response_body = True

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response]:
        answer = yield request
        if answer.status_code == 401:
            answer = yield httpx2.Request("POST", request.url.join("/login"), data={"password": KEY})
            request.headers["Authorization"] = f"Bearer {answer.json()['token']}"
            yield request


async def test_a_login_on_demand_is_part_of_the_call_and_paid() -> None:
    token = "another-secret-4711"

    def answer(request: servers.Request) -> Sent:
        if request.path == "/login":
            return Sent(body={"token": token}, status=200 if request.form["password"] == KEY else 400)
        good = request.headers.get("authorization") == f"Bearer {token}"
        return Sent(body="rows") if good else Sent(status=401, body=f"not {request.headers.get('authorization')}")

    with servers.http(answer) as server, running() as step:
        async with data.Api(server.url, auth=Login(), quotas=[ps.Quota("calls", 9)]) as api:
            assert (await api.get("/x")).text == "rows"
            token = "changed-secret-4711"
            assert (await api.get("/x")).text == "rows"
        assert step.spent == {"calls": 6}
        assert "4711" not in str(step.log.lines)


async def test_it_opens_again_after_it_was_closed() -> None:
    with servers.http(Sent(body="ok")) as server:
        api = data.Api(server.url)
        for _ in range(2):
            async with api:
                assert (await api.get("/x")).text == "ok"


class Eodhd(data.Api):
    """A client as a system writes it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings.url,
            quotas=[EODHD],
            operations={"/eod/*": "prices"},
            params={"api_token": settings.key.get_secret_value(), "fmt": "json"},
        )


class Settings(NamedTuple):
    url: str
    key: SecretStr = SecretStr(KEY)


class Asset(NamedTuple):
    ticker: str


def priced() -> ps.Pipeline[Asset]:
    prices = ps.Pipeline("prices", Asset, cost={EODHD: 1})

    @prices.step
    async def fetch(asset: Asset, api: Eodhd) -> int:
        answer = await api.get(f"/eod/{asset.ticker}")
        if answer.status_code == 404:
            raise ps.NoData(f"{asset.ticker} is not known there")
        return len(answer.json())

    return prices


def answering(request: servers.Request) -> Sent:
    known = request.path == "/eod/AAPL"
    return Sent(body=[{"close": 1}, {"close": 2}]) if known else Sent(status=404, body={"error": "no"})


def test_a_run_pays_logs_and_waits_as_the_server_says(database_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TEST_DATABASE_URL", database_server)
    prices = priced()
    with servers.http(answering, script=[Turned(status=429, retry_after=0.2)]) as server:
        app = ps.App("screener", [prices], resources=[Eodhd(Settings(server.url))])
        with database(app) as db:
            for _ in range(2):  # the second opens the resource anew
                summary = app.run(prices, units=[Asset("AAPL"), Asset("NONE")], force=True)
                assert summary.counts["completed"] == 1
            (spent,) = db.rows("select used from penstock.v1_quotas where name = 'eodhd'")
            assert spent["used"] == len(server.requests) == 5
            logs = db.rows(
                "select message, fields, attempt from penstock.v1_logs where message like 'GET %' order by at"
            )
    assert len(logs) == 5
    assert sorted(row["attempt"] for row in logs) == [1, 1, 1, 1, 2]  # the one that was refused, and its next
    assert {"status", "ms", "bytes"} <= set(logs[0]["fields"])
    host = server.url.removeprefix("http://")
    assert sorted(row["message"] for row in logs) == sorted(
        [f"GET {host}/eod/AAPL 200"] * 2
        + [f"GET {host}/eod/NONE 404"] * 2
        + [f"GET {host}{server.requests[0].path} 429"]
    )
    assert KEY not in str(logs)
    assert {request.query["api_token"] for request in server.requests} == {KEY}


def test_in_a_simulation_the_wait_is_virtual() -> None:
    replies = iter([httpx2.Response(429, headers={"Retry-After": "3600"}), httpx2.Response(200, json=[1, 2])])
    api = data.Api("https://api.example", transport=httpx2.MockTransport(lambda _: next(replies)))
    prices = ps.Pipeline("prices", Asset)

    @prices.step
    async def fetch(asset: Asset, api: data.Api) -> int:
        return len(await api.json(f"/eod/{asset.ticker}"))

    sim = Simulation(prices, wanted=[Asset("AAPL")], resources={data.Api: api})
    assert sim.run().ok
    (wait,) = sim.waits
    assert 3600 <= wait <= 3960  # with its jitter


def test_a_missing_package_says_which_to_install() -> None:
    code = "import sys; sys.modules['httpx2'] = None; from penstock import data; data.Api"
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "SettingError: penstock.data.Api needs the package httpx2: pip install 'penstock[data]'." in ran.stderr


async def test_options_of_httpx_reach_it() -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"agent": request.headers["user-agent"]})

    async with data.Api(
        "https://api.example", transport=httpx2.MockTransport(handle), headers={"User-Agent": "screener"}, timeout=3
    ) as api:
        assert await api.json("/x") == {"agent": "screener"}
        assert api.timeout == httpx2.Timeout(3)
    with pytest.raises(TypeError, match="retries"):
        data.Api("https://api.example", retries=3)
