"""A world per test; every process that a test starts is ended with it, by its id."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.faults.world")

from tests.faults.world import World  # noqa: E402 - its assertions are to be told in full


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """An empty ledger on the server of the tests."""
    made = World(database_url, tmp_path)
    yield made
    made.end()


@pytest.fixture
def chance() -> random.Random:
    """Its seed is in the output of a failed test, and may be given by PENSTOCK_SEED."""
    seed = int(os.environ.get("PENSTOCK_SEED") or random.SystemRandom().randrange(2**32))
    print(f"PENSTOCK_SEED={seed}")  # noqa: T201 - pytest shows it when the test fails
    return random.Random(seed)
