"""The lock: a second process waits and goes on at once; a killed holder holds nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aegis.lock import LockError, exclusive

PROGRAM = """
import sys
from pathlib import Path
from aegis.lock import exclusive
with exclusive(Path(sys.argv[1]), lambda holder: print("waits for", holder, flush=True)):
    print("holds", flush=True)
    sys.stdin.readline()
"""


def process(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )


def line(of: subprocess.Popen[str]) -> str:
    assert of.stdout is not None
    return of.stdout.readline().strip()


def release(holder: subprocess.Popen[str]) -> None:
    holder.communicate("\n", timeout=30)
    assert holder.returncode == 0


def nobody(_: str) -> None:
    raise AssertionError("nobody else holds it")


def test_a_second_process_waits_and_then_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = process(path)
    assert line(first) == "holds"
    second = process(path)
    assert re.fullmatch(rf"waits for PID: {first.pid}, Started: \d{{4}}-\d\d-\d\dT[\d:+-]+", line(second))
    assert path.read_text().startswith(f"PID: {first.pid}\nStarted: 20")
    released = time.monotonic()
    release(first)
    assert line(second) == "holds"
    assert time.monotonic() - released < 20
    assert path.read_text().startswith(f"PID: {second.pid}\n")
    release(second)


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = process(path)
    assert line(first) == "holds"
    first.kill()
    first.communicate(timeout=30)
    assert path.is_file()
    with exclusive(path, nobody):
        assert path.read_text().splitlines()[0] == f"PID: {os.getpid()}"


def test_the_file_stays_and_says_who_held_it_last(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with exclusive(path, nobody):
        held = path.read_text().splitlines()
    left = path.read_text().splitlines()
    assert [entry.split(":")[0] for entry in held] == ["PID", "Started"]
    assert [entry.split(":")[0] for entry in left] == ["PID", "Started", "Finished"]
    assert left[:2] == held


def test_a_lock_on_a_removed_file_is_worth_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = process(path)
    assert line(first) == "holds"
    second = process(path)
    assert line(second).startswith("waits")
    path.unlink()
    release(first)
    assert line(second) == "holds"
    third = process(path)  # would hold too, had the second taken the removed file
    assert line(third).startswith(f"waits for PID: {second.pid}")
    release(second)
    assert line(third) == "holds"
    release(third)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(LockError, match=r"cannot be opened \(Is a directory\).*LOCK_FILE_PATH"),
        exclusive(tmp_path, nobody),
    ):
        pass
    missing = tmp_path / "missing" / "lock"
    with pytest.raises(LockError, match="No such file"), exclusive(missing, nobody):
        pass


def test_a_link_is_refused_and_what_it_leads_to_untouched(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(LockError, match="It is a link"), exclusive(tmp_path / "lock", nobody):
        pass
    assert target.read_text() == "mine"


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    path.touch()
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(LockError, match=r"belongs to .*: run as that user"), exclusive(path, nobody):
        pass
    assert path.read_text() == ""


def test_an_error_inside_releases_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(ZeroDivisionError), exclusive(path, nobody):
        _ = 1 / 0
    with exclusive(path, nobody):
        pass
