"""What came back from a model, plain or streamed, as one value. The wire's types are claims: each is looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from penstock.data.llm.prices import Usage
from penstock.model.narrowing import is_list


@dataclass(slots=True, kw_only=True)
class Received:
    """What a model said, and what the vendor says it used.

    Attributes:
        text: The answer, so far as it came.
        refusal: What it said instead of an answer.
        finish: Why it stopped; None as long as it has not said.
        usage: The tokens; None where they are not told, or cannot be true.
        tier: The kind of service, where the vendor names it.
    """

    text: str = ""
    refusal: str = ""
    finish: str | None = None
    usage: Usage | None = None
    tier: str | None = None


def of_completion(completion: Any) -> Received:
    """A plain answer.

    Raises:
        ValueError: It is no chat completion.
    """
    choices = getattr(completion, "choices", None)
    if not is_list(choices) or not choices:
        raise ValueError("it has no choices")
    choice = choices[0]
    message = getattr(choice, "message", None)
    received = Received(
        text=_text(getattr(message, "content", None)),
        refusal=_text(getattr(message, "refusal", None)),
        finish=_text(getattr(choice, "finish_reason", None)) or None,
    )
    _billed(received, completion)
    return received


async def of_stream(chunks: AsyncIterator[Any], received: Received) -> None:
    """A streamed answer, put into `received` as it comes: what is known stays known when the stream is cut.

    Raises:
        ValueError: Something in it is no chunk of a chat completion.
    """
    async for chunk in chunks:
        choices = getattr(chunk, "choices", None)
        if not is_list(choices):
            raise ValueError("an event of the stream has no choices")
        for choice in choices[:1]:
            delta = getattr(choice, "delta", None)
            received.text += _text(getattr(delta, "content", None))
            received.refusal += _text(getattr(delta, "refusal", None))
            received.finish = _text(getattr(choice, "finish_reason", None)) or received.finish
        _billed(received, chunk)


def _billed(received: Received, part: Any) -> None:
    received.tier = _text(getattr(part, "service_tier", None)) or received.tier
    usage = getattr(part, "usage", None)
    if usage is None:
        return
    given, made = _number(usage, "prompt_tokens"), _number(usage, "completion_tokens")
    total = _number(usage, "total_tokens") or 0
    said_something = bool(received.text or received.refusal)
    if not given or made is None or (said_something and not made and not total):
        received.usage = None  # a server that counts nothing has not said what was used
        return
    details = getattr(usage, "prompt_tokens_details", None)
    cached = min(_number(details, "cached_tokens") or 0, given)
    received.usage = Usage(
        input=given,
        # Some vendors leave the tokens of reasoning out of the completion and have them in the total.
        output=max(made, total - given),
        cached=cached,
        written=min(_number(details, "cache_write_tokens") or 0, given - cached),
    )


def _number(part: Any, name: str) -> int | None:
    value = getattr(part, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
