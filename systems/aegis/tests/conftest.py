"""Fixtures of aegis's tests: where the real transcripts are, which are never part of this repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def real_transcripts() -> Path:
    """The zip of real calls; without it the test is skipped on a laptop and fails in CI."""
    data = Path(os.environ.get("PENSTOCK_TEST_DATA", _ROOT / ".." / "shared" / "data"))
    path = data / "transcripts" / "us_banks_2024Q1-2025Q2_txt.zip"
    if not path.is_file():
        reason = "no real transcripts; set PENSTOCK_TEST_DATA to the folder that holds transcripts/"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path.resolve()
