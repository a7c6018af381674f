"""Blocks with frames say what to install where the extra is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import penstock as ps
from penstock.data.extra import frames_needed


def test_what_is_missing_is_said() -> None:
    frames_needed("dataframely")
    with pytest.raises(ps.SettingError, match=r"need no_such_library: pip install 'penstock\[data\]'"):
        frames_needed("no_such_library")


def test_names_cost_no_frames_until_they_are_called() -> None:
    code = "from penstock.data import *; import sys; print({'polars', 'dataframely'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
