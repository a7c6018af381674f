"""penstock.yaml as an enemy or a tired person would write it: one clear line, bounded time, bounded memory."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.config import load_settings, read_file
from penstock.model.errors import SettingError

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{','.join(['*' + old] * 10)}]}}\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
BAD = {
    "nested flow": (b"settings:\n  x: " + b"[" * 100_000, 2, "nested more than 32 deep"),
    "nested block": (b"settings:\n" + b"".join(b" " * n + b"- \n" for n in range(1, 400)), 33, "nested more than 32"),
    "nested mappings": (b"settings: " + b"{a: " * 50_000, 1, "nested more than 32 deep"),
    "billion laughs": (LAUGHS.encode(), 5, "its aliases written out"),
    "billion merges": (MERGES.encode(), 5, "its aliases written out"),
    "an alias in itself": (b"settings: &a [*a]\n", 1, "an alias stands within what it names"),
    "a Python object": (b"lanes: 4\napp: !!python/object/apply:os.system ['touch owned']\n", 2, "could not determine"),
    "a tag nobody knows": (b"app: !shell rm\n", 1, "could not determine a constructor"),
    "a name twice": (b"lanes: 4\nlog_level: INFO\nlanes: 5\n", 3, "'lanes' is there already, on line 1"),
    "a name twice below": (b"settings:\n  a: 1\n  a: 2\n", 3, "'a' is there already, on line 2"),
    "a name twice on one line": (b"settings: {a: 1, a: 2}\n", 1, "'a' is there already, on line 1"),
    "NUL": (b"lanes: 4\napp: a\x00b\n", 2, "U+0000 may not stand in YAML"),
    "not UTF-8": (b"lanes: 4\n# caf\xe9\n", 2, "byte 0xe9 is no UTF-8"),
    "UTF-16": ("lanes: 4\n".encode("utf-16"), 1, "is no UTF-8"),
    "a tab": (b"settings:\n\ta: 1\n", 2, "cannot start any token"),
    "two documents": (b"lanes: 4\n---\nlanes: 5\n", 2, "expected a single document"),
    "a list": (b"# ours\n- lanes\n", 2, "this is a list"),
    "a date that is none": (b"settings:\n  since: 2025-13-45\n", 2, "this value cannot be read"),
    "a number that is none": (b"lanes: !!int many\n", 1, "this value cannot be read"),
    "a number of 5000 digits": (b"lanes: " + b"9" * 5000, 1, "this value cannot be read"),
    "a mapping as a name": (b"? {a: 1}\n: 2\n", 1, "found unhashable key"),
    "an unknown name": (b"lanes: 4\nlames: 5\n", 2, "there is no setting 'lames'; did you mean 'lanes'?"),
    "settings of the wrong kind": (b"lanes: 4\nsettings: [1]\n", 2, "settings: is a mapping"),
    "lanes as a list": (b"\nlanes: [4]\n", 2, "is one value, and not a list"),
    "lanes as a boolean": (b"lanes: true\n", 1, "is one value, and not a bool"),
    "lanes as a fraction": (b"lanes: 3.7\n", 1, "is no number"),
    "lanes without end": (b"lanes: 999999999999\n", 1, "1 to 10,000"),
    "grace for ever": (b"grace: .inf\n", 1, "0 to 604,800"),
    "grace not a number": (b"grace: .nan\n", 1, "0 to 604,800"),
    "a home without a name": (b'home: ""\n', 1, "is no folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_of_with_its_line(name: str, tmp_path: Path) -> None:
    raw, line, says = BAD[name]
    (tmp_path / "penstock.yaml").write_bytes(raw)
    began = time.process_time()
    with pytest.raises(SettingError) as raised:
        load_settings(environ={}, folder=tmp_path)
    assert time.process_time() - began < 5
    assert says in str(raised.value)
    assert f"penstock.yaml, line {line}" in str(raised.value)
    assert len(str(raised.value)) < 600 + len(str(tmp_path))
    assert not Path("owned").exists()


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "penstock.yaml"
    with path.open("wb") as file:
        file.truncate(10 * 2**30)  # a sparse one: it takes no room
    with pytest.raises(SettingError, match="has 10,737,418,240 bytes"):
        read_file(path)


def test_what_people_write_is_read(tmp_path: Path) -> None:
    text = "\ufeff# ours\nlanes: 8\nhome: data\nsettings:\n  one: &one {a: 1}\n"
    text += "  two: {<<: *one, b: 2}\n  three: [*one, *one]\n"
    (tmp_path / "penstock.yaml").write_text(text, encoding="utf-8")
    settings = load_settings(environ={}, folder=tmp_path)
    assert settings.lanes == 8
    assert settings.user == {"one": {"a": 1}, "two": {"a": 1, "b": 2}, "three": [{"a": 1}, {"a": 1}]}
    for empty in ("", "# nothing\n", "---\n"):
        (tmp_path / "penstock.yaml").write_text(empty)
        assert load_settings(environ={}, folder=tmp_path).lanes == 4


def test_the_largest_file_that_may_be_takes_little(tmp_path: Path) -> None:
    """In a process of its own, since it is the peak that counts."""
    lines = [f"  name{n}: value" for n in range(6_000)]
    (tmp_path / "penstock.yaml").write_text("settings:\n" + "\n".join(lines))
    program = (
        "import sys; from pathlib import Path; from penstock.config import load_settings; import yaml;"
        # Not ru_maxrss: that of a child begins with what its parent had.
        "peak = lambda: int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]);"
        "before = peak();"
        "s = load_settings(environ={}, folder=Path(sys.argv[1]));"
        "print(len(s.user), peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True, timeout=60
    )
    names, kilobytes = map(int, done.stdout.split())
    assert names == 6_000
    assert kilobytes < 100_000


def test_plain_pyyaml_would_have_taken_them() -> None:
    """The control: what is refused above passes there, or ends it in a way that nobody expects."""
    assert yaml.safe_load("lanes: 4\nlanes: 5\n") == {"lanes": 5}
    laughs = yaml.safe_load(LAUGHS)
    size = 1
    value: Any = laughs["i"]
    while not isinstance(value, str):
        size, value = size * len(value), value[0]
    assert size == 10**9
    with pytest.raises(RecursionError):
        yaml.safe_load("[" * 20_000 + "]" * 20_000)
    with pytest.raises(ValueError, match="month must be in"):
        yaml.safe_load("since: 2025-13-45")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 * 2**20
