"""`python -m medallion`, as an operator uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medallion.vault import new_key
from systems.medallion.tests.world import World, line


def medallion(
    world: World, *words: str, code: int = 0, given: str = "", module: str = "medallion", **environ: str
) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=world.folder, env={**os.environ, **environ}, input=given, capture_output=True, text=True, check=False,
        timeout=100,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def organization(world: World, **changes: Any) -> Path:
    feed = {"name": "Drop", "source": "drop", "config": {"folder": str(world.inbox)}}
    path = world.folder / "acme.yaml"
    path.write_text(json.dumps({"name": "Acme", "feeds": [feed | changes]}))  # JSON is YAML
    return path


def test_an_organization_is_onboarded_paced_and_looked_at(world: World) -> None:
    world.drop("2024-12-20.csv", line(), line(item="L2", clicks="x"), line(item="L3"))
    assert "Acme has its first gold tables." in medallion(world, "onboard", str(organization(world)))
    assert medallion(world, "onboard", str(organization(world))) == "Acme is there already.\n"
    assert medallion(world, "organizations").splitlines()[1].split() == ["1", "Acme", "1"]
    assert str(world.inbox) in medallion(world, "feeds")
    budgets = world.folder / "budgets.csv"
    budgets.write_text("campaign_id,name,budget,starts,ends\nC1,Spring,100,2024-12-01,2024-12-31\n")
    assert "1 campaigns of Drop have their budgets" in medallion(world, "campaigns", "Drop", str(budgets))
    assert "did you mean 'Drop'?" in medallion(world, "campaigns", "Drob", str(budgets), code=1)
    shown = medallion(world, "rejections", "--feed", "Drop").splitlines()
    assert shown[1].split()[:5] == ["Drop", "2024-12-20.csv", "3", "invalid_types", "clicks|dtype"]
    (world.inbox / "2024-11-30.csv").write_text((world.inbox / "2024-12-20.csv").read_text())
    filled = medallion(world, "backfill", "Drop", "--start", "2024-11-01", "--end", "2024-12-31")
    assert "1 days of Drop" in filled
    assert "Runs: 1 completed." in filled
    assert "Nothing to do" in medallion(world, "backfill", "Drop", "--start", "2024-11-01", "--end", "2024-12-31")
    assert world.one("select count(*) from gold.pacing_metrics") == 1


def test_what_is_wrong_is_told_in_a_line(world: World) -> None:
    assert "feeds.0.source: Input should be 'dsp' or 'drop'" in medallion(
        world, "onboard", str(organization(world, source="ftp")), code=1
    )
    assert "There is no format 'dv36'; did you mean dv360?" in medallion(
        world, "onboard", str(organization(world, config={"folder": str(world.inbox), "format": "dv36"})), code=1
    )
    assert "nothing.yaml cannot be read: No such file" in medallion(world, "onboard", "nothing.yaml", code=1)
    failed = world.folder / "bad.csv"
    failed.write_text("campaign_id,name,budget,starts,ends\nC1,Spring,-1,2024-12-01,2024-12-31\n")
    assert "bad.csv, line 2: budget='-1' has to be above 0" in medallion(world, "campaigns", "Drop", "bad.csv", code=1)
    (world.folder / "latin.json").write_bytes(b'{"client_secret": "\xe9"}')
    told = medallion(world, "credentials", "set", "acme", "--file", "latin.json", code=1)
    assert told == "medallion: The secret is no UTF-8; save it so.\n"
    nameless = world.folder / "nameless.yaml"
    nameless.write_text('{"name": "", "feeds": []}')
    assert "nameless.yaml: name: String should have at least 1 char" in medallion(
        world, "onboard", str(nameless), code=1
    )
    assert "feeds.0.config.pattern" in medallion(
        world, "onboard", str(organization(world, config={"folder": str(world.inbox), "pattern": "../*"})), code=1
    )
    assert "--start 2025-01-02 is after --end 2025-01-01" in medallion(
        world, "backfill", "Drop", "--start", "2025-01-02", "--end", "2025-01-01", code=1
    )


def test_credentials_are_kept_and_rotated(world: World) -> None:
    old, new = medallion(world, "new-key").strip(), new_key()
    secret = {"client_id": "me", "client_secret": "hush-4711", "refresh_token": "1//token"}
    refused = medallion(world, "credentials", "set", "acme", code=1, given=json.dumps(secret))
    assert "MEDALLION_CREDENTIALS_KEY is not set" in refused
    kept = medallion(world, "credentials", "set", "acme", given=json.dumps(secret), MEDALLION_CREDENTIALS_KEY=old)
    assert kept == "acme is kept.\n"
    assert "hush" not in str(world.rows("select * from medallion.credentials"))
    assert medallion(world, "credentials", "list").splitlines()[1].startswith("acme")
    rotated = medallion(world, "credentials", "rotate", MEDALLION_CREDENTIALS_KEY=f"{new},{old}")
    assert rotated == "1 credentials are encrypted with the first key.\n"
    assert "a key that MEDALLION_CREDENTIALS_KEY does not have" in medallion(
        world, "credentials", "rotate", code=1, MEDALLION_CREDENTIALS_KEY=old
    )
    broken = medallion(
        world, "credentials", "set", "acme", code=1, given='{"client_secret": hush}', MEDALLION_CREDENTIALS_KEY=new
    )
    assert "The secret is no JSON (line 1, column 19)" in broken
    assert "hush" not in broken
    assert medallion(world, "credentials", "forget", "acme") == "acme is forgotten.\n"


@pytest.mark.timeout(240)
def test_the_demonstration(world: World) -> None:
    shown = medallion(world, module="medallion.demo").splitlines()
    tables = [row.split()[:3] for row in shown]
    assert ["bronze", "125,000", "-"] in tables
    assert ["silver", "124,400", "600"] in tables
    assert any("Quality score 99.52: 124,400 of 125,000" in row for row in shown)
    assert ["missing_fields", "campaign_id|nullability", "250"] in tables
    assert ["duplicates", "primary_key", "150"] in tables
    assert ["invalid_types", "clicks|dtype", "125"] in tables
    assert ["out_of_range", "spend|min", "75"] in tables
    assert {row.split()[-1] for row in shown if row.startswith("Campaign ")} == {"over", "on_track", "under"}
    again = medallion(world, module="medallion.demo")
    assert again.count("nothing to do") == 2
