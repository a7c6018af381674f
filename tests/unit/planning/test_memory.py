from __future__ import annotations

from typing import Final, get_args

import pytest

from penstock.model.attempt import Instant, RunEnd
from penstock.model.states import ErrorClass, Verdict
from penstock.planning.memory import Memory, remember, repeat_wait, wait_of

MINUTE: Final = 60.0
HOUR: Final = 3_600.0
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY
UNTIL: Final = Instant(2_000_000_000.0)
TRANSIENT: Final[tuple[ErrorClass, ...]] = ("network", "timeout", "unknown", "lost", "deadline")
LASTING: Final[tuple[ErrorClass, ...]] = ("data", "rejected", "no_data")


def waits(memory: Memory, upto: int = 9) -> list[float]:
    """The wait after the first, second, … failure in a row."""
    return [wait_of(memory, failures) for failures in range(1, upto + 1)]


QUARTERS_DOUBLED: Final = [MINUTE * minutes for minutes in (15, 30, 60, 120, 240, 480, 960, 1440, 1440)]


@pytest.mark.parametrize("error_class", TRANSIENT)
def test_transient_failure_waits_15_minutes_doubled_up_to_a_day(error_class: ErrorClass) -> None:
    memory = remember("failed", error_class)
    assert (memory.verdict, memory.counts, memory.at) == ("failed", True, None)
    assert waits(memory) == QUARTERS_DOUBLED


def test_partial_waits_as_a_transient_failure_does() -> None:
    memory = remember("partial", None)
    assert (memory.verdict, memory.counts, memory.at) == ("partial", True, None)
    assert waits(memory) == QUARTERS_DOUBLED


def test_failure_without_a_class_is_transient() -> None:
    assert remember("failed", None) == remember("failed", "unknown")


@pytest.mark.parametrize(
    ("error_class", "verdict"), [("data", "failed"), ("rejected", "rejected"), ("no_data", "no_data")]
)
def test_lasting_failure_is_remembered_for_seven_days_however_often(error_class: ErrorClass, verdict: Verdict) -> None:
    memory = remember("failed", error_class)
    assert (memory.verdict, memory.counts, memory.at) == (verdict, True, None)
    assert waits(memory) == [WEEK] * 9


@pytest.mark.parametrize("error_class", LASTING)
def test_remember_of_the_pipeline_is_how_long_a_lasting_failure_holds(error_class: ErrorClass) -> None:
    assert waits(remember("failed", error_class, keep=30 * DAY), 3) == [30 * DAY] * 3
    assert waits(remember("failed", error_class, keep=HOUR), 3) == [HOUR] * 3


@pytest.mark.parametrize("error_class", [*LASTING, "quota", "rate_limit"])
def test_time_that_a_handler_gave_is_taken_as_it_is(error_class: ErrorClass) -> None:
    assert remember("failed", error_class, until=UNTIL).at == UNTIL


@pytest.mark.parametrize("error_class", ["quota", "rate_limit", "auth"])
def test_failure_that_is_not_the_units_fault_does_not_count(error_class: ErrorClass) -> None:
    memory = remember("failed", error_class)
    assert (memory.verdict, memory.counts) == ("failed", False)
    assert waits(memory, 3) == [15 * MINUTE] * 3


@pytest.mark.parametrize("ended", ["completed", "cancelled"])
def test_completed_and_cancelled_hold_nothing(ended: RunEnd) -> None:
    memory = remember(ended, None)
    assert (memory.verdict, memory.counts, memory.at) == (ended, False, None)
    assert waits(memory, 3) == [0, 0, 0]


def test_shorter_remember_bounds_the_doubling() -> None:
    assert waits(remember("failed", "network", keep=HOUR), 4) == [15 * MINUTE, 30 * MINUTE, HOUR, HOUR]


@pytest.mark.parametrize("ended", get_args(RunEnd))
@pytest.mark.parametrize("error_class", [None, *get_args(ErrorClass)])
def test_nothing_kept_is_forgotten_at_once(ended: RunEnd, error_class: ErrorClass | None) -> None:
    assert waits(remember(ended, error_class, keep=0)) == [0] * 9


def test_many_failures_in_a_row_do_not_overflow() -> None:
    assert wait_of(remember("failed", "network"), 1_000_000) == DAY


def test_zero_failures_wait_as_one_does() -> None:
    """A class that does not count may leave the row's failures at zero."""
    assert wait_of(remember("failed", "auth"), 0) == 15 * MINUTE


@pytest.mark.parametrize(
    ("repeats", "wait"), [(1, 0), (2, HOUR), (3, 6 * HOUR), (4, DAY), (5, DAY), (1000, DAY), (0, 0)]
)
def test_unit_that_completes_and_never_shows_up_is_made_ever_more_rarely(repeats: int, wait: float) -> None:
    assert repeat_wait(repeats) == wait
