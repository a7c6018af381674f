"""The block `etl:` of penstock.yaml: how many activities at once, how long, and how patient; and names for Temporal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from penstock.model.errors import SettingError
from penstock.model.narrowing import is_mapping
from penstock.model.spelling import did_you_mean

MOST_ACTIVITIES: Final = 10_000
MOST_ATTEMPTS: Final = 1_000
HIGHEST_COEFFICIENT: Final = 1_000.0
LONGEST: Final = 366 * 86_400.0
_UNITS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_SPAN: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+", re.ASCII)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_LOOSE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", re.ASCII)
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class EtlBlock:
    """What the block says; None where it says nothing. Times are in seconds.

    Attributes:
        namespace: Temporal's namespace.
        task_queue: Temporal's task queue.
        max_concurrent_activities: Runs at once in one process: the setting `lanes`, where nothing else says it.
        activity_timeout: The longest that one attempt of a step may take, where the step says nothing.
        max_attempts: Tries in all, the first included, of what a `Retry` alone covers, where the code says nothing.
        initial_interval: The wait before the second try.
        max_interval: The longest wait.
        backoff_coefficient: What each wait is multiplied by.
        written: The values as they stand in the file, by their full name.
    """

    namespace: str | None = None
    task_queue: str | None = None
    max_concurrent_activities: int | None = None
    activity_timeout: float | None = None
    max_attempts: int | None = None
    initial_interval: float | None = None
    max_interval: float | None = None
    backoff_coefficient: float | None = None
    written: Mapping[str, str] = field(default_factory=dict[str, str])


Places = Mapping[tuple[str, ...], int]
"""The line of every name, by the names that lead to it."""


def parse_etl(body: object, file: object, places: Places) -> EtlBlock | None:
    """The block as a value; None where there is none.

    Args:
        body: What stands under `etl:`.
        file: The file's name, for messages.
        places: The lines of its names.

    Raises:
        SettingError: A name or a value does not fit; the message names it, its line and the nearest right one.
    """
    if body is None:
        return None
    reader = _Reader(file, places)
    found: dict[str, Any] = {}
    for part, names in PARTS.items():
        for name, value in reader.block(reader.block(body, ("etl",), PARTS).get(part), ("etl", part), names).items():
            found[name] = names[name](reader, ("etl", part, name), value)
    first, longest = found.get("initial_interval"), found.get("max_interval")
    if first is not None and longest is not None and longest < first:
        shown = reader.written["etl.retry.initial_interval"]
        reader.refuse(
            ("etl", "retry", "max_interval"), f"is less than initial_interval, {shown}; did you mean {shown}?"
        )
    return EtlBlock(**found, written=reader.written)


class _Reader:
    """Checks names and values, and knows where each of them stands."""

    def __init__(self, file: object, places: Places) -> None:
        self._file, self._places = file, places
        self.written: dict[str, str] = {}

    def block(self, body: object, path: tuple[str, ...], names: Mapping[str, object]) -> dict[str, Any]:
        """A mapping that has no other names than these."""
        if body is None:
            return {}
        if not is_mapping(body):
            self._fail(path, f"{'.'.join(path)}: is a mapping with {', '.join(names)}; this is {_shown(body)}.")
        for name in body:
            if name not in names:
                elsewhere = [part for part, others in PARTS.items() if name in others]
                there = f"; it belongs under etl.{elsewhere[0]}." if elsewhere else f"; there are {', '.join(names)}."
                hint = did_you_mean(str(name), names, otherwise=there)
                self._fail((*path, str(name)), f"{'.'.join(path)}: there is no {str(name)!r}{hint}")
        return {str(name): value for name, value in body.items()}

    def word(self, path: tuple[str, ...], value: object) -> str:
        """A name of something in Temporal."""
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            hint = f"; did you mean '{value}'?" if isinstance(value, int | float) else ""
            self._keep(path, value)
            self.refuse(path, f"is no name, such as {path[-1].replace('_', '-')}-1{hint or '.'}")
        return str(self._keep(path, value))

    def whole(self, path: tuple[str, ...], value: object, most: int) -> int:
        """A whole number from 1 on."""
        self._keep(path, value)
        if isinstance(value, bool) or not isinstance(value, int):
            match = _LOOSE.fullmatch(str(value))
            near = min(max(round(float(match[1])), 1), most) if match else None
            hint = "." if near is None else f"; did you mean {near}?"
            self.refuse(path, f"is no whole number{hint}")
        if not 1 <= value <= most:
            endless = " There is no 'without end' here." if value == 0 and path[-1] == "max_attempts" else ""
            nearest = 1 if value < 1 else most
            self.refuse(path, f"is out of range: 1 to {most:,}, and the nearest is {nearest}.{endless}")
        return value

    def factor(self, path: tuple[str, ...], value: object) -> float:
        """A number from 1 on."""
        self._keep(path, value)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - .nan
            match = _LOOSE.fullmatch(str(value))
            hint = f"; did you mean {match[1]}?" if match else ", such as 2."
            self.refuse(path, f"is no number{hint}")
        if not 1 <= value <= HIGHEST_COEFFICIENT:
            nearest = 1 if value < 1 else HIGHEST_COEFFICIENT
            self.refuse(path, f"is out of range: 1 to {HIGHEST_COEFFICIENT:,.0f}, and the nearest is {nearest:g}.")
        return float(value)

    def span(self, path: tuple[str, ...], value: object) -> float:
        """A time as Go writes it, in seconds: 500ms, 1s, 30m, 1h30m."""
        self._keep(path, value)
        if not isinstance(value, str) or not _SPAN.fullmatch(value):
            self.refuse(path, f"is no time, such as 1s, 30m or 1h30m{_near_span(value)}")
        length = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
        if not 0 < length <= LONGEST:
            nearest = "1ms" if length <= 0 else "366d"
            self.refuse(path, f"is out of range: above 0 and at most 366d, and the nearest is {nearest}.")
        return length

    def _keep(self, path: tuple[str, ...], value: object) -> object:
        self.written[".".join(path)] = _shown(value)
        return value

    def refuse(self, path: tuple[str, ...], why: str) -> NoReturn:
        """A value that does not fit."""
        name = ".".join(path)
        self._fail(path, f"{name}={self.written[name]} {why}")

    def _fail(self, path: tuple[str, ...], message: str) -> NoReturn:
        line = next((self._places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._places), 1)
        raise SettingError(f"{self._file}, line {line}: {message}")


def _near_span(value: object) -> str:
    """`; did you mean 30m?` for what can be understood."""
    match = _LOOSE.fullmatch(str(value))
    if match is None or isinstance(value, bool):
        return "."
    word = match[2].lower()
    unit = "s" if not word else "ms" if word.startswith(("ms", "mil")) else word[0]
    return f"; did you mean {match[1]}{unit}?" if unit in _UNITS else "."


def _shown(value: object) -> str:
    """A value in a message: short, and without characters that turn the reading."""
    text = "".join(c if c.isprintable() else "�" for c in str(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


PARTS: Final[Mapping[str, Mapping[str, Callable[[_Reader, tuple[str, ...], object], Any]]]] = {
    "temporal": {"namespace": _Reader.word, "task_queue": _Reader.word},
    "workers": {
        "max_concurrent_activities": lambda reader, path, value: reader.whole(path, value, MOST_ACTIVITIES),
        "activity_timeout": _Reader.span,
    },
    "retry": {
        "max_attempts": lambda reader, path, value: reader.whole(path, value, MOST_ATTEMPTS),
        "initial_interval": _Reader.span,
        "max_interval": _Reader.span,
        "backoff_coefficient": _Reader.factor,
    },
}
"""What stands where, and how each value is read."""
