"""What the building blocks return and take: small frozen values, fit to be a step's output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from penstock.model.errors import DefinitionError
from penstock.model.quality import SEVERITIES, TOTAL, VALID, Severity
from penstock.model.spelling import did_you_mean

if TYPE_CHECKING:
    import polars as pl

Status: TypeAlias = Literal["PASS", "PASS_WITH_WARNINGS", "FAIL"]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a load did to a table.

    Attributes:
        table: The table, as it was named.
        rows: The rows that were given.
        inserted: Of these, the rows that were new.
        updated: The rows that were there with other values.
        unchanged: The rows that were there as they are, and were not touched.
        deleted: The rows that were there and no longer are; only a load that replaces deletes.
        superseded: The rows that are older than what is there, and went to the history alone.
    """

    table: str
    rows: int
    inserted: int
    updated: int
    unchanged: int = 0
    deleted: int = 0
    superseded: int = 0


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What checks found of the rows that were written.

    Attributes:
        score: Valid rows / all rows × 100, with two decimals, rounded down so that only a flawless table has 100;
            100 where there is no row.
        status: FAIL when a check of severity error or critical failed, PASS_WITH_WARNINGS when one of severity warning
            did, else PASS.
        issues: For each check that found something: its name, and how many rows it found.
        total: All rows.
        valid: The rows that no check found; what checks of severity info find stays valid.
    """

    score: float
    status: Status
    issues: Mapping[str, int] = field(default_factory=dict[str, int])
    total: int = 0
    valid: int = 0


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """Which materialized views were refreshed, in that order, and which were not and why."""

    views: Sequence[str]
    failed: Mapping[str, str]


class Sifted(NamedTuple):
    """Rows that keep to a schema, and rows that do not.

    Attributes:
        good: The columns of the schema, in its types.
        bad: All columns as they came, and `rules`: what each row broke, such as `cost|min`.
    """

    good: pl.DataFrame
    bad: pl.DataFrame


@dataclass(frozen=True)
class Check:
    """SQL that selects the rows which break a rule.

    Args:
        name: What is checked; it names the issue.
        sql: A query. In it a table of the publication is what was written; `published.<table>` is what is published.
        type: The kind of issue: missing_fields, invalid_types, duplicates, out_of_range, inconsistent, or your word.
        severity: error and critical close the gate, warning and info do not.
        threshold: How much is let through: a share of all rows when below 1, else a number of rows.

    Raises:
        DefinitionError: No name, no SQL, a severity that there is not, or a threshold below 0.
    """

    name: str
    sql: str
    type: str = "inconsistent"
    severity: Severity = "error"
    threshold: float = 0

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.sql.strip():
            raise DefinitionError(f"Check({self.name!r}): a check needs a name and a query.")
        if self.severity not in SEVERITIES:
            raise DefinitionError(
                f"Check({self.name!r}): severity={self.severity!r} is not one of {', '.join(SEVERITIES)}"
                f"{did_you_mean(self.severity, SEVERITIES)}"
            )
        if not self.type or self.type in (TOTAL, VALID):
            raise DefinitionError(
                f"Check({self.name!r}): type={self.type!r} is the name of a count; say what is wrong."
            )
        if not self.threshold >= 0:
            raise DefinitionError(
                f"Check({self.name!r}): threshold={self.threshold!r} must be 0 or more: "
                "a share of all rows when below 1, else a number of rows."
            )

    def passes(self, found: int, total: int) -> bool:
        """Whether so many rows of so many are let through."""
        return found <= (self.threshold * total if self.threshold < 1 else self.threshold)
