"""Lines to a database on which packets vanish: nobody hangs up, and nobody answers.

`Dropping` drops packets in the kernel, as a pulled cable or a firewall does; it needs root and iptables. `Frozen` is a
middleman that goes on taking what comes, and its kernel goes on acknowledging it, and nothing arrives.
"""

from __future__ import annotations

import os
import selectors
import shutil
import socket
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

import pytest

from tests.faults.server import Server


class Dropping:
    """The server's port, whose packets can be made to vanish.

    Args:
        server: It listens on loopback.
    """

    def __init__(self, server: Server) -> None:
        if os.geteuid() != 0 or shutil.which("iptables") is None:
            pytest.skip("dropping packets needs root and iptables")
        self.url, self._port = server.url, server.port

    @contextmanager
    def silent(self, *, for_good: bool = False) -> Generator[None]:
        """Nothing arrives meanwhile, in either direction; TCP mends it afterwards, whatever is asked for."""
        rules = [
            ["INPUT", "-i", "lo", "-p", "tcp", way, str(self._port), "-j", "DROP"] for way in ("--dport", "--sport")
        ]
        done = subprocess.run(["iptables", "-w", "-I", *rules[0]], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no packets can be dropped here: {done.stderr.strip()}")
        try:
            subprocess.run(["iptables", "-w", "-I", *rules[1]], check=True)
            yield
        finally:
            for rule in rules:
                subprocess.run(["iptables", "-w", "-D", *rule], check=False)


class Frozen:
    """A forwarder on loopback that can be told to forward nothing."""

    def __init__(self, server: Server) -> None:
        self._server = server.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = server.url.replace(f":{server.port}/", f":{self._listener.getsockname()[1]}/")
        self._still, self._over = threading.Event(), threading.Event()
        self._for_good = False
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._thread = threading.Thread(target=self._forward, name="frozen", daemon=True)
        self._thread.start()

    @contextmanager
    def silent(self, *, for_good: bool = False) -> Generator[None]:
        """Nothing is forwarded meanwhile; connections on which something was lost are closed when it is over.

        Args:
            for_good: They are not closed but stay silent, as where a router has forgotten them; only new ones work.
        """
        self._for_good = for_good
        self._still.set()
        yield
        self._still.clear()

    def close(self) -> None:
        """Forward no more."""
        self._over.set()
        self._thread.join(10)

    def _forward(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
            lost: set[socket.socket] = set()
            while not self._over.is_set():
                ready = [key.fileobj for key, _ in selector.select(0.05) if isinstance(key.fileobj, socket.socket)]
                if not self._still.is_set() and not self._for_good:
                    for broken in lost:
                        self._drop(selector, broken)
                    lost.clear()
                for one in ready:
                    if one is self._listener:
                        self._accept(selector)
                    elif one in self._pairs:
                        self._pass_on(selector, one, lost)
            for one in list(self._pairs):
                self._drop(selector, one)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._server))
        for one, other in ((client, server), (server, client)):
            self._pairs[one] = other
            selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, selector: selectors.BaseSelector, one: socket.socket, lost: set[socket.socket]) -> None:
        data = b""
        with suppress(OSError):
            data = one.recv(65536)
        if not data:
            self._drop(selector, one)
        elif self._still.is_set() or one in lost:
            lost.update((one, self._pairs[one]))
        else:
            try:
                self._pairs[one].sendall(data)
            except OSError:
                self._drop(selector, one)

    def _drop(self, selector: selectors.BaseSelector, one: socket.socket) -> None:
        for end in (one, self._pairs.get(one)):
            if end is not None and end in self._pairs:
                del self._pairs[end]
                selector.unregister(end)
                end.close()
