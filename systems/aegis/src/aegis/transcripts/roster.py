"""Who is who in a call whose file names its speakers: the list of participants, and the names above the speeches.

A participant is "Name--Title" of the company or "Name--Firm -- Analyst". Among the speakers stand also the operator,
people whom nobody could name, and headings that were taken for speakers ("Duration: 79 minutes").
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aegis.transcripts.model import Role

_DASH = re.compile(r"\s*--+\s*|\s*—\s*|\s+[–-]\s+")
_BRACKETS = re.compile(r"\s*[\[(][^\])]*[\])]?")
_ANALYST = re.compile(r"(?i)\banalyst\b")
_OPERATOR = re.compile(r"(?i)(?:the |conference |call )*(?:operator|moderator|coordinator)\b")
_NOBODY = re.compile(r"(?i)(?:un(?:known|identified|named)|multiple|various|several)\b|(?:speaker|participant)s?\b")
_COMPANY_SIDE = re.compile(r"(?i)\b(?:company|corporate|executive|management|representative)\b")
_HEADING = re.compile(
    r"(?i)(?:call )?duration\b|(?:(?:call|corporate|company|conference|conference call) )?participants?:?$|"
    r"(?:table of )?contents\b|prepared remarks\b|presentation:?$|questions? (?:and|&) answers?\b|q ?& ?a\b|"
    r"more \S+ analysis|all earnings call|transcript\b|image source|source:|date:|copyright\b|disclaimer\b|"
    r"stocks? mentioned|this (?:article|transcript)\b"
)
_ADDRESS = frozenset(["mr", "mrs", "ms", "dr", "jr", "sr", "ii", "iii", "iv", "sir"])
_LONGEST_NAME = 6
"""Words of a name: more is a sentence that was taken for one."""
_SURE = 88.0
"""Of 100, by rapidfuzz's ratio: the least likeness at which two spellings are one name."""

Kind = Literal["person", "operator", "nobody", "heading"]


@dataclass(frozen=True, kw_only=True)
class Person:
    """A speaker or participant: the name as printed, and what is said of it. `role` is None where that is unsaid."""

    name: str
    role: Role | None = None
    title: str | None = None
    firm: str | None = None


def kind_of(speaker: str | None) -> Kind:
    """What stands where a speaker's name should."""
    name = _bare(speaker)
    if not name:
        # "[Operator instructions]" as a speaker is a heading; nothing at all is somebody.
        return "heading" if (speaker or "").strip() else "nobody"
    if _OPERATOR.match(name):
        return "operator"
    if _HEADING.match(name):
        return "heading"
    if _NOBODY.match(name):
        return "nobody"
    digits = any(c.isdigit() for c in name)
    if digits or len(name.split()) > _LONGEST_NAME or not any(c.isalpha() for c in name):
        return "heading"
    return "person"


def person_of(entry: str) -> Person:
    """A participant, or a speaker with what stands behind the name: "Jane Doe -- Stifel -- Analyst"."""
    name, *rest = [part.strip(" ,:;") for part in _DASH.split(_plain(entry))]
    name = _bare(name)
    rest = [part for part in rest if part]
    if kind_of(name) == "nobody":
        role: Role | None = "analyst" if _ANALYST.search(entry) else None
        role = "management" if role is None and _COMPANY_SIDE.search(entry) else role
        return Person(name=name, role=role)
    if not rest:
        return Person(name=name)
    if _ANALYST.search(rest[-1]):
        firms = [*rest[:-1], _ANALYST.sub("", rest[-1]).strip(" ,-–—")]
        described = " ".join(firms[:-1]) or firms[-1]
        firm = None if re.search(r"(?i)\b(?:equity|research|senior|sell-?side)\b", described) else described
        return Person(name=name, role="analyst", firm=firm or None)
    return Person(name=name, role="management", title=", ".join(rest))


class Roster:
    """The participants of a call, found by the name above a speech however that is spelled."""

    def __init__(self, participants: Iterable[str | None]) -> None:
        self._people: dict[str, Person] = {}
        for entry in participants:
            if entry is None or kind_of(entry.partition("--")[0]) != "person":
                continue
            person = person_of(entry)
            self._people.setdefault(_key(person.name), person)

    def find(self, name: str) -> Person | None:
        """The participant of that name: the same, or the only one of that initial and surname, or the one alike."""
        key = _key(name)
        exact = self._people.get(key)
        if exact is not None or not key:
            return exact
        words = key.split()
        alike = [
            person
            for other, person in self._people.items()
            if len(words) > 1 and other.split()[-1] == words[-1] and other[0] == key[0]
        ]
        if len(alike) == 1:
            return alike[0]
        alike = [person for other, person in self._people.items() if _like(other, key)]
        return alike[0] if len(alike) == 1 else None


def same_name(one: str, other: str) -> bool:
    """Whether two names are one person's: "Mike Mayo" and "Michael Mayo" are, speech recognition's errors too."""
    a, b = _key(one).split(), _key(other).split()
    if not a or not b:
        return False
    if a == b or (len(a) > 1 and len(b) > 1 and a[-1] == b[-1] and a[0][0] == b[0][0]):
        return True
    return _like(" ".join(a), " ".join(b))


def _like(one: str, other: str) -> bool:
    from rapidfuzz import fuzz

    return fuzz.ratio(one, other) >= _SURE


def _plain(text: str) -> str:
    return " ".join(text.split())


def _bare(speaker: str | None) -> str:
    """A name without what stands behind it: title, brackets, colon."""
    name = _DASH.split(_plain(_BRACKETS.sub("", speaker or "")), maxsplit=1)[0]
    return name.strip(" ,:;")


@lru_cache(maxsize=4096)
def _key(name: str) -> str:
    """A name as it is compared: no accents, capitals, initials, titles or points."""
    letters = unicodedata.normalize("NFKD", name)
    letters = "".join(c for c in letters if not unicodedata.combining(c)).casefold()
    words = re.sub(r"[^\w\s]", "", letters.replace("-", " ")).split()
    kept = [word for word in words if len(word) > 1 and word not in _ADDRESS]
    return " ".join(kept or words)
