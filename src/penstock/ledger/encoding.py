"""Records as the JSON that the ledger's functions read, and rows as records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from penstock.ledger.text import clean, clean_json
from penstock.model.attempt import AttemptOutcome, Instant, Try
from penstock.ports.records import (
    AttemptRecord,
    CallRecord,
    EndRecord,
    History,
    RecordedAttempt,
    RecordedCall,
    UnitEnd,
    WaitRecord,
)

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

SERVER_TIMES: Final = ("rate_limit", "quota")
"""The classes whose time is when to try again; any other's says how long the unit is remembered."""


def document(rows: Sequence[str]) -> str | None:
    """Elements as a JSON array; None when there are none."""
    return "[" + ",".join(rows) + "]" if rows else None


def attempt_json(record: AttemptRecord) -> str:
    """One element of `record(p_attempts)` as JSON text; empty fields are left out.

    Put together by hand, since every step of every run comes through here.
    """
    hold = record.hold
    ended = "" if record.ended is None else f',"ended":{record.ended}'
    text = (
        f'{{"run":{hold.run},"lane":{hold.lane},"fence":{hold.fence},"seq":{record.seq},"step":{encode(record.step)},'
        f'"attempt":{record.attempt},"state":"{record.state}","elapsed":{record.elapsed:.6f}{ended}'
    )
    if record.units_left is not None:
        text += f',"units_left":{record.units_left},"units_failed":{record.units_failed or 0}'
    if record.error_class is not None or record.error is not None:
        text += f',"class":{encode(record.error_class)},"error":{encode(clean(record.error or ""))}'
    if record.not_before is not None:
        text += f',"until":{record.not_before!r}'
    if record.reason is not None:
        text += f',"reason":"{record.reason}"'
    if record.output is not None:
        text += f',"output":{clean_json(record.output)}'
    if record.counts is not None:
        text += f',"counts":{record.counts}'
    if record.quality is not None:
        text += f',"quality":{clean_json(record.quality)}'
    if record.fresh:
        text += ',"fresh":true'
    return text + "}"


def call_json(record: CallRecord) -> str:
    """One element of `record(p_calls)` as JSON text."""
    hold = record.hold
    plain = encode(
        {
            "run": hold.run,
            "lane": hold.lane,
            "fence": hold.fence,
            "step": record.step,
            "unit": record.unit_no,
            "state": record.state,
            "class": record.error_class,
            "error": None if record.error is None else clean(record.error),
            "until": record.not_before,
        }
    )
    output = "null" if record.output is None else clean_json(record.output)
    quality = "" if record.quality is None else f',"quality":{clean_json(record.quality)}'
    return f'{plain[:-1]},"output":{output},"counts":{record.counts or "null"}{quality}}}'


def wait_json(record: WaitRecord) -> str:
    """One element of `record(p_waits)` as JSON text."""
    return encode(
        {
            "run": record.hold.run,
            "lane": record.hold.lane,
            "fence": record.hold.fence,
            "until": record.until,
            "reason": record.reason,
            "keep": record.keep_lane,
        }
    )


def end_json(record: EndRecord, app: str) -> str:
    """One element of `record(p_ends)` as JSON text."""
    row: dict[str, Any] = {
        "run": record.hold.run,
        "lane": record.hold.lane,
        "fence": record.hold.fence,
        "state": record.state,
        "keep": record.keep,
        "units": [_unit_row(unit) for unit in record.units],
    }
    if record.error_class is not None:
        row |= {"class": record.error_class, "error": clean(record.error or ""), "step": record.failed_step}
    if record.event is not None:
        row |= {"event": record.event, "app": app}
    if record.follow is not None:
        row["follow"] = {
            "units": list(record.follow.units),
            "until": record.follow.until,
            "tries": record.follow.tries,
        }
    return encode(row)


def _unit_row(unit: UnitEnd) -> dict[str, Any]:
    row: dict[str, Any] = {"no": unit.no, "verdict": unit.verdict}
    if unit.verdict == "completed":
        row["longest"] = unit.limit
    else:
        row |= {"counts": unit.counts, "first": unit.first, "longest": unit.limit, "until": unit.until}
    if unit.alone:
        row["alone"] = True
    if unit.state is not None:
        row |= {"state": unit.state, "class": unit.error_class, "error": clean(unit.error or "")}
    return row


def history_of(attempts: list[Mapping[str, Any]], calls: list[Mapping[str, Any]]) -> History:
    """The rows of a run's attempts, outcomes in the order of their record first, and of its calls."""
    return History(
        attempts=tuple(_attempt(row) for row in attempts),
        calls=tuple(RecordedCall(**row) for row in calls),
    )


def _attempt(row: Mapping[str, Any]) -> RecordedAttempt:
    outcome: Try | None = None
    not_before = None if row["not_before"] is None else Instant(row["not_before"])
    if row["ended_no"] is not None:
        state = row["state"]
        outcome = (
            row["step"],
            row["attempt"],
            AttemptOutcome(
                kind="done" if state == "skipped" else state,
                at=Instant(row["at"]),
                units_left=1 if row["units_left"] is None else row["units_left"],
                units_failed=row["units_failed"] or 0,
                error_class=row["error_class"],
                error=row["error"],
                not_before=not_before if row["error_class"] in SERVER_TIMES or state == "held" else None,
                reason=row["reason"] or "backoff",
            ),
        )
    return RecordedAttempt(
        seq=row["seq"],
        step=row["step"],
        attempt=row["attempt"],
        state=row["state"],
        seconds=row["seconds"],
        outcome=outcome,
        error_class=row["error_class"],
        error=row["error"],
        output=row["output"],
        not_before=not_before,
        reason=row["reason"],
    )
