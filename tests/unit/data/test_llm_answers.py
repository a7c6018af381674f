"""The client of language models over a real socket: what is asked, what comes back, what is paid."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

import penstock as ps
from penstock.data.llm.prices import Usage
from penstock.testing import servers
from penstock.testing.servers import Answer, Garbled
from tests.unit.data.asking import KEY, MODES, PER, VERDICT, Verdict, ask, llm
from tests.unit.data.paying import Purse, carry


@MODES
async def test_an_answer_comes_in_its_form_and_the_ledger_has_the_vendors_figure(purse: Purse, stream: bool) -> None:
    with servers.openai(Answer(text=VERDICT, cached=7, reasoning=5)) as server:
        assert await ask(server, stream=stream) == Verdict(bank="RY", good=True)
        (call,) = server.calls
        assert call.key == KEY
        assert call.text == "Judge.\ngood?"
        assert call.body["max_completion_tokens"] == 100
        form = call.body["response_format"]["json_schema"]
        assert form["strict"] is True
        assert form["schema"]["required"] == ["bank", "good"]
        assert [draw.quotas for draw in purse.draws] == [["usd_a_run", "usd"]]
        assert {draw.settled for draw in purse.draws} == {server.bill.total(**PER)}
        assert all(draw.worst > draw.counts for draw in purse.draws)
        assert server.bill.cached == 7


@MODES
async def test_plain_text_is_an_answer_too(purse: Purse, stream: bool) -> None:
    text = "Ärger über 3 € — done."
    with servers.openai(Answer(text=text)) as server:
        async with llm(server, stream=stream) as model:
            assert await model.ask("well?") == text
            replied = await model.reply([{"role": "user", "content": "well?"}])
        assert replied.usage is not None
        assert replied.cost == purse.draws[-1].counts
        assert purse.spent == server.bill.total(**PER)


@MODES
async def test_an_answer_without_usage_stays_at_its_worst_case(purse: Purse, stream: bool) -> None:
    with servers.openai(Answer(text=VERDICT, usage=False)) as server:
        async with llm(server, stream=stream) as model:
            replied = await model.reply("good?", Verdict)
        assert replied.usage is None
        assert replied.cost == purse.draws[0].worst > server.bill.total(**PER)
        assert purse.spent == replied.cost


@pytest.mark.parametrize("prompt", ["word " * 300, "1234567890" * 50, "漢字かな" * 200, "🏦" * 100, "\n\n\t" * 99, ""])
async def test_the_worst_case_is_never_less_than_the_bill(purse: Purse, prompt: str) -> None:
    with servers.openai(Answer(text="x" * 4000, usage=False)) as server:
        with pytest.raises(ps.InvalidData, match="was cut at 100 tokens; raise max_tokens"):
            await ask(server, prompt)
        assert server.bill.output == 100
        assert purse.spent >= server.bill.total(**PER)


async def test_the_worst_case_is_on_disk_before_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    purse = carry(Purse(), monkeypatch)
    seen: list[int] = []

    def answer(_: servers.Call) -> servers.Reply:
        seen.append(len(purse.draws))
        return Answer(text=VERDICT)

    with servers.openai(answer) as server:
        await ask(server)
    assert seen == [1]


async def test_what_does_not_fit_under_a_cap_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    purse = carry(Purse(left={"usd": Decimal("0.0001")}), monkeypatch)
    with servers.openai() as server:
        with pytest.raises(ps.QuotaSpent, match="usd is spent"):
            await ask(server)
        assert server.calls == []
    assert purse.draws == []


@MODES
@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (Answer(refusal="I would rather not."), ps.InvalidData, "m refused to answer: I would rather not"),
        (Answer(text="{", finish="content_filter"), ps.InvalidData, "the vendor's content filter"),
        (Answer(text=VERDICT[:-3]), ps.InvalidData, "m gave no Verdict: .*EOF while parsing"),
        (Answer(text='{"bank": "RY", "good": "perhaps"}'), ps.InvalidData, "m gave no Verdict: good: .*boolean"),
        (Answer(text="Sure! Here you go."), ps.InvalidData, "It began: Sure! Here you go"),
        (Answer(text="  "), ps.InvalidData, "an empty answer"),
        (Answer(text="word " * 300), ps.InvalidData, "was cut at 100 tokens"),
    ],
)
async def test_a_useless_answer_is_paid_at_its_real_cost_and_not_tried_again(
    purse: Purse, stream: bool, reply: Answer, error: type[Exception], message: str
) -> None:
    with servers.openai(reply) as server:
        with pytest.raises(error, match=message):
            await ask(server, stream=stream)
        assert server.bill.calls == 1
        assert purse.spent == server.bill.total(**PER)


async def test_reasoning_that_is_only_in_the_total_is_paid(purse: Purse) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": VERDICT}}
    body = json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})
    with servers.openai(Garbled(body=body)) as server:
        async with llm(server) as model:
            replied = await model.reply("good?", Verdict)
    assert replied.usage == Usage(input=10, output=35)
    assert purse.spent == (10 * PER["input"] + 35 * PER["output"]) / 1_000_000


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": "10", "completion_tokens": 5},
        {"prompt_tokens": -1, "completion_tokens": 5},
        {},
    ],
)
async def test_figures_that_cannot_be_true_are_not_taken(purse: Purse, usage: dict[str, Any]) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": VERDICT}}
    with servers.openai(Garbled(body=json.dumps({"choices": [choice], "usage": usage}))) as server:
        assert await ask(server) == Verdict(bank="RY", good=True)
    assert purse.spent == purse.draws[0].worst


async def test_many_at_once_are_each_paid_once(purse: Purse) -> None:
    with servers.openai(Answer(text=VERDICT)) as server:
        async with llm(server) as model:
            await asyncio.gather(*(model.ask(f"question {number}", Verdict) for number in range(40)))
        assert server.bill.calls == 40
        assert purse.spent == server.bill.total(**PER)
