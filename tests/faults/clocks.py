"""Clocks that jump, by libfaketime: a file says how far off they are, and is read at every look at the clock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


class Clock:
    """The wall clock of whatever is started with `environ`; the time since boot goes on as it is.

    Args:
        folder: Where the file is made.
        boot_too: The monotonic clock jumps with it, as on a machine that slept and counts that.
    """

    def __init__(self, folder: Path, *, boot_too: bool = False) -> None:
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            reason = "needs libfaketime (apt-get install libfaketime)"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        self._file = folder / "clock"
        self.jump(0)
        self.environ = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "0" if boot_too else "1",
            "DONT_FAKE_MONOTONIC": "0" if boot_too else "1",
        }

    def jump(self, seconds: float) -> None:
        """So far off it is from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.3f}\n")
        fresh.chmod(0o644)
        fresh.replace(self._file)
