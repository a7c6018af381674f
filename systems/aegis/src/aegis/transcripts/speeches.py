"""The speeches of a file of the JSON layout as one text, each with its speaker.

The text is the speeches one after the other, each verbatim, an empty line between two: that is what offsets count and
quotes are cut from. Headings that were taken for speakers, and speeches without words, are left out of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aegis.transcripts.handoffs import find_handoffs
from aegis.transcripts.model import Speech
from aegis.transcripts.roster import Person, Roster, kind_of, person_of, same_name

if TYPE_CHECKING:
    from aegis.transcripts.handoffs import Handoff
    from aegis.transcripts.layout import Layout, Spoken
    from aegis.transcripts.model import Role

BETWEEN = "\n\n"
_DIRECTION = re.compile(r"\[[^\[\]]{1,80}\]")
_OF_A_QUESTION = re.compile(r"(?i)\bquestion|\blines?\b")
_HEADINGS_WORDS = 40
"""Words under a heading from which on they are somebody's speech, not a list or a date."""


@dataclass(frozen=True, kw_only=True)
class SpokenText:
    """A call's text with its speeches; `head` is what names company and period, the headers before the text."""

    text: str
    head: str
    speeches: tuple[Speech, ...]

    @property
    def asked(self) -> bool:
        """Whether an analyst speaks."""
        return any(speech.role == "analyst" for speech in self.speeches)

    @property
    def prepared(self) -> bool:
        """Whether management speaks before the questions."""
        return any(speech.role == "management" and speech.part == "prepared" for speech in self.speeches)


def stage_directions(text: str) -> list[tuple[int, int]]:
    """Where words in brackets stand that nobody said: "[Operator instructions]"."""
    return [match.span() for match in _DIRECTION.finditer(text)]


def read_speeches(layout: Layout) -> SpokenText:
    """The file's speeches in order. The roles are those of the participants, then those that the call itself shows."""
    roster = Roster(layout.participants or ())
    parts: list[str] = []
    found: list[Speech] = []
    position = number = 0
    for name, entries in (("prepared_remarks", layout.prepared_remarks), ("q_and_a", layout.q_and_a)):
        for index, entry in enumerate(entries or ()):
            number += 1
            if entry is None or not _is_spoken(entry):
                continue
            words = entry.speech or ""
            role, person = _speaker(entry.speaker, roster)
            found.append(
                Speech(
                    number=number,
                    place=f"{name}[{index}]",
                    start=position,
                    end=position + len(words),
                    part="prepared" if name == "prepared_remarks" else "q_and_a",
                    role=role,
                    speaker=person.name,
                    title=person.title,
                    firm=person.firm,
                )
            )
            parts.append(words)
            position += len(words) + len(BETWEEN)
    text = BETWEEN.join(parts)
    speeches = _with_parts(_with_roles(found, text))
    head = "\n".join(" ".join(header.split()) for header in layout.header_texts or () if header)
    return SpokenText(text=text, head=f"{head}\n{text}" if head else text, speeches=tuple(speeches))


def _is_spoken(entry: Spoken) -> bool:
    words = _DIRECTION.sub("", entry.speech or "")
    if not words.strip():
        return False
    return kind_of(entry.speaker) != "heading" or ("--" not in words and len(words.split()) >= _HEADINGS_WORDS)


def _speaker(speaker: str | None, roster: Roster) -> tuple[Role, Person]:
    """A speech's role and speaker; "unknown" where neither the participants nor the name's own title tell."""
    match kind_of(speaker):
        case "operator":
            return "operator", Person(name="Operator")
        case "heading":
            return "unknown", Person(name="Unknown speaker")
        case "nobody":
            person = person_of(speaker or "")
            name = {"analyst": "Analyst", "management": "Management"}.get(person.role or "", "Unknown speaker")
            return person.role or "unknown", replace(person, name=name)
        case "person":
            own = person_of(speaker or "")
            listed = roster.find(own.name)
            if listed is None or listed.role is None:
                return own.role or "unknown", own
            return listed.role, listed


def _with_roles(speeches: list[Speech], text: str) -> list[Speech]:
    """Speakers without a role get the one that the call shows, the same in all of their speeches.

    Whom the operator gives the line for a question is an analyst; who speaks in the prepared remarks, or right after
    an analyst, is management.
    """
    introduced = _introduced(speeches, text)
    roles: dict[str, tuple[Role, str | None]] = {}
    for speech in speeches:
        if speech.role != "unknown" or speech.speaker == "Unknown speaker" or speech.speaker in roles:
            continue
        handoff = next((one for one in introduced if same_name(one.name, speech.speaker)), None)
        if handoff is not None:
            roles[speech.speaker] = ("analyst", handoff.firm or None)
    known = [_given(speech, roles) for speech in speeches]
    first_analyst = next((at for at, speech in enumerate(known) if speech.role == "analyst"), len(known))
    for at, speech in enumerate(known):
        if speech.role != "unknown" or speech.speaker == "Unknown speaker" or speech.speaker in roles:
            continue
        remarks = speech.part == "prepared" and at < first_analyst
        answers = at > 0 and known[at - 1].role == "analyst"
        if remarks or answers:
            roles[speech.speaker] = ("management", None)
    return [_given(speech, roles) for speech in speeches]


def _given(speech: Speech, roles: dict[str, tuple[Role, str | None]]) -> Speech:
    given = roles.get(speech.speaker) if speech.role == "unknown" else None
    return speech if given is None else replace(speech, role=given[0], firm=given[1])


def _introduced(speeches: list[Speech], text: str) -> list[Handoff]:
    """The operator's hand-offs. In the remarks one must speak of a question: executives are introduced there too."""
    found: list[Handoff] = []
    for speech in speeches:
        if speech.role != "operator":
            continue
        words = text[speech.start : speech.end]
        found += [
            handoff
            for handoff in find_handoffs(words)
            if handoff.name and (speech.part == "q_and_a" or _OF_A_QUESTION.search(words, handoff.start, handoff.end))
        ]
    return found


def _with_parts(speeches: list[Speech]) -> list[Speech]:
    """The speeches with the questions beginning where the first analyst speaks, or the file says, whichever is first.

    Some files have everything in one of the lists: then only the analysts tell. The operator's words right before the
    first question are of the questions.
    """
    asks = next((at for at, speech in enumerate(speeches) if speech.role == "analyst"), None)
    listed = next((at for at, speech in enumerate(speeches) if speech.part == "q_and_a"), len(speeches))
    first = listed
    if asks is not None:
        while asks > 0 and speeches[asks - 1].role == "operator":
            asks -= 1
        first = asks if listed == 0 else min(asks, listed)
    return [replace(speech, part="prepared" if at < first else "q_and_a") for at, speech in enumerate(speeches)]
