"""A language model that spends no more than it may."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self, overload
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, ValidationError
from typing_extensions import TypeVar

from penstock.data.llm.bounds import Count, most_input, utf8_bytes, worst_cost
from penstock.data.llm.failures import Failed, failed
from penstock.data.llm.prices import PriceTable, Tariff, Usage, tariff
from penstock.data.llm.receiving import Received, of_completion, of_stream
from penstock.data.llm.spending import drawn
from penstock.model.errors import InvalidData, NetworkError, SettingError
from penstock.model.quota import Quota
from penstock.model.redaction import masked

if TYPE_CHECKING:
    from openai import AsyncOpenAI

M = TypeVar("M", bound=BaseModel)
A = TypeVar("A")
Prompt = str | Sequence[Mapping[str, Any]]
Limit = Literal["max_completion_tokens", "max_tokens"]

OPENAI: Final = "https://api.openai.com/v1"
_CONNECT_SECONDS: Final = 10.0
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Generic[A]):
    """An answer, and what it cost.

    Attributes:
        answer: The answer.
        usage: The tokens, None where the vendor did not say.
        cost: US dollars: from the vendor's figures, else the worst case. None where there is no price and no cap.
    """

    answer: A
    usage: Usage | None
    cost: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request before it is sent; what it costs is asked for by the prices of one instant."""

    messages: list[dict[str, Any]]
    form: dict[str, Any] | None
    at: datetime


class Llm:
    """A model behind OpenAI's chat completions, at any endpoint that speaks them; a resource of an app.

    Before a call its worst case is drawn from every cap, on disk, and after it settled with what it cost, so that
    neither parallel calls nor crashes pass a cap. A call that failed stays at its worst case unless it is certain
    that nothing was billed. Nothing is tried again in here: the step's retry policy does that.

    Args:
        model: Its name, as the endpoint knows it.
        api_key: The key; it is in no message, no log and no repr.
        base_url: The endpoint; OpenAI's by default.
        caps: Quotas in US dollars that each call draws from. Asking needs a running step then.
        prices: US dollars per million tokens by model: `{"m": {"input": 0.40, "cached": 0.10, "output": 1.60}}`, and
            `context` in tokens. Goes before the list prices, which hold at the vendors' own endpoints only.
        timeout: Seconds for a whole answer, streamed or not.
        max_tokens: The most tokens of an answer, those of its reasoning included; the worst case counts them all.
        stream: Take answers as they are made: nothing between here and there sees an idle connection.
        limit: What the endpoint calls `max_tokens`; older ones know that name alone.
        count: The vendor's own tokenizer, for a tighter worst case: the tokens of a text, or more.

    Raises:
        SettingError: There are caps and no price, a value does not fit, or `penstock[llm]` is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: SecretStr | str,
        base_url: str | None = None,
        caps: Sequence[Quota] = (),
        prices: PriceTable | None = None,
        timeout: float = 300,
        max_tokens: int = 4096,
        stream: bool = False,
        limit: Limit = "max_completion_tokens",
        count: Count = utf8_bytes,
    ) -> None:
        for package in ("openai", "genai_prices"):
            if find_spec(package) is None:
                raise SettingError(f"Llm needs the package {package}: pip install 'penstock[llm]'.")
        for name, value in (("model", model), ("timeout", timeout), ("max_tokens", max_tokens)):
            if not value or (isinstance(value, int | float) and value <= 0):
                raise SettingError(f"Llm: {name}={value!r} does not fit; it is {_EXPECTED[name]}.")
        self.model, self.base_url = model, (base_url or OPENAI).rstrip("/")
        if urlsplit(self.base_url).scheme not in ("http", "https"):
            raise SettingError(f"Llm: base_url={masked(self.base_url)!r} is no URL; it begins with https://.")
        self._key = api_key if isinstance(api_key, SecretStr) else SecretStr(api_key)
        secret = self._key.get_secret_value()
        if not (secret.isascii() and secret.isprintable() and secret.strip()):
            msg = "Llm: api_key is empty, or has a character that no key has; an endpoint without keys takes any word."
            raise SettingError(msg)
        self.caps, self.max_tokens = tuple(caps), max_tokens
        self._timeout, self._stream, self._limit, self._count = timeout, stream, limit, count
        # Elsewhere a parameter of OpenAI's own may be refused, and there is no dearer service to be switched to.
        self._tier = "default" if urlsplit(self.base_url).hostname == urlsplit(OPENAI).hostname else None
        self._tariff: Tariff | None = None
        try:
            self._tariff = tariff(model, self.base_url, prices)
        except SettingError:
            if self.caps or model in (prices or {}):
                raise
        self._client: AsyncOpenAI | None = None

    def __repr__(self) -> str:
        return f"Llm({self.model!r}, base_url={masked(self.base_url)!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections; a later call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @property
    def context(self) -> int | None:
        """The tokens of a request and its answer together, where the table or the list of prices has them."""
        return self._tariff.context if self._tariff is not None else None

    @overload
    async def ask(self, prompt: Prompt, answer: None = None, *, system: str | None = None) -> str: ...
    @overload
    async def ask(self, prompt: Prompt, answer: type[M], *, system: str | None = None) -> M: ...
    async def ask(
        self, prompt: Prompt, answer: type[BaseModel] | None = None, *, system: str | None = None
    ) -> BaseModel | str:
        """Ask, and get the answer alone; see `reply`."""
        replied: Reply[Any] = await self.reply(prompt, answer, system=system)
        given: BaseModel | str = replied.answer
        return given

    @overload
    async def reply(self, prompt: Prompt, answer: None = None, *, system: str | None = None) -> Reply[str]: ...
    @overload
    async def reply(self, prompt: Prompt, answer: type[M], *, system: str | None = None) -> Reply[M]: ...
    async def reply(
        self, prompt: Prompt, answer: type[BaseModel] | None = None, *, system: str | None = None
    ) -> Reply[Any]:
        """Ask, and get the answer with what it cost.

        Args:
            prompt: A text, or messages as the protocol has them (`role`, `content`).
            answer: The form of the answer, as a pydantic model: its JSON schema is sent and the answer validated.
            system: Instructions that stand before the prompt.

        Raises:
            QuotaSpent: The worst case does not fit under a cap; or the account at the vendor has no credit.
            RateLimited, NetworkError, AuthFailed, TimeoutError: As their names say.
            InvalidData: The model refused, was cut at `max_tokens` or by a filter, or gave something else than was
                asked for; or the request was refused. What it cost is settled.
            DefinitionError: There are caps and no running step.
        """
        import openai

        asked = self._asked(prompt, answer, system)
        worst = self._worst(asked, self.max_tokens)
        async with drawn(self.caps, worst or Decimal(0)) as draws:
            received = Received()
            try:
                await self._exchange(asked, received)
            except (openai.OpenAIError, ValueError, OSError) as error:
                failure = self._failure(error)
                if received.finish is None or not isinstance(failure.error, NetworkError | TimeoutError):
                    if (known := self._known_cost(asked, received, failure)) is not None:
                        draws.settle(known)
                    raise self._scrubbed(failure.error) from None
                # The answer is whole: only what comes after it is missing.
            paid = self._cost(received, asked.at)
            cost = worst if paid is None else paid
            if cost is not None:
                draws.settle(cost)
            return Reply(answer=self._read(received, answer), usage=received.usage, cost=cost)

    def worst_case(
        self, prompt: Prompt, answer: type[BaseModel] | None = None, *, system: str | None = None
    ) -> Decimal | None:
        """What asking this can cost at most, in US dollars; None where there is no price."""
        return self._worst(self._asked(prompt, answer, system), self.max_tokens)

    def most_tokens(self, prompt: Prompt, answer: type[BaseModel] | None = None, *, system: str | None = None) -> int:
        """The most tokens that asking this can take, the answer's included: what fits `context` if this does."""
        asked = self._asked(prompt, answer, system)
        return most_input(asked.messages, asked.form, self._count) + self.max_tokens

    def _worst(self, asked: _Asked, output: int) -> Decimal | None:
        if self._tariff is None:
            return None
        tokens = most_input(asked.messages, asked.form, self._count)
        return worst_cost(self._tariff, tokens, output, asked.at, self._tier)

    def _cost(self, received: Received, at: datetime) -> Decimal | None:
        """By the vendor's figures, where there are any."""
        if received.usage is None or self._tariff is None:
            return None
        return self._tariff.cost(received.usage, at, received.tier)

    def _known_cost(self, asked: _Asked, received: Received, failure: Failed) -> Decimal | None:
        """What a failed call costs, as far as that is certain; None leaves its worst case."""
        if not failure.billed:
            return Decimal(0)
        return self._worst(asked, 0) if failure.input_only else self._cost(received, asked.at)

    async def _exchange(self, asked: _Asked, received: Received) -> None:
        request: dict[str, Any] = {"model": self.model, "messages": asked.messages, self._limit: self.max_tokens}
        if asked.form is not None:
            request["response_format"] = {"type": "json_schema", "json_schema": asked.form}
        if self._tier is not None:
            request["service_tier"] = self._tier
        create: Any = self._opened().chat.completions.create
        async with asyncio.timeout(self._timeout):
            if not self._stream:
                whole = of_completion(await create(**request))
                for name in Received.__slots__:
                    setattr(received, name, getattr(whole, name))
                return
            request |= {"stream": True, "stream_options": {"include_usage": True}}
            async with await create(**request) as chunks:
                await of_stream(chunks, received)
        if received.finish is None:
            raise ConnectionResetError("the stream ended before the answer did")

    def _opened(self) -> AsyncOpenAI:
        if self._client is None:
            import openai

            self._client = openai.AsyncOpenAI(
                api_key=self._key.get_secret_value(),
                base_url=self.base_url,
                max_retries=0,
                timeout=openai.Timeout(self._timeout, connect=min(_CONNECT_SECONDS, self._timeout)),
            )
        return self._client

    def _failure(self, error: Exception) -> Failed:
        where = f"{self.model} at {masked(self.base_url)}"
        if isinstance(error, ConnectionResetError):
            return Failed(error=NetworkError(f"{where}: {error}"), billed=True)
        return failed(error, where, self._timeout)

    def _scrubbed(self, error: Exception) -> Exception:
        """Without the key, which some vendors repeat in their messages."""
        key = self._key.get_secret_value()
        error.args = tuple(part.replace(key, "***") if isinstance(part, str) else part for part in error.args)
        return error

    def _read(self, received: Received, answer: type[BaseModel] | None) -> BaseModel | str:
        """The answer in the form that was asked for."""
        if received.refusal:
            raise InvalidData(f"{self.model} refused to answer: {received.refusal[:_SHOWN]}")
        match received.finish:
            case "length":
                msg = f"{self.model} was cut at {self.max_tokens} tokens; raise max_tokens or ask for less."
                raise InvalidData(msg)
            case "content_filter":
                raise InvalidData(f"{self.model} was stopped by the vendor's content filter.")
            case _ if not received.text.strip():
                raise InvalidData(f"{self.model} gave an empty answer (finish_reason={received.finish}).")
            case _:
                pass
        if answer is None:
            return received.text
        try:
            return answer.model_validate_json(received.text)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"]) or "the answer"
            msg = f"{self.model} gave no {answer.__name__}: {place}: {fault['msg']}. It began: {received.text[:_SHOWN]}"
            raise InvalidData(msg) from None

    @staticmethod
    def _asked(prompt: Prompt, answer: type[BaseModel] | None, system: str | None) -> _Asked:
        given = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(one) for one in prompt]
        messages = [{"role": "system", "content": system}, *given] if system else given
        return _Asked(messages=messages, form=_form(answer), at=datetime.now(UTC))


_EXPECTED: Final = {
    "model": "the name of a model",
    "timeout": "a number of seconds above 0",
    "max_tokens": "a number of tokens above 0",
}


def _form(answer: type[BaseModel] | None) -> dict[str, Any] | None:
    """The strict JSON schema of an answer, as OpenAI's structured outputs take it."""
    if answer is None:
        return None
    import openai

    function: Any = openai.pydantic_function_tool(answer, name="answer")["function"]
    return {"name": "answer", "strict": True, "schema": function["parameters"]}
