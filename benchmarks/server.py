"""The server that is measured on, databases of our own in it, and the processor time that it takes."""

from __future__ import annotations

import os
import platform
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from penstock.ledger.embedded import EmbeddedServer
from penstock.ledger.migrate import upgrade

TICK = 1 / os.sysconf("SC_CLK_TCK")


@contextmanager
def server() -> Generator[str]:
    """The URL of the server that PENSTOCK_DATABASE_URL names, else of an embedded one that is gone afterwards."""
    if given := os.environ.get("PENSTOCK_DATABASE_URL"):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        embedded = EmbeddedServer(Path(folder) / "pg")
        try:
            yield embedded.start()
        finally:
            embedded.stop()


@contextmanager
def database(server_url: str, *, migrated: bool = True) -> Generator[str]:
    """The URL of a new database, dropped afterwards."""
    name = f"penstock_bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        head, mark, options = server_url.partition("?")
        scheme, _, rest = head.partition("://")
        url = f"{scheme}://{rest.partition('/')[0]}/{name}{mark}{options}"
        try:
            if migrated:
                upgrade(url)
            yield url
        finally:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def facts(url: str) -> dict[str, str]:
    """What the figures depend on."""
    settings = ("server_version", "shared_buffers", "work_mem", "fsync", "synchronous_commit")
    with psycopg.connect(url) as connection:
        shown = {name: str(_one(connection, f"show {name}")) for name in settings}
    return {"processors": str(os.cpu_count()), "python": platform.python_version(), **shown}


def backend_seconds(pid: int) -> float | None:
    """Seconds on a processor of one backend, to a microsecond; None where it cannot be told."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return None


def server_seconds(url: str) -> float | None:
    """Seconds on a processor of the whole server, ended backends included; None where it is another machine's."""
    with psycopg.connect(url) as connection:
        main = int(_stat(int(_one(connection, "select pg_backend_pid()")))[1])
    if not main:
        return None
    try:
        for _ in range(20):
            ended = _stat(main)[13:15]
            own = [pid for pid in _processes() if pid == main or int(_stat(pid)[1]) == main]
            living = sum(sum(map(int, _stat(pid)[11:13])) for pid in own)
            if _stat(main)[13:15] == ended:  # none ended meanwhile, which would have counted twice or not at all
                return TICK * (living + sum(map(int, ended)))
    except (OSError, IndexError):
        pass
    return None


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return ["X", "0", *["0"] * 20]


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
