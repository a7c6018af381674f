"""A world per test: a database, a drop folder, and medallion on both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from systems.medallion.tests.world import World


@pytest.fixture
def world(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Medallion on a database and folders of the test's own, files taken at once."""
    for name in list(os.environ):
        if name.startswith(("MEDALLION_", "POSTGRES_", "PENSTOCK_")) and not name.startswith("PENSTOCK_TEST"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", database_url)
    monkeypatch.setenv("MEDALLION_SETTLE_SECONDS", "0")
    monkeypatch.setenv("MEDALLION_LANDING_DIR", str(tmp_path / "landings"))
    return World(database_url, tmp_path)


@pytest.fixture(scope="session")
def adtech() -> Path:
    """The folder of real reports; without it the test is skipped on a laptop and fails in CI."""
    data = Path(os.environ.get("PENSTOCK_TEST_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
    folder = data / "adtech"
    if not folder.is_dir():
        reason = "no real reports; set PENSTOCK_TEST_DATA to the folder that holds adtech/"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder.resolve()
