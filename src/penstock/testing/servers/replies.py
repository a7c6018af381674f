"""What a model's server does with a request: it answers, or one of the things goes wrong that do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Literal

Finish = Literal["stop", "length", "content_filter"]
Place = Literal["headers", "body"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer. It is cut, and its finish is `length`, where it has more tokens than the request allows.

    Attributes:
        text: What the model says.
        refusal: What it says instead, when it refuses.
        finish: Why it stopped.
        cached: How many of the request's tokens are billed as cached, at most all of them.
        reasoning: Tokens that are billed as output and not shown.
        usage: Whether the answer says what was used; it is billed all the same.
        done: In a stream, whether its end is marked.
    """

    text: str = ""
    refusal: str | None = None
    finish: Finish = "stop"
    cached: int = 0
    reasoning: int = 0
    usage: bool = True
    done: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """Turned away with a status, and billed nothing.

    Attributes:
        status: The HTTP status.
        code: The error's code, such as `insufficient_quota`.
        message: The error's message.
        retry_after: `Retry-After`: seconds, or an aware datetime for the header's other form.
        headers: More headers.
    """

    status: int
    code: str | None = None
    message: str = "turned away"
    retry_after: float | datetime | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def all_headers(self) -> list[tuple[str, str]]:
        """The headers, with `Retry-After` as it is written."""
        match self.retry_after:
            case None:
                return [*self.headers]
            case datetime():
                return [*self.headers, ("Retry-After", format_datetime(self.retry_after, usegmt=True))]
            case _:
                return [*self.headers, ("Retry-After", f"{self.retry_after:g}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """Never answers; the connection stays open until the client or the server closes. Billed as its answer is."""

    answer: Answer = field(default_factory=Answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The connection is cut before the headers, or in the body; the answer was made and is billed.

    Attributes:
        answer: What was on its way.
        at: Where the cut is.
        after: How many pieces of the body are sent before it: bytes of a plain answer, events of a stream.
    """

    answer: Answer = field(default_factory=Answer)
    at: Place = "body"
    after: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbled:
    """A body that is not what the protocol says, under status 200; billed as its answer is.

    Attributes:
        body: The body as it is sent; in a stream, the data of its only event.
        content_type: What it says it is.
        answer: What is billed.
    """

    body: str = '{"id": "chatcmpl-1", "choices": ['
    content_type: str = "application/json"
    answer: Answer = field(default_factory=Answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """The answer, one byte (in a stream: one event) at a time.

    Attributes:
        answer: What drips.
        seconds: The time between two pieces.
    """

    answer: Answer = field(default_factory=Answer)
    seconds: float = 0.05


Reply = Answer | Turned | Silent | Cut | Garbled | Drip
