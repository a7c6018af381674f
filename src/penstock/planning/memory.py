"""What is remembered of a unit when its run ends, and until when it is no gap again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from penstock.model.attempt import Instant, RunEnd
from penstock.model.states import ErrorClass, Verdict

MINUTE: Final = 60.0
DAY: Final = 86_400.0
REMEMBER: Final = 7 * DAY
REPEATS: Final = (0.0, 3_600.0, 6 * 3_600.0, DAY)
"""After the n-th completion of one version that still does not show up: at once, 1 h, 6 h, then every 24 h."""


@dataclass(frozen=True, slots=True)
class Memory:
    """How a unit is remembered.

    `counts` says whether it adds to the failures in a row. It is no gap again before `at` if that is set, else
    `first` × 2^(failures-1) seconds, at most `limit`, from now.
    """

    verdict: Verdict
    counts: bool = False
    first: float = 0.0
    limit: float = 0.0
    at: Instant | None = None


def remember(
    ended: RunEnd, error_class: ErrorClass | None, *, keep: float | None = None, until: Instant | None = None
) -> Memory:
    """The memory of a unit whose run, or own part of a run, ended so.

    Args:
        ended: How the run ended for this unit.
        error_class: The class of the failure, if there was one.
        keep: The pipeline's `remember` in seconds: the longest that any failure holds. Default 7 days.
        until: A time that the handler gave (NoData's `until`, a rate limit's reset); it is taken as it is.
    """
    longest = REMEMBER if keep is None else keep
    if ended == "completed":
        return Memory("completed", limit=longest)
    if ended == "cancelled":
        return Memory("cancelled")
    if ended == "partial":
        return Memory("partial", counts=True, first=15 * MINUTE, limit=min(DAY, longest))
    match error_class:
        case "rejected":
            return Memory("rejected", counts=True, first=longest, limit=longest, at=until)
        case "no_data":
            return Memory("no_data", counts=True, first=longest, limit=longest, at=until)
        case "data":
            return Memory("failed", counts=True, first=longest, limit=longest, at=until)
        case "quota" | "rate_limit":
            return Memory("failed", at=until, first=15 * MINUTE, limit=min(15 * MINUTE, longest))
        case "auth":
            return Memory("failed", first=15 * MINUTE, limit=min(15 * MINUTE, longest))
        case _:
            return Memory("failed", counts=True, first=15 * MINUTE, limit=min(DAY, longest), at=None)


def wait_of(memory: Memory, failures: int) -> float:
    """Seconds until the unit may be a gap again, for a memory without a time of its own."""
    if memory.first <= 0:
        return 0.0
    return float(min(memory.first * 2 ** min(max(failures - 1, 0), 30), memory.limit))


def repeat_wait(repeats: int) -> float:
    """Seconds before a unit that completed `repeats` times in one version is a gap again."""
    return REPEATS[min(max(repeats, 1), len(REPEATS)) - 1]
