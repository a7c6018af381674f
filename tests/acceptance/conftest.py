"""The command line in a folder of the test's own, on a database of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog

from penstock.cli import finding
from penstock.cli import main as penstock

REPORTS = Path(__file__).with_name("reports_app.py")
NOT_OURS = ("PENSTOCK_", "POSTGRES_", "LOG_LEVEL", "NO_COLOR", "FORCE_COLOR")


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Cli:
    """Called with the words after `penstock`, in this process; `process` starts the real one."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch
    environment: dict[str, str] = field(default_factory=dict[str, str])

    def __call__(self, *words: str) -> Answer:
        self.capture.readouterr()
        status = penstock(words)
        caught = self.capture.readouterr()
        return Answer(status, caught.out, caught.err)

    def process(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "penstock.cli", *words],
            cwd=self.folder,
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def shell(self, *words: str) -> Answer:
        process = self.process(*words)
        out, err = process.communicate(timeout=60)
        return Answer(process.returncode, out, err)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def set(self, name: str, value: str) -> None:
        self.patch.setenv(name, value)


@pytest.fixture
def bare(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """An empty folder, no settings, and a database that does not answer."""
    for name in list(os.environ):
        if name.startswith(NOT_OURS) and not name.startswith("PENSTOCK_TEST"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/nowhere")
    monkeypatch.setattr(finding, "installed_apps", list[tuple[str, str]])
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield Cli(tmp_path, capsys, monkeypatch)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        module = sys.modules[name]
        places = [*getattr(module, "__path__", ()), getattr(module, "__file__", None)]
        if any(str(place).startswith(str(tmp_path)) for place in places):
            del sys.modules[name]
    structlog.reset_defaults()


@pytest.fixture
def cli(bare: Cli, database_url: str) -> Cli:
    """A folder with the reports app, and its table in the database."""
    shutil.copy(REPORTS, bare.folder / "app.py")
    bare.set("PENSTOCK_DATABASE_URL", database_url)
    bare.set("PENSTOCK_APP", "app.py")
    with psycopg.connect(database_url) as connection:
        connection.execute("create table made (bank_id int, quarter text, words int, primary key (bank_id, quarter))")
    return bare
