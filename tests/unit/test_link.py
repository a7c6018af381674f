"""How the line to the database is dialled."""

from __future__ import annotations

import socket

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from penstock.ledger.connect import is_broken, translated
from penstock.ledger.link import SILENCE, dialled
from penstock.model.errors import LedgerUnavailable


def test_silence_has_limits_unless_the_url_says_otherwise() -> None:
    given = conninfo_to_dict(dialled("postgresql+psycopg://u:p%20w@host/db?keepalives=0&connect_timeout=60"))
    assert given["password"] == "p w"
    assert (given["keepalives"], given["connect_timeout"]) == ("0", "60")
    assert given["tcp_user_timeout"] == str(SILENCE["tcp_user_timeout"])


def test_one_who_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(dialled(f"postgresql://u@127.0.0.1:{port}/db?connect_timeout=2"))


@pytest.mark.parametrize(
    "error", [psycopg.errors.DiskFull, psycopg.errors.OutOfMemory, psycopg.errors.TooManyConnections]
)
def test_a_server_that_lacks_something_may_be_asked_again(error: type[psycopg.Error]) -> None:
    assert is_broken(error("short of it"))
    with pytest.raises(LedgerUnavailable), translated():
        raise error("short of it")


def test_a_limit_that_the_statement_itself_broke_is_its_own_fault() -> None:
    assert not is_broken(psycopg.errors.ConfigurationLimitExceeded("temp_file_limit"))


def test_a_full_disk_is_named() -> None:
    with pytest.raises(LedgerUnavailable, match="no room on its disk"), translated():
        raise psycopg.errors.DiskFull("could not extend file")
