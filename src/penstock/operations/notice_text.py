"""What a notice says."""

from __future__ import annotations

from datetime import UTC

from penstock.ports.notices import Batch, ToldRun

LONGEST_ERROR = 300


def title_of(batch: Batch) -> str:
    """One line: which app, and what failed or how many."""
    if batch.total == 1 and batch.runs:
        run = batch.runs[0]
        return f"[{batch.app}] {run.pipeline} {_unit(run)} {run.state}"
    ends = sorted({state for _, state, _, _ in batch.counts})
    what = ends[0] if len(ends) == 1 else "ended: " + ", ".join(ends)
    return f"[{batch.app}] {batch.total:,} runs {what}"


def text_of(batch: Batch) -> str:
    """Counts by pipeline and class, the first runs with their errors, and where to look."""
    first, last = batch.first_at.astimezone(UTC), batch.last_at.astimezone(UTC)
    span = (
        f"{first:%Y-%m-%d %H:%M:%S}" if batch.total == 1 else f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S}"
    )
    lines = [f"{span} UTC", ""]
    if batch.total > 1:
        for pipeline, state, error_class, count in batch.counts:
            lines.append(f"{count:,} of {pipeline} {state}{f': {error_class}' if error_class else ''}")
        lines.append("")
    for run in batch.runs:
        why = f" ({run.error_class})" if run.error_class else ""
        step = f" in {run.step}" if run.step else ""
        lines.append(f"- run {run.number}, {run.pipeline} {_unit(run)}: {run.state}{step}{why}")
        if run.error:
            lines.append(f"  {_short(run.error)}")
    if batch.total > len(batch.runs):
        lines.append(f"- and {batch.total - len(batch.runs):,} more")
    if batch.runs:
        number = batch.runs[0].number
        lines += [
            "",
            f"To look: penstock runs show {number}, penstock logs {number}, penstock runs list --state failed",
        ]
    return "\n".join(lines)


def _unit(run: ToldRun) -> str:
    words = " ".join(str(value) for value in run.unit.values())
    return words + (f" and {run.units - 1} more units" if run.units > 1 else "")


def _short(error: str) -> str:
    text = " ".join(error.split())
    return text if len(text) <= LONGEST_ERROR else text[: LONGEST_ERROR - 1] + "…"
