"""What a language model's client is given: prices, caps, key, room."""

from __future__ import annotations

import logging
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

import penstock as ps
from penstock import data
from penstock.testing import servers
from penstock.testing.servers import Answer
from tests.unit.data.asking import DAY, KEY, MODES, PER, PRICES, VERDICT, Verdict, ask, llm
from tests.unit.data.paying import Purse


async def test_caps_need_a_running_step() -> None:
    with servers.openai(Answer(text=VERDICT)) as server:
        with pytest.raises(ps.DefinitionError, match="outside of a running step"):
            await ask(server)
        assert await ask(server, caps=[]) == Verdict(bank="RY", good=True)
        assert len(server.calls) == 1


async def test_the_key_is_in_no_message_no_log_and_no_repr(purse: Purse, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with servers.openai(api_key="another", script=[]) as server:
        model = llm(server)
        with pytest.raises(ps.AuthFailed, match=r"Incorrect API key provided: \*\*\*") as caught:
            await model.ask("open up")
        await model.close()
    assert caught.value.__cause__ is None
    assert KEY not in f"{model!r} {caught.value} {caplog.text} {vars(model)}"
    assert purse.spent == 0
    hidden = data.Llm("m", api_key=KEY, base_url="https://me:hidden@llm.example/v1")
    assert "hidden" not in repr(hidden)


def test_a_model_without_a_price_needs_one_under_a_cap() -> None:
    url = "https://llm.example/v1"
    with pytest.raises(ps.SettingError, match=r"no price for the model 'own-7b' at https://llm.example/v1.*prices="):
        data.Llm("own-7b", api_key=KEY, base_url=url, caps=[DAY])
    with pytest.raises(ps.SettingError, match=r"no price for the model 'gpt-4o' at https://llm\.example"):
        data.Llm("gpt-4o", api_key=KEY, base_url=url, caps=[DAY])
    with pytest.raises(ps.SettingError, match="no price for the model 'gpt-99'"):
        data.Llm("gpt-99", api_key=KEY, caps=[DAY])
    assert data.Llm("own-7b", api_key=KEY, base_url=url).worst_case("free?") is None


def test_list_prices_hold_at_the_vendors_own_endpoint() -> None:
    model = data.Llm("gpt-4.1-mini", api_key=KEY, caps=[DAY], max_tokens=1_000_000)
    worst = model.worst_case("")
    assert worst is not None
    assert Decimal("1.6") < worst < Decimal("1.601")
    assert model.context is not None
    cheaper = data.Llm("gpt-4.1-mini", api_key=KEY, caps=[DAY], prices={"gpt-4.1-mini": {"input": 0, "output": "0.1"}})
    assert cheaper.worst_case("") == Decimal("0.0004096")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input": 1}, "'output' is missing"),
        ({"input": 1, "output": -1}, "output=-1 is no price"),
        ({"input": True, "output": 1}, "input=True is no price"),
        ({"input": "cheap", "output": 1}, "input='cheap' is no price"),
        ({"input": 1, "output": float("nan")}, "output=nan is no price"),
        ({"input": 1, "output": 1, "cache": 1}, "there is no 'cache'; the names are input, output, cached, context"),
        ({"input": 1, "output": 1, "context": "8k"}, "context='8k' is no number of tokens"),
        (3, "3 is no mapping"),
    ],
)
def test_a_wrong_price_is_named(row: Any, message: str) -> None:
    with pytest.raises(ps.SettingError, match=f"the model 'm'.*{message}"):
        data.Llm("m", api_key=KEY, prices={"m": row})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ""}, "model=''"),
        ({"timeout": 0}, "timeout=0"),
        ({"max_tokens": -1}, "max_tokens=-1"),
        ({"base_url": "llm.example"}, "base_url='llm.example' is no URL"),
        ({"api_key": ""}, "api_key is empty"),
        ({"api_key": "sk-1\n"}, "has a character that no key has"),
    ],
)
def test_a_wrong_setting_is_named(options: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"model": "m", "api_key": KEY, **options}
    with pytest.raises(ps.SettingError, match=message):
        data.Llm(given.pop("model"), **given)


@MODES
async def test_a_request_and_its_answer_that_fit_the_bound_fit_the_context(purse: Purse, stream: bool) -> None:
    prices = {"m": {**PRICES["m"], "context": 2000}}
    with servers.openai(Answer(text="ok"), context=2000) as server:
        async with llm(server, stream=stream, prices=prices) as model:
            text = "a1.B2" * 100
            while model.most_tokens(text + "c") <= (model.context or 0):
                text += "c"
            assert await model.ask(text) == "ok"
            with pytest.raises(ps.InvalidData, match="the context is 2000 tokens"):
                await model.ask(".,;" * 3000)
        assert purse.spent == server.bill.total(**PER)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> str | None:
        return None if name == "openai" else name

    monkeypatch.setattr("penstock.data.llm.client.find_spec", found)
    with pytest.raises(ps.SettingError, match=r"needs the package openai: pip install 'penstock\[llm\]'"):
        data.Llm("m", api_key=KEY)


def test_the_servers_name_their_missing_package() -> None:
    code = "import sys; sys.modules['h11'] = None; from penstock.testing import servers; servers.openai"
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "SettingError: penstock.testing.servers needs the package h11: pip install 'penstock[llm]'" in ran.stderr
