"""What goes wrong between an API and its client, over a real socket, and what it is called."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest

import penstock as ps
from penstock import data
from penstock.engines.executor.classify import classify
from penstock.model.attempt import Instant
from penstock.model.states import ErrorClass
from penstock.testing import servers
from penstock.testing.servers import Cut, Drip, Sent, Silent, Turned, WebServer
from tests.unit.data.calling import running

WHERE = r"GET 127\.0\.0\.1:\d+/eod/AAPL"


async def fetch(server: WebServer, **options: Any) -> httpx2.Response:
    async with data.Api(server.url, **options) as api:
        return await api.get("/eod/AAPL", params={"api_token": "quite-secret-4711"})


async def failure(server: WebServer, **options: Any) -> tuple[Exception, ErrorClass]:
    with pytest.raises(ps.StepError) as caught:
        await fetch(server, **options)
    return caught.value, classify(caught.value, Instant(0.0), {}).error_class


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, ps.InvalidData, "data"),
        (401, ps.AuthFailed, "auth"),
        (402, ps.InvalidData, "data"),
        (403, ps.AuthFailed, "auth"),
        (405, ps.InvalidData, "data"),
        (408, TimeoutError, "timeout"),
        (409, ps.InvalidData, "data"),
        (410, ps.InvalidData, "data"),
        (422, ps.InvalidData, "data"),
        (425, ps.NetworkError, "network"),
        (500, ps.NetworkError, "network"),
        (502, ps.NetworkError, "network"),
        (503, ps.NetworkError, "network"),
        (504, ps.NetworkError, "network"),
        (520, ps.NetworkError, "network"),
    ],
)
async def test_a_status_has_a_class(status: int, error: type[Exception], kind: ErrorClass) -> None:
    with servers.http(Turned(status=status, message="not like that")) as server:
        raised, told = await failure(server)
        assert isinstance(raised, error)
        assert told == kind
        assert len(server.requests) == 1
        assert f"/eod/AAPL answered {status}: not like that" in str(raised)
        assert "4711" not in str(raised)


async def test_what_users_call_themselves_has_the_same_class() -> None:
    statuses = [400, 401, 403, 404, 408, 425, 429, 500, 502, 503, 504, 520]

    def answer(request: servers.Request) -> Turned:
        again = 0 if request.path.endswith("/later") else None
        return Turned(status=int(request.path.split("/")[1]), retry_after=again)

    with servers.http(answer) as server:
        for status in [*statuses, *(f"{status}/later" for status in statuses)]:
            async with httpx2.AsyncClient() as client, data.Api(server.url, returned=()) as api:
                refused = await client.get(f"{server.url}/{status}")
                with pytest.raises(httpx2.HTTPStatusError) as theirs:
                    refused.raise_for_status()
                with pytest.raises(ps.StepError) as ours:
                    await api.get(f"/{status}")
            classes = {classify(error.value, Instant(0.0), {}).error_class for error in (theirs, ours)}
            assert len(classes) == 1, status


async def test_a_404_is_for_the_caller_unless_told_otherwise() -> None:
    with servers.http(Turned(status=404)) as server:
        assert (await fetch(server)).status_code == 404
        with pytest.raises(ps.InvalidData, match="404"):
            await fetch(server, returned=())
        async with data.Api(server.url) as api:
            with pytest.raises(ps.InvalidData, match="404"):
                await api.json("/eod/AAPL")
            with pytest.raises(ps.InvalidData, match="404"):
                [piece async for piece in api.download("/eod/AAPL")]
            with pytest.raises(ps.InvalidData, match="404"):
                [page async for page in api.pages_by_link("/eod/AAPL")]
    with servers.http(Turned(status=409)) as server:
        assert (await fetch(server, returned=(404, 409))).status_code == 409


async def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with running() as step:
        async with data.Api(f"http://127.0.0.1:{port}", quotas=[ps.Quota("calls", 10)]) as api:
            with pytest.raises(ps.NetworkError, match=r"GET 127\.0\.0\.1:\d+/x: .*(attempts failed|refused)"):
                await api.get("/x")
        assert step.spent == {"calls": 0}


async def test_no_such_host() -> None:
    async with data.Api("http://nowhere.invalid") as api:
        with pytest.raises(ps.NetworkError, match=r"GET nowhere\.invalid/x: .+"):
            await api.get("/x")


@pytest.mark.parametrize("reply", [Cut(at="headers"), Cut(at="body", after=3)], ids=["headers", "body"])
async def test_a_connection_that_is_cut(reply: Cut) -> None:
    with servers.http(Sent(body="a,b\n1,2\n"), script=[reply]) as server, running() as step:
        async with data.Api(server.url, quotas=[ps.Quota("calls", 10)]) as api:
            with pytest.raises(ps.NetworkError, match=r"/x: .+"):
                await api.get("/x")
            assert (await api.get("/x")).text == "a,b\n1,2\n"
        assert step.spent == {"calls": 2}
        assert [line.level for line in step.log.lines] == ["warning", "info"]


async def test_a_chunked_body_that_is_cut_is_no_whole_one() -> None:
    with servers.http(Sent(body="a,b\n1,2\n", chunked=True), script=[Cut(at="body", after=3)]) as server:
        async with data.Api(server.url) as api:
            with pytest.raises(ps.NetworkError):
                await api.get("/x")


async def test_silence_is_a_timeout() -> None:
    with servers.http(script=[Silent()]) as server:
        raised, kind = await failure(server, timeout=0.2)
        assert kind == "timeout"
        assert isinstance(raised, TimeoutError)
        assert "did not answer in time" in str(raised)


async def test_a_body_that_drips_past_the_steps_time_is_cut_by_the_step() -> None:
    with servers.http(Sent(body="x" * 4096), script=[Drip(seconds=0.05)]) as server, running() as step:
        async with data.Api(server.url) as api:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await api.get("/x")
        (line,) = step.log.lines
        assert line.level == "warning"
        assert line.fields["bytes"] < 4096


async def test_a_redirect_is_not_taken_for_an_answer() -> None:
    def answer(request: servers.Request) -> Sent:
        if request.path == "/new":
            return Sent(body="here")
        return Sent(status=302, headers=(("Location", "/new?secret=quite-secret-4711"),))

    with servers.http(answer) as server:
        with pytest.raises(ps.InvalidData, match=r"302 and points to 127\.0\.0\.1:\d+/new; .*follow_redirects=True"):
            await fetch(server)
        assert (await fetch(server, follow_redirects=True)).text == "here"
        async with data.Api(server.url) as api:
            assert (await api.get("/old", follow_redirects=False)).status_code == 302


async def test_redirects_without_end() -> None:
    circle = Sent(status=302, headers=(("Location", "/x"),))
    with servers.http(circle) as server, pytest.raises(ps.InvalidData, match="redirects without end"):
        await fetch(server, follow_redirects=True)


async def test_a_body_that_is_not_encoded_as_it_says() -> None:
    bad = Sent(body=b"no gzip at all", headers=(("Content-Encoding", "gzip"),))
    good = Sent(body=gzip.compress(b"yes"), headers=(("Content-Encoding", "gzip"),))
    with servers.http(good, script=[bad]) as server:
        with pytest.raises(ps.InvalidData, match="not encoded as it says"):
            await fetch(server)
        assert (await fetch(server)).text == "yes"


async def test_an_answer_that_is_no_json() -> None:
    with servers.http(Sent(body="<html>please log in</html>", headers=(("Content-Type", "text/html"),))) as server:
        async with data.Api(server.url) as api:
            with pytest.raises(ps.InvalidData, match=r"/x gave no JSON \(text/html\)"):
                await api.json("/x")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "quota for symbols"}}, ": quota for symbols"),
        ({"error": "invalid_grant", "error_description": "expired"}, ": expired"),
        ({"title": "Bad", "detail": "symbol is empty"}, ": symbol is empty"),
        ({"errors": [{"message": "one"}, {"message": "two"}]}, ": one; two"),
        ({"odd": 1}, ': {"odd": 1}'),
        ("<html><style>b {}</style><b>Not\nhere</b></html>", ": Not here"),
        ("", "."),
        ("x" * 100_000, f": {'x' * 300}…"),
    ],
)
async def test_the_reason_is_in_the_message(body: Any, said: str) -> None:
    with servers.http(Sent(body=body, status=400)) as server:
        raised, _ = await failure(server)
        assert str(raised).endswith(f"answered 400{said}")


async def test_an_error_whose_body_does_not_arrive_keeps_its_status() -> None:
    with servers.http(Sent(body="no such symbol", status=400), script=[Cut(at="body", after=2)]) as server:
        raised, kind = await failure(server)
        assert kind == "data"
        assert "answered 400, and then nothing: " in str(raised)


THERE = datetime(2001, 9, 9, 2, 0, 0, tzinfo=UTC)
"""A server's clock that is far from ours."""
DATE = ("Date", format_datetime(THERE, usegmt=True))


def clocked(status: int, *headers: tuple[str, str]) -> Callable[[servers.Request], Sent]:
    return lambda _: Sent(status=status, headers=(*headers, DATE))


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, [("Retry-After", "7")], 7),
        (429, [("Retry-After", format_datetime(THERE + timedelta(seconds=40), usegmt=True))], 40),
        (429, [("Retry-After", format_datetime(THERE - timedelta(seconds=40), usegmt=True))], 0),
        (429, [("retry-after-ms", "1500"), ("Retry-After", "2")], 1.5),
        (429, [("X-RateLimit-Reset", "30")], 30),
        (429, [("X-RateLimit-Reset", f"{THERE.timestamp() + 50:.0f}")], 50),
        (429, [("X-RateLimit-Reset", f"{THERE.timestamp() * 1000 + 2500:.0f}")], 2.5),
        (429, [("X-RateLimit-Reset", (THERE + timedelta(seconds=11)).isoformat())], 11),
        (429, [("X-Rate-Limit-Reset", "12")], 12),
        (429, [("RateLimit-Reset", "13, 60")], 13),
        (429, [("RateLimit", '"default";r=0;t=14')], 14),
        (429, [("RateLimit", "limit=100, remaining=0, reset=15")], 15),
        (429, [("Retry-After", "3"), ("X-RateLimit-Reset", "99")], 3),
        (503, [("Retry-After", "21")], 21),
        (403, [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "22")], 22),
        (403, [("Retry-After", "23")], 23),
    ],
)
async def test_the_server_says_when_to_come_back(status: int, headers: list[tuple[str, str]], seconds: float) -> None:
    with servers.http(clocked(status, *headers)) as server:
        raised, kind = await failure(server)
        assert kind == "rate_limit"
        assert isinstance(raised, ps.RateLimited)
        assert raised.retry_after == pytest.approx(seconds)
        assert raised.api == "127.0.0.1"


@pytest.mark.parametrize("value", ["soon", "-3", "nan", "inf", "", "1e300", "99999999999999999999"])
@pytest.mark.parametrize("name", ["Retry-After", "X-RateLimit-Reset"])
async def test_a_429_without_a_time_is_left_to_the_policy(name: str, value: str) -> None:
    with servers.http(Sent(status=429, headers=((name, value),))) as server:
        raised, kind = await failure(server)
        assert kind == "rate_limit"
        assert not isinstance(raised, ps.RateLimited)


async def test_a_used_up_window_is_not_asked_again() -> None:
    used_up = (("X-RateLimit-Limit", "60"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "30"))
    with servers.http(Sent(body="ok", headers=used_up)) as server, running() as step:
        async with data.Api(server.url, quotas=[ps.Quota("calls", 10)]) as api:
            assert (await api.get("/x")).text == "ok"
            with pytest.raises(ps.RateLimited, match=r"127\.0\.0\.1 has let through all 60 of this window") as caught:
                await api.get("/y")
            assert 29 < float(str(caught.value.retry_after)) <= 30
            assert len(server.requests) == 1
        assert step.spent == {"calls": 1}


@pytest.mark.parametrize("status", [429, 503, 403])
async def test_after_a_refusal_nobody_else_asks_either(status: int) -> None:
    with servers.http(Turned(status=status, retry_after=30)) as server:
        async with data.Api(server.url) as api:
            answers = await asyncio.gather(*(api.get("/x") for _ in range(3)), return_exceptions=True)
            assert all(isinstance(answer, ps.RateLimited) for answer in answers)
            asked = len(server.requests)
            with pytest.raises(ps.RateLimited, match="asked for a pause"):
                await api.get("/x")
            assert len(server.requests) == asked


async def test_a_short_pause_is_waited_out_by_the_patient() -> None:
    used_up = Sent(headers=(("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "0.3")))
    with servers.http(Sent(body="second"), script=[used_up]) as server:
        async with data.Api(server.url, patience=5) as api:
            began = asyncio.get_running_loop().time()
            await api.get("/x")
            assert (await api.get("/x")).text == "second"
            assert asyncio.get_running_loop().time() - began >= 0.3
