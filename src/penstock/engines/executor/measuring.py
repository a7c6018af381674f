"""What a step measured, as the JSON that the ledger keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from penstock.model.errors import InvalidData
from penstock.model.quality import MOST_SAMPLES, TOTAL, VALID, Issue
from penstock.model.redaction import redacted

LONGEST_VALUE: Final = 500
"""Characters of one value in a sample."""


def metrics(*, total: int, valid: int, issues: Sequence[Issue], table: str | None) -> list[str]:
    """One JSON object for each sum and each issue.

    Raises:
        InvalidData: There are more valid records than records.
    """
    if not 0 <= valid <= total:
        raise InvalidData(f"measure(total={total}, valid={valid}): valid is between 0 and total.")
    rows: list[str] = []
    if total:
        rows += [_row(TOTAL, total, "info", {"table": table}), _row(VALID, valid, "info", {"table": table})]
    for issue in issues:
        sample = [_short(row) for row in issue.sample[:MOST_SAMPLES]]
        details = {"table": table, "rule": issue.rule, "sample": redacted(sample) or None}
        rows.append(_row(issue.type, issue.count, issue.severity, details))
    return rows


def _row(kind: str, count: int, severity: str, details: Mapping[str, Any]) -> str:
    known = {name: value for name, value in details.items() if value is not None}
    body = {"type": kind, "count": count, "severity": severity, "details": known or None}
    return json.dumps(body, ensure_ascii=False, default=str, separators=(",", ":"))


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a sample, its long values cut."""
    cut: dict[str, Any] = {}
    for name, value in row.items():
        text = value if isinstance(value, str) else None
        cut[str(name)] = value if text is None or len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
    return cut
