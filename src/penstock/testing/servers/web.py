"""A server that answers HTTP requests by a function, keeps what it was asked, and fails as it is told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import h11

from penstock.testing.servers.listening import Connection, ListeningServer
from penstock.testing.servers.replies import Cut, Drip, Garbled, Silent, Turned

Fault: TypeAlias = Turned | Silent | Cut | Drip | Garbled
_JSON = "application/json"
_DRIPPING = 16
"""Bytes of a body that drips, at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it arrived.

    Attributes:
        method: Its method.
        path: Its path, decoded.
        query: Its query; of a parameter that comes twice the last.
        headers: Its headers, their names in lower case.
        body: Its body.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def form(self) -> Mapping[str, str]:
        """The body as a form."""
        return {name: values[-1] for name, values in parse_qs(self.body.decode("utf-8", "replace")).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An answer.

    Attributes:
        body: Bytes and text as they are; anything else as JSON.
        status: Its status.
        headers: More headers; a `Content-Type` of one's own goes before the one by the body.
        chunked: Whether it does not say how long it is.
    """

    body: Any = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    chunked: bool = False

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        match self.body:
            case bytes():
                return self.body
            case str():
                return self.body.encode()
            case _:
                return json.dumps(self.body).encode()

    def head(self) -> list[tuple[str, str]]:
        """All headers."""
        kind = "application/octet-stream" if isinstance(self.body, bytes) else "text/plain; charset=utf-8"
        kind = kind if isinstance(self.body, bytes | str) else _JSON
        own = [("Content-Type", kind)] if not any(name.lower() == "content-type" for name, _ in self.headers) else []
        size = ("Transfer-Encoding", "chunked") if self.chunked else ("Content-Length", str(len(self.content)))
        return [*own, *self.headers, size]


Answering: TypeAlias = Callable[[Request], Sent | Fault]


def http(
    answer: Sent | Fault | Answering | None = None, *, script: Iterable[Fault | Sent] = ()
) -> AbstractContextManager[WebServer]:
    """A server for the block: `with servers.http(servers.Sent(body={"ok": True})) as server: ... server.url`.

    Args:
        answer: What every request gets, or a function of the request; by default an empty 200.
        script: What the first requests get, in their order, before `answer` holds.
    """
    server = WebServer(answer if answer is not None else Sent())
    server.then(*script)
    return server


class WebServer(ListeningServer):
    """See `http`."""

    def __init__(self, answer: Sent | Fault | Answering) -> None:
        super().__init__()
        self._answer = answer
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._script: deque[tuple[str, Fault | Sent]] = deque()
        self._always: dict[str, Fault] = {}

    @property
    def url(self) -> str:
        """What a client takes as its base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """The requests so far, those that got a fault too."""
        with self._changed:
            return list(self._requests)

    def then(self, *replies: Fault | Sent, path: str = "*") -> None:
        """What the next requests get instead of an answer, one each.

        Args:
            replies: The replies. A `Silent`, `Cut` or `Drip` is of what this server would have answered.
            path: Only requests of such a path take them (`*` is any text); with a method before it, of that method.
        """
        with self._changed:
            self._script.extend((path, reply) for reply in replies)

    def fail(self, fault: Fault | None, *, path: str = "*") -> None:
        """Fail every request of such a path from now on, until it is called with None."""
        with self._changed:
            if fault is None:
                self._always.pop(path, None)
            else:
                self._always[path] = fault

    def wait(self, requests: int, timeout: float = 10) -> None:
        """Wait until so many requests have arrived.

        Raises:
            TimeoutError: They did not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= requests, timeout):
                raise TimeoutError(f"{len(self._requests)} of {requests} requests arrived within {timeout:g} s")

    def answer(self, request: Request) -> Sent | Fault:
        """What a request gets if nothing is to go wrong."""
        return self._answer(request) if callable(self._answer) else self._answer

    def made(self, request: Request, sent: Sent) -> None:
        """An answer was made, whether or not it will arrive."""

    async def serve(self, head: h11.Request, body: bytes, connection: Connection) -> None:
        """One request."""
        request = _read(head, body)
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
        reply = self._told(request)
        if reply is None:
            reply = self.answer(request)
        match reply:
            case Sent():
                self.made(request, reply)
                await _send(reply, connection)
            case Turned():
                error = {"code": reply.code or reply.status, "message": reply.message}
                headers = tuple(reply.all_headers())
                await _send(Sent(body={"error": error}, status=reply.status, headers=headers), connection)
            case Silent():
                self._sound(request)
                await connection.gone()
            case Garbled():
                self._sound(request)
                kind = ("Content-Type", reply.content_type)
                await _send(Sent(body=reply.body.encode(), headers=(kind,)), connection)
            case Drip():
                await _send(self._sound(request), connection, seconds=reply.seconds)
            case Cut():
                sent = self._sound(request)
                if reply.at == "body":
                    await connection.start(sent.status, sent.head())
                    await connection.piece(sent.content[: reply.after])
                connection.cut()

    def _told(self, request: Request) -> Fault | Sent | None:
        with self._changed:
            for pattern, fault in self._always.items():
                if _matches(request, pattern):
                    return fault
            for place, (pattern, reply) in enumerate(self._script):
                if _matches(request, pattern):
                    del self._script[place]
                    return reply
        return None

    def _sound(self, request: Request) -> Sent:
        """The answer that does not arrive; it was made all the same."""
        reply = self.answer(request)
        sent = reply if isinstance(reply, Sent) else Sent()
        self.made(request, sent)
        return sent


def _matches(request: Request, pattern: str) -> bool:
    method, _, path = pattern.rpartition(" ")
    return method in ("", request.method) and fnmatchcase(request.path, path)


def _read(head: h11.Request, body: bytes) -> Request:
    parts = urlsplit(head.target.decode("ascii", "replace"))
    return Request(
        method=head.method.decode("ascii"),
        path=unquote(parts.path),
        query={name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()},
        headers={name.decode("ascii").lower(): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )


async def _send(sent: Sent, connection: Connection, *, seconds: float = 0) -> None:
    content = sent.content
    await connection.start(sent.status, sent.head())
    if seconds:
        for at in range(0, len(content), _DRIPPING):
            await asyncio.sleep(seconds)
            await connection.piece(content[at : at + _DRIPPING])
    elif content:
        await connection.piece(content)
    await connection.end()
