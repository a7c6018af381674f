"""What is typed after a command: pipelines, fields with values, ids, dates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from penstock.cli.faults import WrongUse
from penstock.cli.finding import Found
from penstock.definition.pipeline import Pipeline
from penstock.model.errors import InvalidData
from penstock.model.spelling import did_you_mean

_SPAN = re.compile(r"(\d+)\s*(m|min|h|d|w)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def pick(found: Found, name: str | None) -> Pipeline[Any]:
    """The pipeline of this name, or the app's only one.

    Raises:
        WrongUse: There is none of that name, or several and no name.
    """
    pipelines = found.app.pipelines
    if name is None:
        if len(pipelines) == 1:
            return next(iter(pipelines.values()))
        raise WrongUse(f"App {found.app.name} has several pipelines; say which: {', '.join(pipelines)}.")
    if name not in pipelines:
        hint = did_you_mean(name, pipelines, otherwise=f"; it has {', '.join(pipelines)}.")
        raise WrongUse(f"No pipeline is called {name} in app {found.app.name} ({found.where}){hint}")
    return pipelines[name]


def split(pipeline: str | None, fields: Sequence[str] | None) -> tuple[str | None, list[str]]:
    """The pipeline's name and the `field=value` words, whichever came first."""
    words = list(fields or [])
    if pipeline is not None and "=" in pipeline:
        return None, [pipeline, *words]
    return pipeline, words


def values(pipeline: Pipeline[Any], words: Sequence[str]) -> dict[str, Any]:
    """Fields of the pipeline's unit and their values, typed.

    Raises:
        WrongUse: A field is not there, or a value does not fit it.
    """
    found: dict[str, Any] = {}
    for name, text in named(words).items():
        if name not in pipeline.units.fields:
            fields = ", ".join(pipeline.units.fields)
            hint = did_you_mean(name, pipeline.units.fields)
            raise WrongUse(
                f"{name} is no field of {pipeline.unit.__name__} in {pipeline.name}{hint} Its fields are {fields}."
            )
        try:
            found[name] = pipeline.units.value(name, text)
        except InvalidData as error:
            raise WrongUse(f"{pipeline.name}: {error}") from None
    return found


def key_values(pipeline: Pipeline[Any], words: Sequence[str]) -> dict[str, Any]:
    """As `values`, with every field of the key.

    Raises:
        WrongUse: One is missing.
    """
    found = values(pipeline, words)
    missing = [name for name in pipeline.key if name not in found]
    if missing:
        example = " ".join(f"{name}=…" for name in pipeline.key)
        raise WrongUse(f"A unit of {pipeline.name} is told by {example}; {', '.join(missing)} is missing.")
    return found


def named(words: Sequence[str] | None) -> dict[str, str]:
    """`name=value` words as a mapping.

    Raises:
        WrongUse: One has no `=`, or comes twice.
    """
    found: dict[str, str] = {}
    for word in words or ():
        name, mark, text = word.partition("=")
        if not mark or not name:
            raise WrongUse(f"{word!r} is no name=value word, such as bank_id=1.")
        if name in found:
            raise WrongUse(f"{name} is given twice; one plan takes one value of a field.")
        found[name] = text
    return found


def identity(word: str, what: str) -> UUID | int:
    """A run or a plan: its number or its UUID.

    Raises:
        WrongUse: It is neither.
    """
    if word.isdecimal():
        return int(word)
    try:
        return UUID(word)
    except ValueError:
        raise WrongUse(f"{word!r} is no {what}: give its number, such as 12, or its UUID.") from None


def day(word: str | None, option: str) -> date | None:
    """A date from an option.

    Raises:
        WrongUse: It is none.
    """
    if word is None:
        return None
    today = datetime.now(UTC).date()
    if word in ("today", "yesterday"):
        return today if word == "today" else today - timedelta(days=1)
    try:
        return date.fromisoformat(word)
    except ValueError:
        raise WrongUse(f"{option} {word!r} is no date; write it as {today.isoformat()}.") from None


def since(word: str | None) -> datetime | None:
    """A point in time from `2h`, `3d`, a date or a time.

    Raises:
        WrongUse: It is none of these.
    """
    if word is None:
        return None
    if match := _SPAN.fullmatch(word.strip()):
        return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        at = datetime.fromisoformat(word)
    except ValueError:
        raise WrongUse(f"--since {word!r} is no time; write 30m, 2h, 7d, 2025-06-30 or 2025-06-30T12:00.") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def span(word: str, option: str) -> timedelta:
    """A length of time from `30m`, `12h`, `90d` or `13w`.

    Raises:
        WrongUse: It is none of these.
    """
    if match := _SPAN.fullmatch(word.strip()):
        with suppress(OverflowError):
            return timedelta(**{_UNITS[match[2]]: int(match[1])})
    raise WrongUse(f"{option} {word!r} is no length of time; write 12h, 90d or 13w.")


def one_of(word: str | None, known: Sequence[str], option: str) -> str | None:
    """The word, if it is one of these.

    Raises:
        WrongUse: It is not; the message names the nearest.
    """
    if word is None or word in known:
        return word
    raise WrongUse(f"{option} {word!r} is none of {', '.join(known)}{did_you_mean(word, known)}")
