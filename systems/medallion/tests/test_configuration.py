"""The first system's configuration as it stands: it names what Penstock then does."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from medallion.pipelines import etl
from systems.medallion.tests.world import World, line

AS_IT_STANDS = """\
etl:
  temporal:
    namespace: "platform-etl"
    task_queue: "etl-workers"
  workers:
    max_concurrent_activities: 10
    activity_timeout: 30m
  retry:
    max_attempts: 5
    initial_interval: 1s
    max_interval: 1m
    backoff_coefficient: 2
"""


async def test_its_figures_are_those_of_the_runs(world: World) -> None:
    (world.folder / "penstock.yaml").write_text(AS_IT_STANDS)
    await world.feed()
    world.drop("2024-12-20.csv", line())
    assert (await world.through())["ETLWorkflow"].ok
    shape: dict[str, Any] = world.one(
        "select s.body from penstock.shapes s join penstock.pipelines p using (pipeline_id) where p.name = %s", etl.name
    )
    steps = {step["name"]: step for step in shape["steps"]}
    assert {step["timeout"] for step in steps.values()} == {1800.0}
    unknown = steps["gold"]["policies"]["unknown"]
    assert (unknown["attempts"], unknown["first"], unknown["limit"], unknown["factor"]) == (5, 1.0, 60.0, 2.0)
    assert steps["gold"]["policies"]["network"]["attempts"] == 6, "the table of the code is stronger"


async def test_a_changed_figure_changes_no_definition(world: World) -> None:
    await world.feed()
    world.drop("2024-12-20.csv", line())
    (world.folder / "penstock.yaml").write_text(AS_IT_STANDS)
    await world.through()
    (world.folder / "penstock.yaml").write_text(AS_IT_STANDS.replace("30m", "45m"))
    assert (await world.run(etl)).counts == {}, "nothing is stale for it"


def test_config_show_names_each_value_and_its_source(world: World) -> None:
    file = world.folder / "penstock.yaml"
    file.write_text(AS_IT_STANDS)
    shown = subprocess.run(
        [sys.executable, "-m", "penstock.cli", "--app", "medallion", "config", "show"],
        cwd=world.folder, env=dict(os.environ), capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    rows = {row.split()[0]: row.split()[1:] for row in shown.splitlines() if row.strip()}
    assert rows["lanes"][:2] == ["10", f"{file},"]
    assert rows["etl.workers.activity_timeout"] == ["30m", str(file)]
    assert rows["etl.temporal.task_queue"] == ["etl-workers", str(file)]
    file.write_text(AS_IT_STANDS.replace("max_attempts", "max_atempts"))
    refused = subprocess.run(
        [sys.executable, "-m", "penstock.cli", "--app", "medallion", "config", "show"],
        cwd=world.folder, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "line 9: etl.retry: there is no 'max_atempts'; did you mean max_attempts?" in refused.stderr
