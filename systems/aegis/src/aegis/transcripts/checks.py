"""Checking transcripts: each file ends as accepted, accepted with flags, or rejected with a reason."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from aegis.transcripts.companies import Company, companies, company
from aegis.transcripts.cut import cut
from aegis.transcripts.layout import LayoutError, is_json, read_layout
from aegis.transcripts.model import Flag, Inspection, RawFile, Reason, Rejection, Speech, Transcript
from aegis.transcripts.period import other_period
from aegis.transcripts.speeches import SpokenText, read_speeches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HEAD = 3_000
"""Characters in which the company and the period of a call are looked for."""

LONGEST_WORD = 400
"""Characters without a space that a transcript may have: what has more is no speech."""

_FORM = "TICKER_YYYY_Qn.txt or TICKER_qn_YYYY.txt"
_TICKER, _YEAR, _QUARTER = r"(?P<ticker>[A-Z][A-Z0-9.]{0,9})", r"(?P<year>(?:19|20)[0-9]{2})", r"[Qq](?P<quarter>[1-4])"
_NAMES = (
    re.compile(rf"{_TICKER}_{_YEAR}_{_QUARTER}\.txt"),
    re.compile(rf"{_TICKER}_{_QUARTER}_{_YEAR}\.txt"),
)
_UNLISTED = re.compile(
    r"(?:[Ww]elcome(?:,? \w+,?)? to|[Hh]osted by|[Oo]n behalf of) (?:the "
    r")?(?P<name>[A-Z][\w.'’-]*(?: (?:& |and |of )?[A-Z][\w.'’-]*)*)"
    r"[^.]{0,60}?\b(?:[Cc]all|[Ww]ebcast)\b"
)
_GENERIC = re.compile(
    r"['’]s\b|\b(?:First|Second|Third|Fourth|Full|Quarter|Year|Earnings|Results|Conference|"
    r"Financial|Group|Corporation|Bank|"
    r"Inc|Company)\b.*"
)
_SIMILAR = 75.0
"""Of 100, by rapidfuzz: a name at least as like the bank's own counts as mis-heard ("BMY Mellon"), not as another's."""

_Period = tuple[str, int, str]


@dataclass(frozen=True, kw_only=True)
class _Named:
    """A file whose name is of the form, with its text. `spoken` is there where the file names its speakers."""

    name: str
    ticker: str
    year: int
    quarter: int
    text: str
    sha256: str
    spoken: SpokenText | None

    @property
    def head(self) -> str:
        """Where company and period are looked for."""
        return (self.text if self.spoken is None else self.spoken.head)[:HEAD]

    @property
    def speeches(self) -> tuple[Speech, ...]:
        return () if self.spoken is None else self.spoken.speeches


def inspect(
    files: Iterable[RawFile], known: Mapping[str, str], held: Mapping[_Period, str] | None = None
) -> Inspection:
    """How every file ends. `known` gives the full name of each known bank by its ticker.

    `held` names the file that already holds a period (ticker, fiscal year, quarter), from earlier ingests: a file
    that is of that period by its text only does not take its place.

    A file of another company is rejected. One of another period is flagged, and filed under the period that its text
    names, unless another file holds that period by its name. The result does not depend on the order of the files.
    """
    rejected: list[Rejection] = []
    named: list[_Named] = []
    ignored = 0
    for file in files:
        if file.ignored:
            ignored += 1
            continue
        outcome = _read(file, known)
        if isinstance(outcome, Rejection):
            rejected.append(outcome)
        else:
            named.append(outcome)
    named.sort(key=lambda file: (file.name, file.sha256))
    named, duplicates = _without_duplicates(named, known)
    kept, others = _of_their_company(named, known)
    kept, seconds = _one_a_period(kept)
    rejected += duplicates + others + seconds

    claimed = dict(held or {})
    claimed |= {(one.ticker, one.year, f"Q{one.quarter}"): one.name for one in kept}
    accepted: list[Transcript] = []
    for one in kept:
        transcript = _accept(one, claimed, kept)
        claimed[transcript.ticker, transcript.fiscal_year, transcript.quarter] = one.name
        accepted.append(transcript)
    accepted.sort(key=lambda transcript: transcript.name)
    rejected.sort(key=lambda rejection: (rejection.name, rejection.reason, rejection.sha256))
    return Inspection(accepted=accepted, rejected=rejected, ignored=ignored)


def _read(file: RawFile, known: Mapping[str, str]) -> _Named | Rejection:
    """The file by name and text, or the first reason against it that needs no other file."""
    if file.problem is not None or file.data is None:
        return Rejection(name=file.name, reason=file.problem or Reason.UNREADABLE, detail=file.detail)
    name = PurePosixPath(file.name).name
    sha256 = hashlib.sha256(file.data).hexdigest()

    def reject(reason: Reason, detail: str) -> Rejection:
        return Rejection(name=name, reason=reason, detail=detail, sha256=sha256)

    match = next((match for form in _NAMES if (match := form.fullmatch(name))), None)
    if match is None:
        return reject(Reason.UNKNOWN_NAME, f"{name} is not of the form {_FORM}; rename it.")
    ticker = match["ticker"]
    if ticker not in known:
        return reject(
            Reason.UNKNOWN_BANK, f"{ticker} is not among the institutions; add it to them or leave the file out."
        )
    try:
        text = file.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return reject(Reason.BAD_ENCODING, f"{name} is not UTF-8 at byte {error.start}; save it as UTF-8.")
    if "\0" in text:
        return reject(Reason.BAD_ENCODING, f"{name} holds NUL characters; save it as UTF-8 text.")
    spoken: SpokenText | None = None
    if is_json(text):
        try:
            spoken = read_speeches(read_layout(text))
        except LayoutError as error:
            return reject(error.reason, f"{name} {error.detail}.")
        text = spoken.text
    if not text.strip():
        return reject(Reason.EMPTY, f"{name} holds no {'text' if spoken is None else 'speeches'}.")
    if max(map(len, text.split())) > LONGEST_WORD:
        detail = f"{name} has more than {LONGEST_WORD} characters without a space between them: it is no transcript."
        return reject(Reason.NO_TRANSCRIPT, detail)
    return _Named(
        name=name,
        ticker=ticker,
        year=int(match["year"]),
        quarter=int(match["quarter"]),
        text=text,
        sha256=sha256,
        spoken=spoken,
    )


def _of_their_company(files: list[_Named], known: Mapping[str, str]) -> tuple[list[_Named], list[Rejection]]:
    """The files whose text is of their bank's call, and the rejections of the rest."""
    kept: list[_Named] = []
    rejected: list[Rejection] = []
    for file in files:
        other = other_company(file.head, file.ticker, known[file.ticker])
        if other is None:
            kept.append(file)
        else:
            detail = f"{file.name} holds the call of {other}, not of {known[file.ticker]}."
            rejected.append(Rejection(name=file.name, reason=Reason.OTHER_COMPANY, detail=detail, sha256=file.sha256))
    return kept, rejected


def other_company(head: str, ticker: str, name: str) -> str | None:
    """The company whose call the opening plainly is, where that is not the given bank's; else None.

    Plainly is: the bank itself is not introduced, and another company is, by the table or by a name unlike the
    bank's own. A call that introduces nobody (cut at its start) is not another's.
    """
    table = companies()
    own = table.get(ticker) or company(ticker, name)
    if own.introduced.search(head):
        return None
    mentions = len(own.named.findall(head))
    for other in table.values():
        if other.ticker != ticker and other.introduced.search(head) and len(other.named.findall(head)) > 2 * mentions:
            return other.name
    match = _UNLISTED.search(head)
    if mentions == 0 and match is not None and not _like(match["name"], own):
        return _GENERIC.sub("", match["name"]).strip()
    return None


def _like(heard: str, own: Company) -> bool:
    from rapidfuzz import fuzz

    return fuzz.partial_ratio(_GENERIC.sub("", heard).lower(), _GENERIC.sub("", own.name).lower()) >= _SIMILAR


def _without_duplicates(files: list[_Named], known: Mapping[str, str]) -> tuple[list[_Named], list[Rejection]]:
    """The files without those that repeat another bank's bytes, or another file's name."""
    groups: dict[str, list[_Named]] = {}
    for file in files:
        groups.setdefault(file.sha256, []).append(file)
    kept: list[_Named] = []
    rejected: list[Rejection] = []
    names: dict[str, _Named] = {}

    def reject(file: _Named, other: str) -> None:
        detail = f"{file.name} is a duplicate of {other}."
        rejected.append(Rejection(name=file.name, reason=Reason.DUPLICATE_OF, detail=detail, sha256=file.sha256))

    for file in files:
        owner = max(groups[file.sha256], key=lambda other: _mentions(other, known))
        if owner.ticker != file.ticker:
            reject(file, f"{owner.name}, whose company the text names")
        elif file.name in names:
            reject(file, f"another file of that name ({names[file.name].sha256[:12]}…) in the same source")
        else:
            names[file.name] = file
            kept.append(file)
    return kept, rejected


def _one_a_period(files: list[_Named]) -> tuple[list[_Named], list[Rejection]]:
    """Of files named for one period of a bank (one in each layout) the one that names its speakers."""
    periods: dict[_Period, list[_Named]] = {}
    for file in files:
        periods.setdefault((file.ticker, file.year, f"Q{file.quarter}"), []).append(file)
    kept: list[_Named] = []
    rejected: list[Rejection] = []
    for group in periods.values():
        first, *others = sorted(group, key=lambda file: (file.spoken is None, file.name))
        kept.append(first)
        why = "which names its speakers" if first.spoken is not None else "of the same period"
        for file in others:
            detail = f"{file.name} gives way to {first.name}, {why}."
            rejected.append(Rejection(name=file.name, reason=Reason.DUPLICATE_OF, detail=detail, sha256=file.sha256))
    return sorted(kept, key=lambda file: (file.name, file.sha256)), rejected


def _mentions(file: _Named, known: Mapping[str, str]) -> int:
    own = companies().get(file.ticker) or company(file.ticker, known[file.ticker])
    return len(own.named.findall(file.head))


def _accept(file: _Named, claimed: Mapping[_Period, str], files: list[_Named]) -> Transcript:
    """The transcript with its flags, under the period that its text names where that place is free."""
    flags: list[Flag] = []
    transcript = Transcript(
        ticker=file.ticker,
        fiscal_year=file.year,
        quarter=f"Q{file.quarter}",
        text=file.text,
        sha256=file.sha256,
        words=len(file.text.split()),
        flags=(),
        name=file.name,
        speeches=file.speeches,
    )
    twins = [twin.name for twin in files if twin.sha256 == file.sha256 and twin.name != file.name]
    if twins:
        detail = f"The file is byte-identical to {', '.join(twins)}, of the same bank and another period."
        flags.append(Flag(reason=Reason.DUPLICATE_OF, detail=detail))
    period = other_period(file.head, file.year, file.quarter)
    if period is not None:
        year, quarter = period[0], f"Q{period[1]}"
        detail = f"The call says it is of {year} {quarter}, while the file is named {file.year} Q{file.quarter}"
        holder = claimed.get((file.ticker, year, quarter), file.name)
        if holder == file.name:
            transcript = replace(transcript, fiscal_year=year, quarter=quarter)
            detail += "; it is filed under what the call says."
        else:
            detail += (
                f"; {holder} holds that quarter, so this file stays under its name. Its figures are of {year} "
                f"{quarter}."
            )
        flags.append(Flag(reason=Reason.OTHER_PERIOD, detail=detail))
    incomplete = cut(file.text, transcript.words, file.spoken)
    if incomplete is not None:
        flags.append(Flag(reason=Reason.CUT, detail=incomplete))
    return replace(transcript, flags=tuple(flags))
