"""`land`: kept as received, whole or not at all, the same file for the same content."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

import penstock as ps
from penstock import data

CONTENT = b"a,b\n1,2\n" * 300_000


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def stream() -> AsyncIterator[bytes]:
    for at in range(0, len(CONTENT), 70_001):
        await asyncio.sleep(0)
        yield CONTENT[at : at + 70_001]


def pieces() -> Iterator[bytes]:
    yield from (CONTENT[at : at + 999_983] for at in range(0, len(CONTENT), 999_983))


async def fetched() -> AsyncIterator[bytes]:
    await asyncio.sleep(0)
    return stream()


@pytest.mark.parametrize("form", ["bytes", "memoryview", "path", "iterator", "stream", "awaitable", "awaited bytes"])
async def test_every_form_of_content(tmp_path: Path, form: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)

    async def whole() -> bytes:
        return CONTENT

    given: dict[str, Any] = {
        "bytes": CONTENT,
        "memoryview": memoryview(CONTENT),
        "path": source,
        "iterator": pieces(),
        "stream": stream(),
        "awaitable": fetched(),
        "awaited bytes": whole(),
    }
    landed = await data.land(given[form], name="report.csv", origin="DV360 / 4711", folder=tmp_path / "landing")
    for unused in ("awaitable", "awaited bytes"):
        if unused != form:
            given[unused].close()
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert landed.path == tmp_path / "landing" / sha256[:2] / sha256 / "report.csv"
    assert landed.path.read_bytes() == CONTENT
    assert (landed.name, landed.origin, landed.sha256, landed.bytes) == (
        "report.csv",
        "DV360 / 4711",
        sha256,
        len(CONTENT),
    )
    assert datetime.now(UTC) >= landed.landed_at
    assert files(tmp_path / "landing") == [landed.path]


async def test_a_repeat_is_the_same_file_and_heals_it(tmp_path: Path) -> None:
    first = await data.land(b"x", name="a", origin="o", folder=tmp_path)
    first.path.unlink()
    first.path.write_bytes(b"torn")
    again = await data.land(b"x", name="a", origin="o", folder=tmp_path)
    assert again.path == first.path
    assert again.path.read_bytes() == b"x"
    other = await data.land(b"y", name="a", origin="o", folder=tmp_path)
    assert files(tmp_path) == sorted([first.path, other.path])


async def test_a_landed_file_is_read_only_and_can_be_read(tmp_path: Path) -> None:
    landed = await data.land(b"a;b\n1;2\n", name="day.csv", origin="o", folder=tmp_path)
    assert landed.path.stat().st_mode & 0o222 == 0
    assert (await data.read(landed.path)).rows() == [("1", "2")]


async def test_it_is_fit_to_be_an_output(tmp_path: Path) -> None:
    landed = await data.land(b"", name="a", origin="o", folder=tmp_path)
    adapter = TypeAdapter(data.Landed)
    assert adapter.validate_json(adapter.dump_json(landed)) == landed
    with pytest.raises(ValueError, match="frozen"):
        landed.name = "b"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def test_a_stream_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield CONTENT
        raise ConnectionResetError("cut")

    with pytest.raises(ConnectionResetError):
        await data.land(broken(), name="a", origin="o", folder=tmp_path)
    assert files(tmp_path) == []


async def test_a_cancelled_one_leaves_nothing(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield CONTENT
        begun.set()
        await asyncio.Event().wait()

    landing = asyncio.create_task(data.land(slow(), name="a", origin="o", folder=tmp_path))
    await begun.wait()
    landing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await landing
    assert files(tmp_path) == []


async def test_many_at_once_of_one_content(tmp_path: Path) -> None:
    landed = await asyncio.gather(*(data.land(stream(), name="a", origin="o", folder=tmp_path) for _ in range(8)))
    assert {each.path for each in landed} == set(files(tmp_path))
    assert landed[0].path.read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "a\\b", "a\nb", "a\0", " a", "x" * 201])
async def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ps.InvalidData, match="give the file a plain name"):
        await data.land(b"x", name=name, origin="o", folder=tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("content", ["text", 7, ["text"]])
async def test_what_is_no_content_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(ps.DefinitionError, match="content"):
        await data.land(content, name="a", origin="o", folder=tmp_path)
    assert files(tmp_path) == []


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ps.InvalidData, match="cannot be landed"):
        await data.land(tmp_path / "nowhere", name="a", origin="o", folder=tmp_path / "landing")


async def test_a_disk_that_takes_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "landing").write_text("a file where the folder should be")
    with pytest.raises(ps.StepError, match=r"landing: cannot be written .*give folder="):
        await data.land(b"x", name="a", origin="o", folder=tmp_path / "landing")


async def test_by_default_it_lies_in_penstocks_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    landed = await data.land(b"x", name="a", origin="o")
    assert landed.path.is_relative_to(tmp_path / "home" / "landing")


def test_what_a_killed_process_left_is_swept_a_day_later(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\nfrom penstock import data\n"
        "async def slow():\n  yield b'x' * 3_000_000\n  print('begun', flush=True)\n  await asyncio.Event().wait()\n"
        "asyncio.run(data.land(slow(), name='a', origin='o', folder=pathlib.Path(sys.argv[1])))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGKILL)
    (left,) = files(tmp_path)
    landed = asyncio.run(data.land(b"x", name="a", origin="o", folder=tmp_path))
    assert files(tmp_path) == sorted([left, landed.path]), "it may still be at work"
    os.utime(left, (0, 0))
    asyncio.run(data.land(b"x", name="a", origin="o", folder=tmp_path))
    assert files(tmp_path) == [landed.path]


async def test_a_download_is_hung_up_when_it_cannot_be_kept(tmp_path: Path) -> None:
    hung_up = False

    async def download() -> AsyncIterator[bytes]:
        nonlocal hung_up
        try:
            while True:
                yield b"x" * 2_000_000
        finally:
            hung_up = True

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, hard))
    try:
        with pytest.raises(ps.StepError, match=r"cannot be written \(File too large\); look at the disk"):
            await data.land(download(), name="a", origin="o", folder=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert hung_up
    assert files(tmp_path) == []
