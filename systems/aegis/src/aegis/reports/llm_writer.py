"""The writer that asks a language model which of a call's own words to quote.

Whatever it answers, a quote that is not in the transcript to the character does not reach a report.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

import penstock as ps
from aegis.reports.analysis import analyse
from aegis.reports.extractive import ExtractiveWriter
from aegis.reports.guidance import MEASURES
from aegis.reports.lexicon import topics
from aegis.reports.llm_prompts import (
    SummaryAnswer,
    ThemeAnswer,
    again,
    exchange_line,
    shown,
    summary_task,
    system_of,
    theme_task,
)
from aegis.reports.llm_quotes import Judge, Span
from aegis.reports.llm_windows import windows
from aegis.reports.model import Block, Quote, RefusedQuote, Section
from aegis.reports.salience import salience
from aegis.reports.summary import GUIDANCE, summary_topics
from aegis.reports.themes import theme_section, theme_topics
from penstock import data

if TYPE_CHECKING:
    from aegis.reports.analysis import Analysis, Exchange
    from aegis.reports.model import CallTranscript
    from aegis.semantic import Embed

A = TypeVar("A", bound=BaseModel)
CONTEXT = 32_000
"""Tokens that a model is taken to have room for where nobody says."""
_LEAST_ROOM = 4_000
_GUIDED = 2
"""Statements of guidance for one measure, as in reports made without a model."""
_ANSWERS = 2


class _Tally:
    """What making a section comes to: quotes by what they stand for (a label, an exchange), money, and refusals."""

    def __init__(self) -> None:
        self.cost = Decimal(0)
        self.questions: dict[int, Quote] = {}
        self.statements: dict[str | int, list[Quote]] = {}
        self.refused: list[RefusedQuote] = []
        self.asked_again = self.given_up = 0

    @property
    def accepted(self) -> int:
        """How many quotes are good so far."""
        return len(self.questions) + sum(len(quotes) for quotes in self.statements.values())

    def question(self, number: int, quote: Quote | RefusedQuote) -> None:
        """A question that the model gave."""
        if isinstance(quote, RefusedQuote):
            self.refused.append(quote)
        else:
            self.questions.setdefault(number, quote)

    def statement(self, place: str | int, quote: Quote | RefusedQuote) -> None:
        """A statement that the model gave; the same one twice is one."""
        if isinstance(quote, RefusedQuote):
            self.refused.append(quote)
        elif quote not in (known := self.statements.setdefault(place, [])):
            known.append(quote)


class LlmWriter:
    """Writes the sections of `ExtractiveWriter` with a model's choice of quotes.

    What a theme's questions are is decided as there: each question stands in one theme, and every analyst appears.

    Args:
        llm: The model; what it may cost is its own affair.
        context: Tokens that fit into a request and its answer; by default what is known of the model.
    """

    embed: Embed | None = None
    """No embeddings: what statements mean is the model's to say."""

    def __init__(self, llm: data.Llm, *, context: int | None = None) -> None:
        self._llm, self._context = llm, context or llm.context or CONTEXT
        self._topics = ExtractiveWriter()

    @property
    def name(self) -> str:
        """The model's name is part of it: another one's sections are not taken over."""
        return f"llm {self._llm.model}"

    def topics(self, report_type: str) -> list[str]:
        """The topics of a report's sections in their order; `ValueError` for an unknown report type."""
        return self._topics.topics(report_type)

    async def section(self, transcript: CallTranscript, topic: str) -> Section:
        """One section.

        Raises:
            SettingError: The model has no room for a sentence of the transcript.
            ValueError: An unknown topic.
            Exception: What `penstock.data.Llm` raises.
        """
        analysis = await asyncio.to_thread(analyse, transcript)
        if topic in summary_topics():
            return await self._summary(transcript, analysis, topic)
        if topic in theme_topics():
            return await self._theme(transcript, analysis, topic)
        msg = f"no topic {topic!r}; there are {', '.join([*summary_topics(), *theme_topics()])}"
        raise ValueError(msg)

    async def _summary(self, transcript: CallTranscript, analysis: Analysis, key: str) -> Section:
        guided = key == GUIDANCE
        title = "Guidance" if guided else topics()[key].title
        labels = [label for label, _ in (MEASURES if guided else topics()[key].slots)]
        each = _GUIDED if guided else 1
        task = summary_task(title, labels, each=each, guidance=guided)
        tally = _Tally()
        for span in self._windows(transcript, analysis, task):
            judge = Judge(transcript.text, analysis, [span])

            def take(answer: SummaryAnswer, judge: Judge = judge) -> None:
                for point in answer.points:
                    known = point.label in labels
                    refused = RefusedQuote(text=point.quote, reason="label")
                    tally.statement(point.label, judge.statement(point.quote) if known else refused)

            messages = [shown(transcript, _slice(transcript.text, span)), task]
            await self._ask(transcript, messages, SummaryAnswer, take, tally=tally)
        blocks = [
            Block(label=label, quotes=_best(quotes, each, len(transcript.text)))
            for label in labels
            if (quotes := tally.statements.get(label))
        ]
        return _section("Call Summary", key, title, blocks, tally)

    async def _theme(self, transcript: CallTranscript, analysis: Analysis, key: str) -> Section:
        scaffold = theme_section(analysis, transcript.text, key)
        numbered = {
            number: (block, exchange)
            for number, block in enumerate(scaffold.blocks, 1)
            if (exchange := _exchange_of(block, analysis)) is not None
        }
        if not numbered:
            return _section("Key Themes", key, scaffold.title, [], _Tally())
        tally = _Tally()
        nowhere = Judge(transcript.text, analysis, [])  # an exchange that the model was not shown
        for group in self._groups(transcript, numbered):
            judges = {number: Judge(transcript.text, analysis, [_span(numbered[number][1])]) for number in group}

            def take(answer: ThemeAnswer, judges: dict[int, Judge] = judges) -> None:
                for given in answer.exchanges:
                    judge = judges.get(given.number, nowhere)
                    if given.question:
                        tally.question(given.number, judge.question(given.question))
                    for statement in given.answers:
                        tally.statement(given.number, judge.statement(statement))

            part = "".join(
                exchange_line(number) + _slice(transcript.text, _span(numbered[number][1])) for number in group
            )
            messages = [shown(transcript, part), theme_task(scaffold.title, len(group))]
            await self._ask(transcript, messages, ThemeAnswer, take, tally=tally)
        blocks = [
            _block(block, tally.questions.get(number), tally.statements.get(number, []))
            for number, (block, _) in numbered.items()
        ]
        return _section("Key Themes", key, scaffold.title, blocks, tally)

    async def _ask(
        self,
        transcript: CallTranscript,
        messages: list[dict[str, str]],
        form: type[A],
        take: Callable[[A], None],
        *,
        tally: _Tally,
    ) -> None:
        """Ask; what is refused is asked for once more, and what is refused then is dropped and counted."""
        system = system_of(transcript)
        reply = await self._llm.reply(messages, form, system=system)
        tally.cost += reply.cost or 0
        before = len(tally.refused)
        take(reply.answer)
        refused, accepted = tally.refused[before:], tally.accepted
        if not refused:
            return
        tally.asked_again += len(refused)
        second = await self._llm.reply([*messages, *again(reply.answer, refused)], form, system=system)
        tally.cost += second.cost or 0
        take(second.answer)
        tally.given_up += max(0, len(refused) - (tally.accepted - accepted))

    def _windows(self, transcript: CallTranscript, analysis: Analysis, task: dict[str, str]) -> list[Span]:
        try:
            return windows(transcript.text, analysis, self._room(transcript, task, SummaryAnswer))
        except ValueError as error:
            raise self._too_small(str(error)) from None

    def _room(self, transcript: CallTranscript, task: dict[str, str], form: type[BaseModel]) -> int:
        """Bytes of the transcript that fit into a request, with what a second one adds: an answer and its refusals."""
        around = self._llm.most_tokens([shown(transcript, ""), task], form, system=system_of(transcript))
        room = self._context - around - 3 * self._llm.max_tokens
        if room < _LEAST_ROOM:
            raise self._too_small(f"{max(0, room)} are left for the transcript")
        return room

    def _too_small(self, why: str) -> ps.SettingError:
        return ps.SettingError(
            f"The model {self._llm.model} has room for {self._context} tokens, which is too little: {why}. Say what it "
            "has in AEGIS_LLM_CONTEXT, lower AEGIS_LLM_MAX_TOKENS, or take another model."
        )

    def _groups(self, transcript: CallTranscript, numbered: dict[int, tuple[Block, Exchange]]) -> list[list[int]]:
        """Exchanges that are asked about together: as many as fit."""
        room = self._room(transcript, theme_task("x" * 80, len(numbered)), ThemeAnswer)
        groups: list[list[int]] = []
        left = 0
        for number, (_, exchange) in numbered.items():
            span = _span(exchange)
            size = len((exchange_line(number) + _slice(transcript.text, span)).encode("utf-8", "surrogatepass"))
            if size > room:
                raise self._too_small(f"the exchange at {span.start} alone has {size} bytes, and {room} fit")
            if size > left:
                groups.append([])
                left = room
            groups[-1].append(number)
            left -= size
        return groups


def _block(block: Block, question: Quote | None, answers: Sequence[Quote]) -> Block:
    """The exchange's block with the model's choice; its own question where the model gave none: analysts all appear."""
    kept = sorted(answers[:_ANSWERS], key=lambda quote: quote.start)
    label = block.question.speaker if block.question is not None else block.label
    asked = block.question if question is None else question.model_copy(update={"speaker": label})
    return block.model_copy(update={"question": asked, "quotes": kept})


def _best(quotes: Sequence[Quote], most: int, length: int) -> list[Quote]:
    """The most telling of them, in the order of the text; overlapping ones are one."""
    free: list[Quote] = []
    rated = sorted(
        quotes,
        key=lambda one: -salience(one.text, prepared=one.part == "prepared", position=one.start / max(1, length)),
    )
    for quote in rated:
        if len(free) < most and all(quote.end <= other.start or quote.start >= other.end for other in free):
            free.append(quote)
    return sorted(free, key=lambda quote: quote.start)


def _section(report_type: str, key: str, title: str, blocks: list[Block], tally: _Tally) -> Section:
    kept = sum(len(block.quotes) for block in blocks) + len(tally.questions)
    considered = tally.accepted + len(tally.refused)
    return Section(
        report_type=report_type,
        topic=key,
        title=title,
        blocks=blocks,
        considered=considered,
        kept=kept,
        dropped=considered - kept,
        asked_again=tally.asked_again,
        given_up=tally.given_up,
        refused=tally.refused,
        cost_usd=tally.cost,
        by_model=True,
    )


def _exchange_of(block: Block, analysis: Analysis) -> Exchange | None:
    question = block.question
    if question is None:
        return None
    return next((one for one in analysis.exchanges if _span(one).start <= question.start < _span(one).end), None)


def _span(exchange: Exchange) -> Span:
    spoken = [*exchange.question, *exchange.answer]
    return Span(start=spoken[0].sentence.start, end=spoken[-1].sentence.end)


def _slice(text: str, span: Span) -> str:
    return text[span.start : span.end]
