"""The files for cron and systemd."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[1] / "deploy"
SERVICE, TIMER = DEPLOY / "aegis-orchestrator.service", DEPLOY / "aegis-orchestrator.timer"


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment]  # pyright: ignore[reportAttributeAccessIssue]
    parser.read_string(path.read_text())
    return parser


def test_the_crontab_runs_the_script_every_fifteen_minutes() -> None:
    (entry,) = [line for line in (DEPLOY / "crontab").read_text().splitlines() if re.match(r"[\d*]", line)]
    assert entry == (
        "*/15 * * * * cd /path/to/aegis && source venv/bin/activate && python scripts/etl_orchestrator.py "
        ">> /var/log/aegis_orchestrator.log 2>&1"
    )


def test_the_service_and_the_timer_are_the_seeds() -> None:
    service = unit(SERVICE)["Service"]
    assert service["Type"] == "oneshot"
    assert service["ExecStart"] == "/path/to/aegis/venv/bin/python scripts/etl_orchestrator.py"
    assert service["WorkingDirectory"] == "/path/to/aegis"
    timer = unit(TIMER)["Timer"]
    assert dict(timer) == {"OnBootSec": "5min", "OnUnitActiveSec": "15min", "AccuracySec": "1min"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_them_once_the_paths_are_adjusted(tmp_path: Path) -> None:
    project = tmp_path / "aegis"
    python = project / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    for file in (SERVICE, TIMER):
        (tmp_path / file.name).write_text(file.read_text().replace("/path/to/aegis", str(project)))
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / file.name) for file in (SERVICE, TIMER))],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "aegis-orchestrator" in line]
    assert (done.returncode, complaints) == (0, [])
