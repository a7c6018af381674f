"""Files for tests of reading, and what reading them gives."""

from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import penstock as ps
from penstock import data
from penstock.data.sources.faults import BadInput

SHARED = Path(os.environ.get("PENSTOCK_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))


def put(folder: Path, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return path


def packed(folder: Path, name: str, content: str | bytes) -> Path:
    return put(folder, name, gzip.compress(content.encode() if isinstance(content, str) else content))


def zipped(folder: Path, name: str, members: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return folder / name


async def refused(path: Path, **said: Any) -> BadInput:
    """How the file is refused: as invalid data that names the file, says what to do, and shows no class of ours."""
    with pytest.raises(ps.InvalidData) as caught:
        await data.read(path, **said)
    error = caught.value
    assert isinstance(error, BadInput)
    assert str(error).startswith(str(path))
    assert "; " in str(error), "it has to say what to do next"
    return error


async def batches(path: Path, **said: Any) -> list[pl.DataFrame]:
    return [frame async for frame in data.read_batches(path, **said)]
