"""A server on a socket of this machine, in a thread of its own, so that tests of any kind can talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import h11

_READ = 64 * 1024
_STOP_SECONDS = 10


class Connection:
    """One client's connection: requests are read by h11, answers are written as slowly or as badly as asked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._protocol = h11.Connection(h11.SERVER)

    async def request(self) -> tuple[h11.Request, bytes] | None:
        """The next request and its body; None when the client has gone."""
        if self._protocol.our_state is h11.DONE:
            self._protocol.start_next_cycle()
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._protocol.next_event()
            if event is h11.NEED_DATA:
                self._protocol.receive_data(await self._reader.read(_READ))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return head, bytes(body)
            else:
                return None

    async def start(self, status: int, headers: list[tuple[str, str]]) -> None:
        """The head of an answer."""
        await self._send(h11.Response(status_code=status, headers=headers))

    async def piece(self, data: bytes) -> None:
        """A piece of its body."""
        await self._send(h11.Data(data=data))

    async def end(self) -> None:
        """The end of it."""
        await self._send(h11.EndOfMessage())

    def cut(self) -> None:
        """Close without a word."""
        self._writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the client closes."""
        while await self._reader.read(_READ):
            pass

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE

    async def _send(self, event: h11.Event) -> None:
        data = self._protocol.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()


class ListeningServer(ABC):
    """Listens on a free port of the loopback while its block is open."""

    def __init__(self) -> None:
        self.port = 0
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._failure: BaseException | None = None

    @abstractmethod
    async def serve(self, head: h11.Request, body: bytes, connection: Connection) -> None:
        """Answer one request; runs in the server's own thread."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_SECONDS)
        if self._failure is not None:
            raise self._failure
        if self._thread.is_alive():
            raise TimeoutError(f"{type(self).__name__} did not stop within {_STOP_SECONDS} s")

    def _run(self) -> None:
        try:
            asyncio.run(self._listen())
        except BaseException as error:  # noqa: BLE001 - told to the thread that opened the block
            self._failure = error
        finally:
            self._ready.set()

    async def _listen(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - a callback of asyncio's runs in a task
            tasks.add(task)
            try:
                await self._converse(Connection(reader, writer))
            except (ConnectionError, h11.RemoteProtocolError, asyncio.CancelledError):
                pass  # the client has gone, or the server closes
            except BaseException as error:  # noqa: BLE001 - a mistake in a test's function must not pass unseen
                self._failure = self._failure or error
            finally:
                tasks.discard(task)
                writer.transport.abort()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, connection: Connection) -> None:
        while (request := await connection.request()) is not None:
            await self.serve(*request, connection)
            if not connection.reusable:
                return
