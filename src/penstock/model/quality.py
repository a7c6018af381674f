"""The quality of data: how many records, how many of them valid, what is wrong with the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from penstock.model.errors import InvalidData

Severity: TypeAlias = Literal["info", "warning", "error", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

TOTAL: Final = "total_records"
VALID: Final = "valid_records"
USUAL: Final = ("missing_fields", "invalid_types", "duplicates")
"""The types of issues that a summary names even where none was found."""
MOST_SAMPLES: Final = 20
"""Sample rows that are kept of one issue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One kind of fault in some records.

    Attributes:
        type: What kind: `missing_fields`, `invalid_types`, `duplicates`, `out_of_range`, `inconsistent`, or a word of
            your own.
        count: How many records have it.
        severity: `info`, `warning`, `error` or `critical`.
        rule: The rule or check that found it.
        sample: Some of these records, to look at; the first 20 are kept.
    """

    type: str
    count: int
    severity: Severity = "warning"
    rule: str | None = None
    sample: Sequence[Mapping[str, Any]] = field(default=())

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise InvalidData(f"Issue.severity={self.severity!r}: it is one of {', '.join(SEVERITIES)}.")
        if self.count < 0 or not self.type or self.type in (TOTAL, VALID):
            msg = (
                f"Issue(type={self.type!r}, count={self.count}): a type is a word other than {TOTAL} and {VALID}, "
                f"a count 0 or more."
            )
            raise InvalidData(msg)


def score(total: int, valid: int) -> float:
    """Valid records of all records, in percent with two decimals; 100 where there are none at all.

    Rounded down, so that 100 says that every record is valid.
    """
    return 100.0 if total <= 0 else (max(0, valid) * 10_000 // total) / 100
