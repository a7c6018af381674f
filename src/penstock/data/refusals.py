"""Failures of the other side that have no public name of their own."""

from __future__ import annotations

from typing import ClassVar

from penstock.model.errors import StepError
from penstock.model.states import ErrorClass


class Throttled(StepError):  # noqa: N818 - it is the side that says so, and no fault
    """Asked too often, and the other side does not say until when; the retry policy does."""

    error_class: ClassVar[ErrorClass] = "rate_limit"


class TimedOut(StepError, TimeoutError):  # noqa: N818 - reads as what it says
    """No answer in time."""

    error_class: ClassVar[ErrorClass] = "timeout"
