"""What the tests of the client have in common: a model, its price, its caps, and what it is asked for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

import penstock as ps
from penstock import data
from penstock.testing.servers import ChatServer

KEY = "sk-very-secret-4711"
PRICES = {"m": {"input": "2", "cached": "0.5", "output": "8"}}
PER = {"input": Decimal(2), "cached": Decimal("0.5"), "output": Decimal(8)}
RUN, DAY = ps.Quota("usd_a_run", 2, per="run"), ps.Quota("usd", 50)
MODES = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
VERDICT = '{"bank": "RY", "good": true}'


class Verdict(BaseModel):
    """The form of the answer."""

    bank: str
    good: bool


def llm(server: ChatServer, **more: Any) -> data.Llm:
    """The model, with both caps."""
    options: dict[str, Any] = {"api_key": SecretStr(KEY), "caps": [RUN, DAY], "prices": PRICES, "max_tokens": 100}
    return data.Llm("m", base_url=server.url, **(options | more))


async def ask(server: ChatServer, question: str = "good?", **more: Any) -> Verdict:
    """One question."""
    async with llm(server, **more) as model:
        return await model.ask(question, Verdict, system="Judge.")
