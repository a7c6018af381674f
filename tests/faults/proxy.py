"""A proxy between a program and PostgreSQL that understands just enough of the protocol to cut at a chosen moment.

It listens on a Unix socket, so there is no encryption to negotiate. The moments are those after which a client cannot
know what the server did:

- `write`: the group writer calls `record`, whose commit is the statement's own;
- `step`: a step's transaction calls `record`, its last statement;
- `commit`: that transaction's COMMIT;
- `claim`: the group writer calls `record`, and that claims runs;
- `copy`: one of the messages of a COPY, or the one that ends it.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

from psycopg.conninfo import conninfo_to_dict

Moment: TypeAlias = Literal["write", "step", "commit", "claim", "copy"]
How: TypeAlias = Literal["request", "answer", "late"]
"""What is lost: the request; the answer to it; or the connection, while the request arrives half a second later."""
READY: Final = b"Z\x00\x00\x00\x05"
LATE: Final = 0.5
PORT: Final = 5432


class Proxy:
    """Forwards until told to cut.

    Args:
        url: The server.
        folder: Where the socket is made.
        decide: Asked at each of the moments; None lets it pass.
        claims: Tell a `write` that claims as a `claim`.
    """

    def __init__(self, url: str, folder: Path, decide: Callable[[Moment], How | None], *, claims: bool = False) -> None:
        self._server, self._folder, self._decide = conninfo_to_dict(url), folder, decide
        user, database = self._server.get("user", "postgres"), self._server["dbname"]
        self.url = f"postgresql://{user}@/{database}?host={folder}&port={PORT}"
        self.claims = claims
        self.cuts: Counter[tuple[Moment, How]] = Counter()

    @contextmanager
    def running(self) -> Generator[Proxy]:
        """Serve in a thread of its own."""
        started, loop = threading.Event(), asyncio.new_event_loop()
        thread = threading.Thread(target=lambda: loop.run_until_complete(self._serve(started)), name="proxy")
        thread.start()
        assert started.wait(10)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(self._stop.set)
            thread.join(10)
            loop.close()

    async def _serve(self, started: threading.Event) -> None:
        self._stop, tasks = asyncio.Event(), set[asyncio.Task[None]]()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._connected(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_unix_server(accept, self._folder / f".s.PGSQL.{PORT}")
        started.set()
        await self._stop.wait()
        server.close()
        left = list(tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = str(self._server.get("host", "")), int(self._server.get("port") or PORT)
        if host.startswith("/"):
            upstream = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            upstream = await asyncio.open_connection(host or "localhost", port)
        link = _Link(self, (reader, writer), upstream)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await link.run()

    def moment(self, moment: Moment) -> How | None:
        """Ask, and count."""
        how = self._decide(moment)
        if how is not None:
            self.cuts[moment, how] += 1
        return how


Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection."""

    def __init__(self, proxy: Proxy, client: Streams, server: Streams) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._statements: dict[bytes, Moment | None] = {}
        self._in_step = False
        self._doomed = False

    async def run(self) -> None:
        """Forward both ways until one side hangs up or it is cut."""
        answers = asyncio.create_task(self._answers())
        try:
            async for batch, how in self._requests():
                if how is None:
                    self._server[1].write(batch)
                    await self._server[1].drain()
                elif how != "request":
                    self._doomed = True
                    if how == "late":
                        self._client[1].close()
                        await asyncio.sleep(LATE)
                    self._server[1].write(batch)
                    await asyncio.wait_for(answers, 30)  # it ends with the answer that is thrown away
                    return
                else:
                    return
        finally:
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
            for _, writer in (self._client, self._server):
                writer.close()

    async def _requests(self) -> AsyncIterator[tuple[bytes, How | None]]:
        """What the client sends, in pieces that the server answers as one, and what is to become of each."""
        reader = self._client[0]
        length = await reader.readexactly(4)
        yield length + await reader.readexactly(struct.unpack("!I", length)[0] - 4), None
        batch, how = b"", None
        while True:
            head = await reader.readexactly(5)
            kind, body = head[:1], await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            batch += head + body
            if (moment := self._moment(kind, body)) is not None:
                how = self._proxy.moment(moment) or how
            if kind in b"QSHpXdcf":  # a query, Sync, Flush, a password, goodbye; data, end and failure of a COPY
                yield batch, how
                batch, how = b"", None

    def _moment(self, kind: bytes, body: bytes) -> Moment | None:
        if kind == b"P":
            name, text = body.split(b"\0")[:2]
            of_step = b"pg_current_xact_id" in text
            self._statements[name] = "step" if of_step else "write" if b"penstock.record(" in text else None
        elif kind == b"B":
            name = body.split(b"\0")[1]
            moment = self._statements.get(name)
            self._in_step |= moment == "step"
            return "claim" if moment == "write" and self._proxy.claims and _claims(body) else moment
        elif kind in b"dc":
            return "copy"
        elif kind == b"Q" and self._in_step and body.startswith(b"COMMIT"):
            self._in_step = False
            return "commit"
        elif kind == b"Q":
            self._in_step = False
        return None

    async def _answers(self) -> None:
        last = b""
        while data := await self._server[0].read(65536):
            last = (last + data)[-6:]
            if not self._doomed:
                self._client[1].write(data)
            elif last[:-1].endswith(READY):
                return
        self._client[1].close()


def _claims(bind: bytes) -> bool:
    """Whether the sixth parameter of `record`, how many runs to claim, is more than none."""
    at = bind.index(b"\0", bind.index(b"\0") + 1) + 1  # after the names of portal and statement
    (formats,) = struct.unpack_from("!h", bind, at)
    at += 2 + 2 * formats + 2
    for _ in range(5):
        (size,) = struct.unpack_from("!i", bind, at)
        at += 4 + max(0, size)
    (size,) = struct.unpack_from("!i", bind, at)
    value = bind[at + 4 : at + 4 + size]
    return value not in (b"0", bytes(size))
