"""Why: from what the ledger and the data say of one unit to one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from penstock.model.results import Why
from penstock.ports.records import StoredRun


def explain(
    name: str,
    key: Mapping[str, Any],
    row: Mapping[str, Any] | None,
    presence: Mapping[str, Any],
    now: datetime,
    *,
    run: StoredRun | None = None,
) -> Why:
    """Say why a unit was run or not.

    Args:
        name: The pipeline's name.
        key: The unit's key.
        row: Its row of `v1_units`, None when the ledger never saw it.
        presence: `wanted` and `existing` as the data has them now, each with its version, or None.
        now: The time to compare with.
        run: The run that holds it, if one does.
    """
    what = f"{name} {' '.join(f'{k}={v}' for k, v in key.items())}"
    facts: dict[str, Any] = {"key": dict(key), **(row or {})}
    wanted: Mapping[str, Any] | None = presence.get("wanted")
    existing: Mapping[str, Any] | None = presence.get("existing")
    facts |= {"wanted": wanted is not None, "existing": existing is not None}
    version: str | None = wanted.get("version") if wanted else None
    if row and row["active_run"]:
        return Why(f"{what} is in flight: run {row['active_run']} holds it{_rests(run)}.", facts)
    if wanted is None:
        last = " It was, and ran." if row and (row["last_run"] or row["verdict"] != "none") else ""
        return Why(f"{what} is not wanted: the pipeline's gaps do not have it.{last}", facts)
    if row and existing is None and row["verdict"] == "completed" and row["repeats"] > 1:
        times = f"completed {row['repeats']} times and still missing: existing.sql does not see it"
        return Why(f"{what} {times}{_held(row, now)}.", facts)
    if row and _waits(row, version, now):
        failures = f", {row['failures']} in a row" if row["failures"] > 1 else ""
        return Why(
            f"{what} ended {row['verdict']}{failures}{_run(row)} and is tried again from "
            f"{_time(row['not_before'])}, or when its source changes.",
            facts,
        )
    if existing is not None or (row and presence.get("ledger_only") and row["completed_at"]):
        seen: str | None = existing.get("version") if existing else (row["completed_version"] if row else None)
        if version is not None and seen is not None and seen != version:
            return Why(f"{what} is stale: it was made from version {seen}, the source has {version}.", facts)
        made = f", made by run {row['last_run']}" if row and row["last_run"] and row["verdict"] == "completed" else ""
        return Why(f"{what} is there{made}; nothing is to be done.", facts)
    if row and row["verdict"] in ("failed", "rejected", "partial"):
        return Why(f"{what} ended {row['verdict']}{_run(row)} and is a gap again; the next plan has it.", facts)
    if row and row["verdict"] == "completed":
        by = f" by run {row['last_run']}" if row["last_run"] else ""
        return Why(f"{what} was completed{by} but is not there; the next plan makes it again.", facts)
    return Why(f"{what} is missing: it is wanted and was never made; the next plan has it.", facts)


def _rests(run: StoredRun | None) -> str:
    """Until when the run that holds a unit does nothing, and why."""
    if run is None or run.not_before is None or run.state not in ("scheduled", "waiting"):
        return ""
    why = f" ({run.wait_reason})" if run.wait_reason else ""
    return f" and goes on at {_time(run.not_before)}{why}"


def _waits(row: Mapping[str, Any], version: str | None, now: datetime) -> bool:
    until = row["not_before"]
    return (
        until is not None
        and until > now
        and row["verdict"] in ("failed", "rejected", "no_data", "partial")
        and row["source_version"] == version
    )


def _run(row: Mapping[str, Any]) -> str:
    """Which run that was; nothing when it was pruned."""
    return f" (run {row['last_run']})" if row["last_run"] else ""


def _held(row: Mapping[str, Any], now: datetime) -> str:
    until = row["not_before"]
    return f"; made again from {_time(until)}" if until is not None and until > now else ""


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
