"""Processes that use an embedded server, and what can be seen of it from outside. Shared by the tests beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from penstock.ledger.embedded import ServerStatus, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

CLIENT = """
import json, os, sys
from pathlib import Path
from penstock.ledger.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
try:
    print(json.dumps({"url": server.start(), "notice": server.notice}), flush=True)
except Exception as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
sys.stdin.read()
"""

FORKING_CLIENT = CLIENT.replace(
    "sys.stdin.read()",
    """
child = os.fork()
if child == 0:
    server.start()
print(json.dumps({"pid": os.getpid(), "url": server.start()}), flush=True)
sys.stdin.read()
""",
)


def until(ask: Callable[[], Any], seconds: float = 40.0) -> Any:
    """Ask until the answer is true; the deadline only keeps a broken server from hanging the tests."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return answer


def gone(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rsplit(")", 1)[1].split()[0] == "Z"


def living_in(folder: Path) -> list[int]:
    """List the keepers and servers of ``folder``: both work inside it."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(folder):
                found.append(int(entry.name))
    return found


def postmasters(folder: Path) -> list[int]:
    """List the servers of ``folder``: the ``postgres`` processes that are no other one's child."""
    parents: dict[int, int] = {}
    for pid in living_in(folder):
        with suppress(OSError):  # a backend that has just ended
            name, rest = Path(f"/proc/{pid}/stat").read_text("utf-8").split("(", 1)[1].rsplit(")", 1)
            if name == "postgres":
                parents[pid] = int(rest.split()[1])
    return [pid for pid, parent in parents.items() if parent not in parents]


class Client:
    """A process that holds the server, and what it was told."""

    def __init__(self, folder: Path, code: str = CLIENT, argv: tuple[str, ...] = (sys.executable,)) -> None:
        self.process = subprocess.Popen(
            [*argv, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
        )

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said

    @property
    def url(self) -> str:
        said = self.hear()
        assert "url" in said, said
        return str(said["url"])

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait()


def clients_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    """The body of a fixture: start clients with a short grace, end them, and wait until nothing runs in ``folder``."""
    monkeypatch.setenv("PENSTOCK_EMBEDDED_GRACE", "0.3")
    started: list[Client] = []

    def start(*args: Any, **kwargs: Any) -> Client:
        started.append(Client(*args, **kwargs))
        return started[-1]

    yield start
    for client in started:
        if client.process.poll() is None:
            client.kill()
    until(lambda: not living_in(folder))


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def ask_again(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Ask as a client does that reconnects to the URL it knows until it gets through."""

    def attempt() -> list[tuple[Any, ...]] | None:
        with suppress(psycopg.OperationalError):
            return ask(url, statement)
        return None

    rows: list[tuple[Any, ...]] = until(attempt)
    return rows


def ready(folder: Path) -> ServerStatus:
    def look() -> ServerStatus | None:
        status = running(folder)
        return status if status is not None and status.state == "ready" else None

    found: ServerStatus = until(look)
    return found


def assert_nothing_left(status: ServerStatus, folder: Path) -> None:
    assert status.keeper_pid is not None
    assert status.server_pid is not None
    until(lambda: gone(status.keeper_pid or 0) and gone(status.server_pid or 0))
    until(lambda: not living_in(folder))
    assert running(folder) is None
