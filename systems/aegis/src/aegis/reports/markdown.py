"""A report as Markdown: every quote with its speaker and a link to its place in the transcript."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aegis.reports.places import Places, locator
from aegis.reports.quality import tallies_of
from aegis.reports.summary import GUIDANCE
from aegis.reports.wording import (
    COUNTED_THEMES,
    EMPTY,
    FIGURES,
    NO_ANSWER,
    NO_COUNTERPART,
    NOTHING,
    QUALITY,
    asker,
    attribution,
    compared_with,
    notices,
    provenance,
    shown,
    speaker,
    trust,
)

if TYPE_CHECKING:
    from aegis.reports.composition import Composition
    from aegis.reports.figures import Cell
    from aegis.reports.model import Block, Quote

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~])")


def render_markdown(report: Composition) -> str:
    """The report. Sections without blocks are left out; a report without any says so."""
    call = report.transcript
    lines = [f"# {_escape(call.bank_name)} ({_escape(call.bank_symbol)}): {report.report_type}, {call.period}", ""]
    for notice in notices(call):
        lines += [f"> **Notice.** {_escape(notice)}", ""]
    lines += [
        f"*{provenance(report.writer, speakers_known=bool(call.speeches))}*",
        "",
        f"Compared with {compared_with(call)}.",
        "",
    ]
    if not report.filled:
        lines += [NOTHING.get(report.report_type, "Nothing was found."), ""]
    if report.figures:
        lines += _figures(report)
    if report.counted and report.filled:
        lines += _themes(report)
    for section in report.filled:
        lines += [f"## {_escape(section.title)}", ""]
        for block in section.blocks:
            if block.question:
                lines += _question(block, block.question, report)
            else:
                lines += _point(block, report, compared=section.topic == GUIDANCE)
    lines += _quality(report)
    lines += ["---", "", f"Transcript SHA-256 `{call.sha256}`.", ""]
    return "\n".join(lines)


def _figures(report: Composition) -> list[str]:
    call = report.transcript
    rows = [
        (
            _escape(figure.label),
            _cell(figure.level, report.here),
            _cell(figure.change, report.here),
            _cell(figure.earlier, report.before),
        )
        for figure in report.figures
    ]
    head = ("Figure", f"Level, {call.period}", "Change, as said", f"Level, {call.period_before}")
    return [f"## {FIGURES}", "", *_table(head, rows), ""]


def _cell(cell: Cell | None, places: Places | None) -> str:
    if cell is None or places is None:
        return EMPTY
    return f"[{_escape(cell.text)}]({places.link(cell.quote.start)})"


def _themes(report: Composition) -> list[str]:
    call = report.transcript
    rows = [
        (_escape(section.title), str(section.kept), EMPTY if section.before is None else str(section.before))
        for section in report.sections
        if section.kept or section.before
    ]
    return [f"## {COUNTED_THEMES}", "", *_table(("Theme", call.period, call.period_before), rows), ""]


def _point(block: Block, report: Composition, *, compared: bool) -> list[str]:
    lines: list[str] = []
    call = report.transcript
    for index, quote in enumerate(block.quotes):
        label = f"**{_escape(block.label)}.** " if index == 0 else ""
        lines += [f"{label}“{_escape(shown(quote))}” ({_escape(attribution(quote))}; {_place(quote, report.here)})", ""]
        if quote.earlier is not None and report.before is not None:
            earlier = quote.earlier
            lines += [
                (
                    f"> *Last quarter ({call.period_before}):* “{_escape(shown(earlier))}” "
                    f"({_escape(attribution(earlier))}; {_place(earlier, report.before)})"
                ),
                "",
            ]
        elif compared and report.before is not None:
            lines += [f"> *Last quarter ({call.period_before}):* {NO_COUNTERPART}.", ""]
    return lines


def _question(block: Block, asked: Quote, report: Composition) -> list[str]:
    lines = [f"**Q** {_escape(asker(block))}: “{_escape(shown(asked))}” {_place(asked, report.here)}", ""]
    for quote in block.quotes:
        lines += [f"**A** {_escape(speaker(quote))}: “{_escape(shown(quote))}” {_place(quote, report.here)}", ""]
    if not block.quotes:
        lines += [f"**A** *{NO_ANSWER}*", ""]
    return lines


def _quality(report: Composition) -> list[str]:
    quality = report.quality
    lines = [f"## {QUALITY}", "", *_table(("Measure", "Value"), [(a, _escape(b)) for a, b in trust(quality)]), ""]
    for title, tally, words in tallies_of(quality):
        rows = [("**Considered**", f"**{tally.considered:,}**"), ("quoted", f"{tally.kept:,}")]
        rows += [
            (f"not quoted: {text}", f"{tally.dropped[key]:,}") for key, text in words.items() if key in tally.dropped
        ]
        lines += [*_table((title, "Number"), rows), ""]
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [tuple(head), tuple("---" for _ in head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _place(quote: Quote, places: Places) -> str:
    return f"[{locator(quote)}]({places.link(quote.start)})"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
