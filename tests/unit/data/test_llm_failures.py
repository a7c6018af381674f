"""What goes wrong between a language model and its client, over a real socket, and what it costs."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta

import pytest

import penstock as ps
from penstock import data
from penstock.testing import servers
from penstock.testing.servers import Answer, Cut, Drip, Garbled, Silent, Turned
from tests.unit.data.asking import DAY, KEY, MODES, PER, PRICES, VERDICT, Verdict, ask
from tests.unit.data.paying import Purse


@MODES
@pytest.mark.parametrize(
    ("turned", "error", "message"),
    [
        (Turned(status=401, message="no such key"), ps.AuthFailed, "m at http://127.0.0.1:.* answered 401: .*no such"),
        (Turned(status=403), ps.AuthFailed, "403"),
        (Turned(status=400, message="bad schema"), ps.InvalidData, "bad schema"),
        (Turned(status=404), ps.InvalidData, "404"),
        (Turned(status=402), ps.QuotaSpent, "402"),
        (Turned(status=429, code="insufficient_quota"), ps.QuotaSpent, "out of credit"),
    ],
)
async def test_what_was_turned_away_costs_nothing(
    purse: Purse, stream: bool, turned: Turned, error: type[Exception], message: str
) -> None:
    with servers.openai(turned) as server:
        with pytest.raises(error, match=message):
            await ask(server, stream=stream)
        assert len(server.calls) == 1
        assert [draw.settled for draw in purse.draws] == [0]


async def test_a_prompt_that_a_filter_read_is_billed_as_input(purse: Purse) -> None:
    with servers.openai(Turned(status=400, code="content_filter")) as server:
        with pytest.raises(ps.InvalidData):
            await ask(server)
        assert purse.draws[0].settled == purse.draws[0].worst - 100 * PER["output"] / 1_000_000


@MODES
@pytest.mark.parametrize("status", [500, 502, 503, 529])
async def test_a_fault_of_the_server_is_of_the_network_and_stays_at_its_worst_case(
    purse: Purse, stream: bool, status: int
) -> None:
    with servers.openai(Turned(status=status)) as server:
        with pytest.raises(ps.NetworkError, match=str(status)):
            await ask(server, stream=stream)
        assert len(server.calls) == 1
        assert [draw.settled for draw in purse.draws] == [None]


@MODES
async def test_too_many_requests_say_when_to_come_back(purse: Purse, stream: bool) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    more = (("retry-after-ms", "1500"),)
    with servers.openai() as server:
        for turned, again in (
            (Turned(status=429, retry_after=7), 7),
            (Turned(status=429, retry_after=at), at),
            (Turned(status=429, retry_after=7, headers=more), 1.5),
        ):
            server.then(turned)
            with pytest.raises(ps.RateLimited) as caught:
                await ask(server, stream=stream)
            assert caught.value.retry_after == again
            assert caught.value.api == "127.0.0.1"
        for headers in ((), (("Retry-After", "soon"),), (("Retry-After", "-3"),), (("Retry-After", "nan"),)):
            server.then(Turned(status=429, headers=headers))
            with pytest.raises(ps.StepError) as policy:
                await ask(server, stream=stream)
            assert policy.value.error_class == "rate_limit"
            assert not isinstance(policy.value, ps.RateLimited)
        assert purse.spent == 0


@MODES
async def test_a_server_that_never_answers_is_left_after_the_time_out(purse: Purse, stream: bool) -> None:
    with servers.openai(Silent()) as server:
        with pytest.raises(TimeoutError, match=r"did not answer within 0.3 s \(timeout=\)") as caught:
            await ask(server, stream=stream, timeout=0.3)
        assert isinstance(caught.value, ps.StepError)
        assert caught.value.error_class == "timeout"
        assert purse.draws[0].settled is None
        assert purse.spent >= server.bill.total(**PER) > 0


@MODES
async def test_an_answer_that_drips_is_taken_within_its_time_and_left_after_it(purse: Purse, stream: bool) -> None:
    with servers.openai(Drip(answer=Answer(text=VERDICT), seconds=0.001)) as server:
        assert await ask(server, stream=stream) == Verdict(bank="RY", good=True)
        assert purse.spent == server.bill.total(**PER)
        server.then(Drip(answer=Answer(text=VERDICT), seconds=0.2))
        # Each piece comes in time; the whole does not.
        with pytest.raises(TimeoutError):
            await ask(server, stream=stream, timeout=0.5)
        assert purse.draws[-1].settled is None


@MODES
@pytest.mark.parametrize(
    "cut",
    [Cut(answer=Answer(text=VERDICT), at="headers"), Cut(answer=Answer(text=VERDICT), after=0)]
    + [Cut(answer=Answer(text=VERDICT), after=pieces) for pieces in (1, 3)],
    ids=lambda cut: f"{cut.at}-{cut.after}",
)
async def test_a_cut_connection_is_of_the_network_and_stays_at_its_worst_case(
    purse: Purse, stream: bool, cut: Cut
) -> None:
    with servers.openai(cut) as server:
        with pytest.raises(ps.NetworkError, match=r"m at http://127\.0\.0\.1"):
            await ask(server, stream=stream)
        assert purse.draws[0].settled is None
        assert purse.spent >= server.bill.total(**PER) > 0


async def test_a_stream_that_is_cut_after_the_answer_is_an_answer(purse: Purse) -> None:
    pieces = len(VERDICT) // 12 + 1
    whole, used = 1 + pieces + 1, 1 + pieces + 2  # role, text, finish; and usage
    with servers.openai() as server:
        server.then(Cut(answer=Answer(text=VERDICT), after=whole))
        assert await ask(server, stream=True) == Verdict(bank="RY", good=True)
        assert purse.draws[-1].settled == purse.draws[-1].worst
        server.then(Cut(answer=Answer(text=VERDICT), after=used))
        assert await ask(server, stream=True) == Verdict(bank="RY", good=True)
        assert purse.draws[-1].settled == server.bill.total(**PER) / 2


async def test_a_stream_without_the_mark_of_its_end_is_whole_when_it_has_said_why_it_stopped(purse: Purse) -> None:
    with servers.openai(Answer(text=VERDICT, done=False)) as server:
        assert await ask(server, stream=True) == Verdict(bank="RY", good=True)
        assert purse.spent == server.bill.total(**PER)


@MODES
@pytest.mark.parametrize(
    "garbled",
    [
        Garbled(),
        Garbled(body="<html>Welcome</html>", content_type="text/html"),
        Garbled(body="[1, 2]"),
        Garbled(body='{"choices": 3}'),
        Garbled(body="null"),
    ],
)
async def test_a_garbled_answer_is_no_answer_and_stays_at_its_worst_case(
    purse: Purse, stream: bool, garbled: Garbled
) -> None:
    with servers.openai(garbled) as server:
        with pytest.raises(ps.InvalidData, match="no chat completion"):
            await ask(server, stream=stream)
        assert purse.draws[0].settled is None


async def test_an_error_in_the_middle_of_a_stream_is_told(purse: Purse) -> None:
    with servers.openai(Garbled(body='{"error": {"message": "overloaded", "code": "server_error"}}')) as server:
        with pytest.raises(ps.NetworkError, match="broke off with an error: overloaded"):
            await ask(server, stream=True)
        assert purse.draws[0].settled is None


async def test_a_refused_connection_costs_nothing(purse: Purse) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        async with data.Llm("m", api_key=KEY, base_url=url, caps=[DAY], prices=PRICES) as model:
            with pytest.raises(ps.NetworkError, match="ConnectError"):
                await model.ask("anyone?")
    assert [draw.settled for draw in purse.draws] == [0]


async def test_a_cancelled_call_stays_at_its_worst_case(purse: Purse) -> None:
    with servers.openai(Silent()) as server:
        task = asyncio.create_task(ask(server))
        await asyncio.to_thread(server.wait, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert purse.draws[0].settled is None
        assert purse.spent >= server.bill.total(**PER) > 0
