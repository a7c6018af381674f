"""The points of the bar that labels decide, each as figures of one part."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aegis.reports import Quote
from aegis.reports.analysis import Analysis, is_quotable
from aegis.reports.lexicon import topic_of
from aegis.reports.salience import has_quantity
from aegis.reports.summary import GUIDANCE, summary_section
from aegis.transcripts.handoffs import find_handoffs
from benchmarks.aegis_quality.labels import Calls, Part, Place
from benchmarks.aegis_quality.reports import THEME, Written

NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Score:
    """A share of some number of cases beside its bar; `most` says that the bar is an upper limit."""

    point: int
    what: str
    hits: int
    cases: int
    bar: float | None = None
    most: bool = False

    @property
    def share(self) -> float:
        """The share; of no cases at all none is wrong."""
        return self.hits / self.cases if self.cases else (0.0 if self.most else 1.0)

    @property
    def reached(self) -> bool:
        """Whether the bar is kept; a figure without a bar always does."""
        return self.bar is None or (self.share <= self.bar if self.most else self.share >= self.bar)


def topics(places: Iterable[Place]) -> list[Score]:
    """Point 2. Of a sentence with several labels each is right; with "none" among them it may also be left out."""
    given = right = wanted = found = empty = kept_out = 0
    for place in places:
        topic = (topic_of(place.text) if is_quotable(place.text) else None) or NONE
        if topic != NONE:
            given += 1
            right += topic in place.says
        if NONE not in place.says:
            wanted += 1
            found += topic in place.says
        if place.says == (NONE,):
            empty += 1
            kept_out += topic == NONE
    return [
        Score(point=2, what="topics: precision", hits=right, cases=given, bar=0.85),
        Score(point=2, what="topics: recall", hits=found, cases=wanted, bar=0.60),
        Score(point=2, what='topics: of "none" kept out', hits=kept_out, cases=empty, bar=0.85),
    ]


def quotes_by_reading(places: Iterable[Place], written: dict[str, Written]) -> list[Score]:
    """Points 3 and 6: of a Call Summary's quotes that a reader judged and that are still written, those found good.

    Good is on the section's topic, informative and said by management; of guidance, a forward statement with a measure.
    """
    good, cases, unread = _judged(places, written, answers=False)
    scores = [
        Score(point=3, what="quotes of a summary good", hits=good.total(), cases=cases.total(), bar=0.88),
        Score(point=3, what="quotes of a summary not read", hits=unread, cases=unread + cases.total()),
    ]
    for section in sorted(cases):
        what = f"good: {section}"
        bar = 0.70 if section == "strategy" else 0.80
        point = 6 if section == "guidance" else 3
        scores.append(Score(point=point, what=what, hits=good[section], cases=cases[section], bar=bar))
    return scores


def answers_by_reading(places: Iterable[Place], written: dict[str, Written]) -> list[Score]:
    """The same of management's answers in Key Themes, of which a sample was read."""
    good, cases, unread = _judged(places, written, answers=True)
    return [
        Score(point=3, what="answers in themes good", hits=good.total(), cases=cases.total(), bar=0.88),
        Score(point=3, what="answers in themes not read", hits=unread, cases=unread + cases.total()),
    ]


def _judged(
    places: Iterable[Place], written: dict[str, Written], *, answers: bool
) -> tuple[Counter[str], Counter[str], int]:
    judged = {(place.file, place.kind, place.start, place.end): place for place in places}
    good: Counter[str] = Counter()
    cases: Counter[str] = Counter()
    unread = 0
    for file in sorted({place.file for place in judged.values()}):
        for section, quote in written[file].quotes():
            if section.startswith(THEME) is not answers:
                continue
            place = judged.get((file, section, quote.start, quote.end))
            if place is None:
                unread += 1
                continue
            cases[section] += 1
            good[section] += "good" in place.says
    return good, cases, unread


def slots(places: Iterable[Place], written: dict[str, Written]) -> list[Score]:
    """Point 5: the slots for which the call gives a figure, and whether a quote of the Call Summary tells it."""
    told: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for place in places:
        told[place.file, place.kind].append(place)
    hits: Counter[str] = Counter()
    cases: Counter[str] = Counter()
    for (file, _), accepted in told.items():
        cases[file] += 1
        found = any(place.meets(quote.start, quote.end) for quote in written[file].summary() for place in accepted)
        hits[file] += found
    shares = {file: hits[file] / cases[file] for file in cases}
    worst = min(shares, key=lambda file: (shares[file], file))
    numbers = [has_quantity(quote.text) for file in sorted(cases) for quote in written[file].summary()]
    return [
        Score(point=5, what="slots told", hits=hits.total(), cases=cases.total(), bar=0.85),
        Score(point=5, what=f"slots told, worst call ({worst})", hits=hits[worst], cases=cases[worst], bar=0.70),
        Score(point=5, what="quotes of a summary with a quantity", hits=sum(numbers), cases=len(numbers), bar=0.80),
    ]


def turns(places: Sequence[Place], calls: Calls, written: dict[str, Written]) -> list[Score]:
    """Point 7: hand-offs found and false ones; management's quotes with a number that an analyst said."""
    files = sorted({place.file for place in places})
    found = wanted = false = made = said = numeric = 0
    for file in files:
        here = [place for place in places if place.file == file]
        true = [place for place in here if place.kind == "handoff"]
        handoffs = find_handoffs(calls.by_name[file].text)
        wanted += len(true)
        found += sum(any(place.meets(one.start, one.end) for one in handoffs) for place in true)
        made += len(handoffs)
        false += sum(not any(place.meets(one.start, one.end) for place in true) for one in handoffs)
        analysts = [place for place in here if place.kind == "analyst"]
        mixed = [place for place in here if place.kind == "mixed"]
        for _, quote in written[file].quotes():
            if not has_quantity(quote.text) or any(place.meets(quote.start, quote.end) for place in mixed):
                continue
            numeric += 1
            said += not any(place.meets(quote.start, quote.end) for place in [*analysts, *true])
    return [
        Score(point=7, what="numeric quotes truly management's", hits=said, cases=numeric, bar=0.97),
        Score(point=7, what="hand-offs found", hits=found, cases=wanted, bar=0.98),
        Score(point=7, what="hand-offs that are none", hits=false, cases=made, bar=0.01, most=True),
    ]


def themes(places: Sequence[Place], written: dict[str, Written]) -> list[Score]:
    """Point 8. A true question counts as right if the report has it, or a part of it, under an accepted theme."""
    files = sorted({place.file for place in places})
    right: Counter[str] = Counter()
    cases: Counter[str] = Counter()
    false = made = analysts = heard = 0
    for file in files:
        here = [place for place in places if place.file == file]
        true = [place for place in here if place.kind == "question"]
        asked = written[file].questions()
        made += len(asked)
        allowed = [place for place in here if place.kind in {"question", "optional", "mixed"}]
        false += sum(not any(place.meets(quote.start, quote.end) for place in allowed) for _, quote in asked)
        for place in true:
            cases[file] += 1
            under = {theme for theme, quote in asked if place.meets(quote.start, quote.end)}
            right[file] += bool(under & set(place.says))
        reached, whole = _analysts(here, [quote for _, quote in asked])
        heard += reached
        analysts += whole
    worst = min(cases, key=lambda file: (right[file] / cases[file], file))
    return [
        Score(point=8, what="themes right", hits=right.total(), cases=cases.total(), bar=0.80),
        Score(point=8, what=f"themes right, worst call ({worst})", hits=right[worst], cases=cases[worst], bar=0.70),
        Score(point=8, what="questions that are none", hits=false, cases=made, bar=0.05, most=True),
        Score(point=8, what="turns of analysts that appear", hits=heard, cases=analysts, bar=1.0),
    ]


def _analysts(places: Sequence[Place], asked: Sequence[Quote]) -> tuple[int, int]:
    """Of one call the hand-offs after which something is asked, and of them those with a question in the report."""
    starts = [place.start for place in places if place.kind == "handoff"]
    ends = [*starts[1:], max(place.end for place in places) + 1]
    reached = whole = 0
    for start, end in zip(starts, ends, strict=True):
        if any(place.kind == "question" and start <= place.start < end for place in places):
            whole += 1
            reached += any(start <= quote.start < end for quote in asked)
    return reached, whole


def guidance(calls: Calls) -> Score:
    """Point 6 over every whole call, also of banks that give no guidance: whether the report has some."""
    whole = [call for call in calls.by_name.values() if "incomplete" not in (call.notice or "")]
    present = sum(summary_section(Analysis(call.text), GUIDANCE).kept > 0 for call in whole)
    return Score(point=6, what="guidance present in whole calls", hits=present, cases=len(whole), bar=0.90)


def of_part(part: Part, calls: Calls, written: dict[str, Written]) -> list[Score]:
    """All scores of one part."""

    def places(labels: str, kind: str, says: str) -> list[Place]:
        return [place for place in calls.places(labels, kind, says) if place.part == part]

    heard = places("turns.csv", "kind", "themes")
    return [
        *topics(places("topics.csv", "", "topics")),
        *quotes_by_reading(places("quotes.csv", "section", "judgement"), written),
        *answers_by_reading(places("answers.csv", "section", "judgement"), written),
        *slots(places("slots.csv", "slot", ""), written),
        *turns(heard, calls, written),
        *themes(heard, written),
    ]
