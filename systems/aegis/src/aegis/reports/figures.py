"""The table of figures: what each sub-slot's quote gives as its level and its change, beside the previous call's.

Every cell is verbatim from a quote. A cell is filled only where the amount is of the slot's own kind (earnings per
share in dollars and cents, a ratio in percent) and stands near the slot's words: an empty cell is better than a wrong
one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal, NamedTuple

from aegis.reports.analysis import analyse
from aegis.reports.located import locate
from aegis.reports.summary import GUIDANCE, summary_section, summary_topics

if TYPE_CHECKING:
    from aegis.reports.model import CallTranscript, Quote, Section

Kind = Literal["money", "share", "percent", "points"]

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_SMALL = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_KINDS: dict[Kind, str] = {
    "money": rf"(?:\$\s?|\b){_NUMBER}\s?(?:billion|million|trillion)(?:\s+dollars)?|\$\s?\d{{3}},\d{{3}},\d{{3}}",
    "share": rf"\$\s?\d{{1,2}}\.\d{{2}}(?!\d|\s?(?:billion|million))|\b{_NUMBER}\s?cents",
    "percent": rf"\b{_NUMBER}\s?(?:%|percent\b)",
    "points": rf"\b(?:{_NUMBER}|{_SMALL})\s?(?:basis points?|bps|bips)\b",
}
_NEAR = 75
"""Characters after a slot's words within which its level or its change stands."""
_LEADS_IN = re.compile(
    r"(?i)\b(?:of|was|were|is|are|at|to|totaled|reached|or|be|generated)[:,]?"
    r"(?: (?:approximately|about|roughly|nearly|an?|estimated|over|just|a record|basically))*\s*$"
)
"""What stands right before a level: "a ratio of 10.7%", "declined to 1.80%", "totaled $5.2 billion, or 1.64%"."""
_COUNTED = re.compile(
    r"(?i)^\s?(?:of|in|worth of)(?: (?:net|common|our|the|total|stock|share|gross|positive))*\s*$",
)
"""What stands between an amount and its words where the amount comes first: "$144 million in share repurchases"."""
_RANGE = re.compile(r"(?i)^(?:up|down|higher|lower|growth of)\b(?s:.*)\s?(?:to|-|–) ?\d")
"""An outlook in note form, "up 3% to 5%": no change that was."""


class Level(NamedTuple):
    """An amount as it is said, its kind, and which sense the slot's words have beside it."""

    text: str
    kind: Kind
    sense: int


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A figure: its quote has it word for word."""

    text: str
    quote: Quote


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A row: a sub-slot's level and change in this call, and its level in the previous one."""

    topic: str
    label: str
    level: Cell | None
    change: Cell | None
    earlier: Cell | None


def figures(sections: Sequence[Section], transcript: CallTranscript) -> list[Figure]:
    """The rows, in the order of the report: one for each sub-slot whose quote gives a level or a change."""
    before = _levels_of(transcript.previous)
    rows: list[Figure] = []
    for title, label, quote in _slotted(sections):
        level, change = level_of(label, quote.text), change_of(label, quote.text)
        if level is None and change is None:
            continue
        earlier = before.get(label)
        # Dollars beside basis points say nothing, nor does a return on assets beside one on equity.
        alike = earlier is not None and level is not None and (earlier[0].kind, earlier[0].sense) == level[1:]
        rows.append(
            Figure(
                topic=title,
                label=label,
                level=Cell(text=level.text, quote=quote) if level else None,
                change=Cell(text=change, quote=quote) if change else None,
                earlier=Cell(text=earlier[0].text, quote=earlier[1]) if earlier and alike else None,
            )
        )
    return rows


def level_of(label: str, text: str) -> Level | None:
    """The slot's level in a quote: the nearest amount of its kinds that is led in as a level, and is no change."""
    read = _read()
    slot = read.slots[label]
    if read.refused.search(text):
        return None
    changes = [match.span() for match in read.changes.finditer(text)]
    for kind in slot.kinds:
        near: list[tuple[int, str, int]] = []
        for amount in read.amounts[kind].finditer(text):
            start, end = amount.span()
            if any(first <= start < last for first, last in changes):
                continue
            for term in slot.words.finditer(text):
                after, before = text[term.end() : start], text[end : term.start()]
                if term.end() <= start and len(after) <= _NEAR and not _breaks(after) and _LEADS_IN.search(after):
                    near.append((len(after), amount.group(), slot.sense(term.group())))
                elif end <= term.start() and kind != "percent" and _COUNTED.match(before):
                    near.append((len(before), amount.group(), slot.sense(term.group())))
        if near:
            _, found, sense = min(near)
            return Level(found, kind, sense)
    return None


def change_of(label: str, text: str) -> str | None:
    """The change that a quote states of the slot, in its words: `up 40 basis points versus the prior quarter`."""
    read = _read()
    slot = read.slots[label]
    if read.refused.search(text):
        return None
    near: list[tuple[int, str]] = []
    for match in read.changes.finditer(text):
        # Of what is counted in dollars, basis points are the yield's or the rate's change.
        yields = slot.kinds == ("money",) and read.amounts["points"].search(match.group())
        if yields or _RANGE.search(text[match.start() : match.end() + 5]):
            continue
        for term in slot.words.finditer(text):
            between = text[term.end() : match.start()]
            if term.end() <= match.start() and len(between) <= _NEAR and not _breaks(between):
                near.append((len(between), match.group().strip(" ,")))
    return min(near)[1] if near else None


def _breaks(between: str) -> bool:
    """Whether what stands between words and an amount parts them."""
    return _read().breaks.search(between) is not None


def _slotted(sections: Iterable[Section]) -> Iterator[tuple[str, str, Quote]]:
    """The quotes of sub-slots that have figures, each with its section's title and its label; guidance has none."""
    for section in sections:
        for block in section.blocks:
            known = block.question is None and block.label in _read().slots
            if known and section.topic != GUIDANCE and block.quotes:
                yield section.title, block.label, block.quotes[0]


def _levels_of(previous: CallTranscript | None) -> dict[str, tuple[Level, Quote]]:
    """The previous call's levels by label, from its own best statements."""
    if previous is None:
        return {}
    analysis = analyse(previous)
    found: dict[str, tuple[Level, Quote]] = {}
    for _, label, quote in _slotted(summary_section(analysis, key) for key in summary_topics()):
        level = level_of(label, quote.text)
        if level is not None:
            found.setdefault(label, (level, locate(quote, previous)))
    return found


@dataclass(frozen=True, kw_only=True)
class _Slot:
    """A sub-slot's words, the kinds of its level, and the senses that its words may have."""

    words: re.Pattern[str]
    kinds: tuple[Kind, ...]
    senses: tuple[re.Pattern[str], ...]

    def sense(self, term: str) -> int:
        """Which of the senses a term has; -1 for the plain one."""
        return next((index for index, pattern in enumerate(self.senses) if pattern.search(term)), -1)


@dataclass(frozen=True, kw_only=True)
class _Patterns:
    """What `figures.toml` says, compiled."""

    slots: dict[str, _Slot]
    amounts: dict[Kind, re.Pattern[str]]
    changes: re.Pattern[str]
    refused: re.Pattern[str]
    breaks: re.Pattern[str]


@cache
def _read() -> _Patterns:
    """The patterns; read and compiled at the first call."""
    document = tomllib.loads(files("aegis.reports").joinpath("figures.toml").read_text(encoding="utf-8"))
    amount, rises, since = _any(_KINDS.values()), _any(document["rises"]), _any(document["since"])
    filler = r"(?: (?:by|about|approximately|roughly|over|nearly|more than|just over|a))*"
    return _Patterns(
        slots={
            label: _Slot(
                words=re.compile(slot["words"], re.IGNORECASE),
                kinds=tuple(slot["kinds"]),
                senses=tuple(re.compile(sense, re.IGNORECASE) for sense in slot.get("senses", ())),
            )
            for label, slot in document["slots"].items()
        },
        amounts={kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _KINDS.items()},
        changes=re.compile(rf"\b{rises}{filler} {amount}(?:,? or {amount})?(?:,? {since})?", re.IGNORECASE),
        refused=re.compile(_any([*document["segments"], *document["not_the_quarters"]]), re.IGNORECASE),
        breaks=re.compile(_any(document["breaks"]), re.IGNORECASE),
    )


def _any(patterns: Iterable[str]) -> str:
    """Any of the patterns, as one group."""
    return f"(?:{'|'.join(patterns)})"
