"""The clients' connections. One that is open is one that needs the server; the kernel closes those of the dead."""

from __future__ import annotations

import json
import selectors
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LINE_BYTES = 4096


class Clients:
    """All connections of one keeper; also wakes it when a child ends or a signal comes."""

    def __init__(self, first: socket.socket, status: Callable[[], dict[str, Any]]) -> None:
        """``first`` is the client that started the keeper; ``status`` gives what a client is told when it joins."""
        self._status = status
        self._selector = selectors.DefaultSelector()
        self._joined: set[socket.socket] = set()
        self._all: set[socket.socket] = set()
        self._listening: socket.socket | None = None
        self.idle_since: float | None = None  # monotonic seconds; None while a client is there
        self._wake, wake_writer = socket.socketpair()
        self._wake.setblocking(False)
        wake_writer.setblocking(False)
        self._wake_writer = wake_writer
        signal.set_wakeup_fd(wake_writer.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._add(first)
        self._joined.add(first)

    @property
    def count(self) -> int:
        """How many clients need the server."""
        return len(self._joined)

    def listen(self, path: Path) -> None:
        """Open the socket on which clients join."""
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen(128)
        listening.setblocking(False)
        self._listening = listening
        self._selector.register(listening, selectors.EVENT_READ)

    def serve(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds for something to happen, and handle it."""
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._listening:
                self._accept()
            elif key.fileobj is self._wake:
                self._wake.recv(_LINE_BYTES)
            elif isinstance(key.fileobj, socket.socket):
                self._hear(key.fileobj)

    def tell(self, message: dict[str, Any]) -> None:
        """Send one message to every client that has joined."""
        for client in list(self._joined):
            self._send(client, message)

    def close(self) -> None:
        """Close all connections; whoever still needs the server starts a new keeper."""
        signal.set_wakeup_fd(-1)
        if self._listening is not None:
            self._listening.close()
        for client in self._all:
            client.close()
        self._all.clear()
        self._joined.clear()
        self._selector.close()

    def _accept(self) -> None:
        assert self._listening is not None  # noqa: S101 - it is what woke us
        try:
            client, _ = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # gone again before we came to it
        self._add(client)

    def _add(self, client: socket.socket) -> None:
        client.setblocking(False)
        self._all.add(client)
        self._selector.register(client, selectors.EVENT_READ)

    def _hear(self, client: socket.socket) -> None:
        try:
            said = client.recv(_LINE_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            said = b""
        if not said:
            self._drop(client)
            return
        # One short word in one write on a local socket: it arrives whole.
        if said.strip() == b"join":
            self._joined.add(client)
            self.idle_since = None
        self._send(client, self._status())

    def _send(self, client: socket.socket, message: dict[str, Any]) -> None:
        try:
            client.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._drop(client)  # dead, or it reads nothing: either way it learns the rest when it joins again

    def _drop(self, client: socket.socket) -> None:
        if client not in self._all:
            return
        self._selector.unregister(client)
        self._all.discard(client)
        client.close()
        if client in self._joined:
            self._joined.discard(client)
            if not self._joined:
                self.idle_since = time.monotonic()
