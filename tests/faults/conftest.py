"""A world per test; every process that a test starts is ended with it, by its id.

A test with an argument `turn` runs so many times as PENSTOCK_FAULTS says, each time with chances of its own. All tests
get their first turn before any gets its second, so that a long run that is cut short has tried everything.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.faults.world")

from tests.faults.server import Server, database  # noqa: E402 - it takes from world
from tests.faults.world import MORE, World  # noqa: E402 - its assertions are to be told in full

SEED = os.environ.get("PENSTOCK_SEED") or str(random.SystemRandom().randrange(2**32))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "turn" in metafunc.fixturenames:
        metafunc.parametrize("turn", range(MORE))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    spec = getattr(item, "callspec", None)
    turn = None if spec is None else spec.params.get("turn")
    return turn if isinstance(turn, int) else 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MORE > 1:
        terminalreporter.write_line(f"PENSTOCK_FAULTS={MORE} PENSTOCK_SEED={SEED}")


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """An empty ledger on the server of the tests."""
    made = World(database_url, tmp_path)
    yield made
    made.end()


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """What a failed test took by chance, it takes again when it is given the seed in its output."""
    name = request.node.nodeid
    print(f"again: make faults N={MORE} SEED={SEED} ARGS='{name}'")  # noqa: T201 - pytest shows it when the test fails
    return random.Random(f"{SEED} {name}")


@pytest.fixture(scope="session")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tests may kill; each of them finds it running."""
    server = Server(tmp_path_factory.mktemp("own"))
    yield server
    server.end()


@pytest.fixture
def mortal(own_server: Server, tmp_path: Path) -> Iterator[World]:
    """An empty ledger on a server that may be killed."""
    if own_server.process is None or own_server.process.poll() is not None:
        own_server.start()
    with database(own_server) as url:
        made = World(url, tmp_path)
        yield made
        made.end()
