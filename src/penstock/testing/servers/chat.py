"""A server that speaks OpenAI's chat completions, plain and streamed, and keeps the vendor's side of the bill."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeAlias

import h11

from penstock.testing.servers.listening import Connection, ListeningServer
from penstock.testing.servers.replies import Answer, Cut, Drip, Garbled, Reply, Silent, Turned

_PIECE = 12  # characters of an answer in one event of a stream
_TOKEN = re.compile(r"\w{1,4}|[^\w\s]", re.ASCII)
_MESSAGE, _REQUEST = 4, 3  # tokens that a vendor adds to each message, and to a request
_MILLION = 1_000_000
_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as it arrived.

    Attributes:
        body: The JSON body.
        tokens: Its tokens, as this server counts them.
        key: The key it came with.
    """

    body: Mapping[str, Any]
    tokens: int
    key: str | None = field(repr=False)

    @property
    def text(self) -> str:
        """The text of all its messages."""
        return "\n".join(str(message.get("content") or "") for message in self.body["messages"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What the vendor would bill: answers that were made, whether or not they arrived."""

    calls: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0

    def total(self, *, input: Decimal, output: Decimal, cached: Decimal | None = None) -> Decimal:  # noqa: A002
        """The invoice, from prices per million tokens; without a price of their own cached tokens cost as others."""
        fresh = (self.input - self.cached) * input
        return (fresh + self.cached * (input if cached is None else cached) + self.output * output) / _MILLION


Answering: TypeAlias = Callable[[Call], Reply]


def openai(
    answer: Reply | Answering | None = None,
    *,
    script: Iterable[Reply] = (),
    api_key: str | None = None,
    context: int | None = None,
) -> AbstractContextManager[ChatServer]:
    """A server for the block: `with servers.openai(servers.Answer(text="yes")) as server: ... server.url`.

    Args:
        answer: What every request gets, or a function of the request; by default an empty JSON object.
        script: What the first requests get, in their order, before `answer` holds.
        api_key: The only key that is let in; without it any is.
        context: The tokens that a request may have, with those it asks for; more is status 400.
    """
    return ChatServer(answer or Answer(text="{}"), script=script, api_key=api_key, context=context)


class ChatServer(ListeningServer):
    """See `openai`."""

    def __init__(
        self, answer: Reply | Answering, *, script: Iterable[Reply], api_key: str | None, context: int | None
    ) -> None:
        super().__init__()
        self.answer, self._script = answer, deque(script)
        self._key, self._context = api_key, context
        self._changed = threading.Condition()
        self._calls: list[Call] = []
        self._bill = Bill()

    @property
    def url(self) -> str:
        """What a client takes as its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def calls(self) -> list[Call]:
        """The requests so far."""
        with self._changed:
            return list(self._calls)

    @property
    def bill(self) -> Bill:
        """What was used so far."""
        with self._changed:
            return self._bill

    def then(self, *replies: Reply) -> None:
        """What the next requests get."""
        with self._changed:
            self._script.extend(replies)

    def wait(self, calls: int, timeout: float = 10) -> None:
        """Wait until so many requests have arrived.

        Raises:
            TimeoutError: They did not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._calls) >= calls, timeout):
                raise TimeoutError(f"{len(self._calls)} of {calls} requests arrived within {timeout:g} s")

    async def serve(self, head: h11.Request, body: bytes, connection: Connection) -> None:
        """One request."""
        refused, call = self._read(head, body)
        if call is None:
            await self._turn_away(refused or Turned(status=400), connection)
            return
        reply = self._next(call)
        stream = bool(call.body.get("stream"))
        match reply:
            case Turned():
                await self._turn_away(reply, connection)
            case Answer():
                await self._tell(self._pieces(call, reply), connection, stream=stream)
            case Drip():
                pieces = self._pieces(call, reply.answer)
                pieces = pieces if stream else [bytes([byte]) for piece in pieces for byte in piece]
                await self._tell(pieces, connection, stream=stream, seconds=reply.seconds)
            case Silent():
                self._pieces(call, reply.answer)
                await connection.gone()
            case Garbled():
                self._pieces(call, reply.answer)
                garbled = f"data: {reply.body}\n\n" if stream else reply.body
                await self._tell([garbled.encode()], connection, stream=stream, kind=reply.content_type)
            case Cut():
                await self._cut(reply, self._pieces(call, reply.answer), connection, stream=stream)

    def _read(self, head: h11.Request, body: bytes) -> tuple[Turned | None, Call | None]:
        if (head.method, head.target) != (b"POST", b"/v1/chat/completions"):
            return Turned(status=404, message=f"no {head.target.decode(errors='replace')} here"), None
        headers = {name.decode().lower(): value.decode(errors="replace") for name, value in head.headers}
        key = headers.get("authorization", "").removeprefix("Bearer ") or None
        if self._key is not None and key != self._key:
            # Some vendors repeat the key in this message; a client must not pass it on.
            return Turned(status=401, code="invalid_api_key", message=f"Incorrect API key provided: {key}"), None
        try:
            asked: Any = json.loads(body)
            messages = asked["messages"]
            tokens = _REQUEST + sum(_MESSAGE + tokens_of(str(message.get("content") or "")) for message in messages)
            tokens += tokens_of(json.dumps(asked.get("response_format") or ""))
            if not isinstance(asked["model"], str):
                return Turned(status=400, message="model is no string"), None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Turned(status=400, message=f"this is no request for a chat completion: {error!r}"), None
        call = Call(body=asked, tokens=tokens, key=key)
        with self._changed:
            self._calls.append(call)
            self._changed.notify_all()
        if self._context is not None and tokens + (_limit(asked) or 0) > self._context:
            message = f"the context is {self._context} tokens"
            return Turned(status=400, code="context_length_exceeded", message=message), None
        return None, call

    def _next(self, call: Call) -> Reply:
        with self._changed:
            if self._script:
                return self._script.popleft()
        return self.answer(call) if callable(self.answer) else self.answer

    def _pieces(self, call: Call, answer: Answer) -> list[bytes]:
        """The body of an answer, which is billed now: the vendor does not mind whether it arrives."""
        limit = _limit(call.body)
        spoken = answer.text if answer.refusal is None else answer.refusal
        output = tokens_of(spoken) + answer.reasoning
        if limit is not None and output > limit:
            ends = [match.end() for match in _TOKEN.finditer(answer.text)]
            kept = max(0, limit - answer.reasoning)
            answer = replace(answer, text=answer.text[: ends[kept - 1] if kept else 0], finish="length")
            output = limit
        cached = min(answer.cached, call.tokens)
        with self._changed:
            self._bill = Bill(
                calls=self._bill.calls + 1,
                input=self._bill.input + call.tokens,
                cached=self._bill.cached + cached,
                output=self._bill.output + output,
            )
        usage = {
            "prompt_tokens": call.tokens,
            "completion_tokens": output,
            "total_tokens": call.tokens + output,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": answer.reasoning},
        }
        if call.body.get("stream"):
            return _events(call, answer, usage)
        message = {"role": "assistant", "content": None if answer.refusal else answer.text, "refusal": answer.refusal}
        choice = {"index": 0, "message": message, "finish_reason": answer.finish, "logprobs": None}
        body = {**_head(call, "chat.completion"), "choices": [choice]}
        return [json.dumps({**body, "usage": usage} if answer.usage else body).encode()]

    async def _turn_away(self, turned: Turned, connection: Connection) -> None:
        error = {"message": turned.message, "type": turned.code or "error", "code": turned.code, "param": None}
        body = json.dumps({"error": error}).encode()
        length = ("Content-Length", str(len(body)))
        await connection.start(turned.status, [*turned.all_headers(), ("Content-Type", _JSON), length])
        await connection.piece(body)
        await connection.end()

    async def _tell(
        self, pieces: list[bytes], connection: Connection, *, stream: bool, kind: str = _JSON, seconds: float = 0
    ) -> None:
        await connection.start(200, _headers(pieces, kind, stream=stream))
        for piece in pieces:
            if seconds:
                await asyncio.sleep(seconds)
            await connection.piece(piece)
        await connection.end()

    async def _cut(self, cut: Cut, pieces: list[bytes], connection: Connection, *, stream: bool) -> None:
        if cut.at == "body":
            await connection.start(200, _headers(pieces, _JSON, stream=stream))
            sent = pieces[: cut.after] if stream else [b"".join(pieces)[: cut.after]]
            for piece in sent:
                await connection.piece(piece)
        connection.cut()


def tokens_of(text: str) -> int:
    """The tokens of a text as this server counts them: never more than its bytes in UTF-8."""
    return len(_TOKEN.findall(text))


def _limit(body: Mapping[str, Any]) -> int | None:
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    return limit if isinstance(limit, int) else None


def _head(call: Call, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 0, "model": call.body["model"]}


def _headers(pieces: list[bytes], kind: str, *, stream: bool) -> list[tuple[str, str]]:
    if stream:
        return [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
    return [("Content-Type", kind), ("Content-Length", str(sum(len(piece) for piece in pieces)))]


def _events(call: Call, answer: Answer, usage: Mapping[str, Any]) -> list[bytes]:
    """The events of a stream: role, pieces of the text, finish, usage if asked for, and the mark of its end."""
    head = _head(call, "chat.completion.chunk")
    spoken, name = (answer.text, "content") if answer.refusal is None else (answer.refusal, "refusal")
    deltas: list[dict[str, Any]] = [{"role": "assistant", name: ""}]
    deltas += [{name: spoken[at : at + _PIECE]} for at in range(0, len(spoken), _PIECE)]
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": answer.finish}]})
    options: Mapping[str, Any] = call.body.get("stream_options") or {}
    if answer.usage and options.get("include_usage"):
        chunks.append({**head, "choices": [], "usage": usage})
    lines = [json.dumps(chunk) for chunk in chunks] + (["[DONE]"] if answer.done else [])
    return [f"data: {line}\n\n".encode() for line in lines]
