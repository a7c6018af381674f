"""Overrides: figures that an operator keeps in the ledger, and that hold instead of those in the code."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from penstock.model.errors import SettingError
from penstock.model.spelling import did_you_mean
from penstock.model.states import ERROR_CLASSES, ErrorClass

Figure: TypeAlias = Literal[
    "attempts", "first", "limit", "factor", "jitter", "timeout", "max_wait", "remember", "quota"
]
"""What is set. `quota` is kept for whoever prices: a limit or a reserve."""
RETRY: Final = ("attempts", "first", "limit", "factor", "jitter")
QUOTA: Final = ("limit", "reserve")
MOST_ATTEMPTS: Final = 1_000
HIGHEST_FACTOR: Final = 1_000.0
LONGEST: Final = 366 * 86_400.0
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)?", re.ASCII)
_AMOUNT: Final = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?")
_SECONDS: Final = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
_STEP: Final = re.compile(r"step\.(?P<step>.+?)\.(?P<rest>retry\..+|timeout)")
KINDS: Final = (
    "retry.[CLASS.]attempts|first|limit|factor|jitter, timeout, max_wait, remember, step.STEP.retry…, "
    "step.STEP.timeout, quota.NAME.limit|reserve"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One row of `penstock.overrides`: a name and its value as text. `pipeline` None is for the whole app."""

    app: str
    pipeline: str | None
    name: str
    value: str
    note: str | None = None
    changed_at: datetime | None = None
    changed_by: str | None = None

    @property
    def where(self) -> str:
        """The row in words, for messages."""
        whose = f"pipeline {self.pipeline}" if self.pipeline else f"app {self.app}"
        return f"{self.name} = {self.value!r} of {whose}"

    @property
    def unset(self) -> str:
        """The command that takes it away."""
        scope = f" --pipeline {self.pipeline}" if self.pipeline else ""
        return f"penstock overrides unset {self.name}{scope}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a name speaks of: a figure, perhaps of one step, perhaps of one class of errors, or of a quota."""

    figure: Figure
    step: str | None = None
    error_class: ErrorClass | None = None
    quota: str | None = None


def place_of(override: Override) -> Place:
    """What the row's name speaks of.

    Raises:
        SettingError: There is no such name, or not at this level; the message names the row.
    """
    name = override.name
    if name.startswith("quota."):
        quota, _, kind = name.removeprefix("quota.").rpartition(".")
        if not quota or kind not in QUOTA:
            raise fault(override, f"there is no such name; of a quota there are quota.NAME.{'|'.join(QUOTA)}")
        if override.pipeline:
            raise fault(override, "a quota is the app's: set it without a pipeline")
        return Place(figure="quota", quota=quota)
    step: str | None = None
    rest = name
    if found := _STEP.fullmatch(name):
        step = found["step"]
        rest = found["rest"]
        if not override.pipeline:
            raise fault(override, "a step is a pipeline's: say whose with --pipeline")
    match rest.split("."):
        case ["timeout"]:
            return Place(figure="timeout", step=step)
        case ["max_wait"]:
            return Place(figure="max_wait")
        case ["remember"]:
            return Place(figure="remember")
        case ["retry", figure] if figure in RETRY:
            return Place(figure=figure, step=step)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        case ["retry", error_class, figure] if figure in RETRY:
            if error_class not in ERROR_CLASSES:
                hint = did_you_mean(error_class, ERROR_CLASSES, otherwise=f"; there are {', '.join(ERROR_CLASSES)}")
                raise fault(override, f"there is no class of errors {error_class!r}{hint}")
            return Place(figure=figure, step=step, error_class=error_class)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        case _:
            plain = ("timeout", "max_wait", "remember", *(f"retry.{figure}" for figure in RETRY))
            hint = did_you_mean(rest, plain, otherwise=f"; there are {KINDS}")
            raise fault(override, f"there is no such name{hint}")


def value_of(override: Override) -> int | float | bool | Decimal | None:
    """The row's value as its figure has it, in seconds where it is a time; None: without a limit.

    Raises:
        SettingError: The name or the value is none; the message names the row.
    """
    match place_of(override).figure:
        case "attempts":
            return _attempts(override)
        case "factor":
            return _factor(override)
        case "jitter":
            return _switch(override)
        case "timeout":
            return _timeout(override)
        case "first" | "limit" | "max_wait" | "remember":
            return _span(override)
        case "quota":
            return _amount(override)


def _attempts(override: Override) -> int:
    text = override.value.strip()
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not 1 <= int(text) <= MOST_ATTEMPTS:
        raise fault(override, f"tries in all, the first included: a whole number from 1 to {MOST_ATTEMPTS}")
    return int(text)


def _factor(override: Override) -> float:
    text = override.value.strip()
    factor = float(text) if re.fullmatch(r"\d{1,6}(\.\d+)?", text, re.ASCII) else math.nan
    if not 1 <= factor <= HIGHEST_FACTOR:
        raise fault(override, f"what each wait is multiplied by: a number from 1 to {HIGHEST_FACTOR:g}")
    return factor


def _switch(override: Override) -> bool:
    text = override.value.strip().lower()
    if text not in ("true", "false"):
        raise fault(override, "it is true or false")
    return text == "true"


def _timeout(override: Override) -> float | None:
    if override.value.strip().lower() == "none":
        return None
    if (limit := _span(override)) == 0:
        raise fault(override, "a time above 0, or none for no limit")
    return limit


def _amount(override: Override) -> Decimal:
    text = override.value.strip()
    if not _AMOUNT.fullmatch(text):  # as SQL reads it too
        raise fault(override, "an amount: a number of 0 or more, such as 12.50")
    return Decimal(text)


def _span(override: Override) -> float:
    """A time in seconds."""
    found = _SPAN.fullmatch(override.value.strip())
    if found is None:
        raise fault(override, "a time: seconds such as 90 or 0.5, or with a unit, such as 90s, 5m, 2h, 7d")
    length = float(found[1]) * _SECONDS[found[2]]
    if length > LONGEST:
        raise fault(override, "a time of at most 366d")
    return length


def fault(override: Override, why: str) -> SettingError:
    """The error for a row that does not fit, with the way out."""
    return SettingError(f"Override {override.where}: {why}. To take it away: {override.unset}")
