"""A mail server and a chat's webhook on real sockets, which keep what they are given."""

from __future__ import annotations

import json
import socket
import threading
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Mail:
    """An SMTP server; `refuse` is what it answers instead of taking a message."""

    def __init__(self, port: int = 0, *, password: str = "s3cret/mail+word") -> None:
        self.messages: list[Any] = []
        self.refuse: str | None = None
        self._password = password
        self._controller = Controller(
            self, hostname="127.0.0.1", port=port or free_port(), authenticator=self._login,
            auth_required=True, auth_require_tls=False,
        )  # fmt: skip

    @property
    def port(self) -> int:
        return int(self._controller.port)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._controller.stop()

    def _login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == self._password.encode())

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd calls it so
        if self.refuse is not None:
            return self.refuse
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 taken"

    def texts(self) -> list[tuple[str, str]]:
        """Subject and plain text of each."""
        return [(m["subject"], m.get_body(("plain",)).get_content()) for m in self.messages]


class Chat:
    """A webhook; `status` is what it answers, `hold` keeps it from answering until it is set."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.hold: threading.Event | None = None
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if chat.hold is not None:
                    chat.hold.wait(60)
                if chat.status < 300:
                    chat.posts.append((self.path, json.loads(body)))
                self.send_response(chat.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the base class's name

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.hold is not None:
            self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
