"""Reading within a step: counted, cancelled, and told what to install."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import penstock as ps
from penstock import data
from penstock.data.sources import csv_rows, decoding
from penstock.definition.context import running_as
from penstock.testing import context
from tests.unit.data.files import batches, packed, put


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """What the running step counts."""
    found: dict[str, int] = {}
    step = context(ps.Day(date(2024, 12, 23)))

    def count(**more: int) -> None:
        for name, number in more.items():
            found[name] = found.get(name, 0) + number

    monkeypatch.setattr(step, "count", count)
    leave = running_as(step)
    yield found
    leave()


async def test_rows_and_bytes_are_counted(tmp_path: Path, counts: dict[str, int]) -> None:
    path = packed(tmp_path, "a.csv.gz", "a,b\n1,2\n3\n4,5\n")
    await data.read(path, bad=[])
    assert counts == {"read": 3, "failed": 1, "bytes": path.stat().st_size}


async def test_batches_are_counted_as_they_come(tmp_path: Path, counts: dict[str, int]) -> None:
    path = put(tmp_path, "a.csv", "a\n1\n2\n3\n")
    await batches(path, rows=2)
    assert counts == {"read": 3, "failed": 0, "bytes": path.stat().st_size}


async def test_landing_counts_bytes(tmp_path: Path, counts: dict[str, int]) -> None:
    await data.land(b"12345", name="a", origin="o", folder=tmp_path)
    assert counts == {"bytes": 5}


async def test_a_cancelled_reader_lets_go_of_the_file_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "a.csv", "a,b\n" + "1,2\n" * 100)
    reached, go = threading.Event(), threading.Event()

    def slow(*_: Any) -> None:
        reached.set()
        assert go.wait(10)

    monkeypatch.setattr(csv_rows, "whole_rows", slow)
    reading = asyncio.create_task(data.read(path))
    await asyncio.to_thread(reached.wait, 10)
    reading.cancel()
    await asyncio.sleep(0)
    assert not reading.done(), "the thread still reads"
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    gc.collect()  # an open file would warn, which is an error here


async def test_a_reader_that_stops_early_lets_go_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK", 20)
    frames = data.read_batches(packed(tmp_path, "a.csv.gz", "a,b\n" + "1,2\n" * 100))
    assert (await anext(frames)).height > 0
    await frames.aclose()
    gc.collect()


async def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> ModuleSpec | None:
        return None if name == "polars" else find_spec(name)

    monkeypatch.setattr("penstock.data.sources.reading.find_spec", found)
    with pytest.raises(ps.SettingError, match=r"data.read needs polars: pip install 'penstock\[data\]'\."):
        await data.read(put(tmp_path, "a.csv", "a\n1\n"))


def test_landing_needs_no_polars(tmp_path: Path) -> None:
    program = (
        "import asyncio, pathlib, sys\nsys.modules['polars'] = sys.modules['fastexcel'] = None\n"
        "from penstock import data\n"
        f"print(asyncio.run(data.land(b'x', name='a', origin='o', folder=pathlib.Path({str(tmp_path)!r}))).bytes)"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout == "1\n"
