"""The look of a report in Word: its page, its styles, its header and footer.

Everything that is set apart has a style of its own, so that a reader's house style can be put over it at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aegis.reports.word_xml import LINK_STYLE, clean, element, field

FONT = "Calibri"
INK, ACCENT, GREY, RULE = "1C2430", "1F4E79", "5B6573", "C9D1DB"
FACT, QUOTE, QUESTION, BESIDE, EARLIER = "Fact", "Quote", "Question", "Quote Beside", "Earlier Quote"
SOURCE, SOURCE_BESIDE, NOTICE, PASSAGE, CELL, HEAD, SMALL = (
    "Source",
    "Source Beside",
    "Notice",
    "Passage",
    "Cell",
    "Cell Head",
    "Small Print",
)
QUOTED = "Quoted Passage"
CONTENTS = "toc 1"
"""Word's own style of an entry of the contents, by the name that it has in the file."""
_BUILT_IN = (CONTENTS, LINK_STYLE)
WIDTH = 6.5
"""Inches between the margins of a Letter page."""


@dataclass(frozen=True, kw_only=True)
class _Look:
    """A paragraph style. Sizes and spaces in points, indents in inches, `bar` the colour of a rule at its left."""

    size: float
    colour: str = INK
    bold: bool = False
    italic: bool = False
    before: float = 0
    after: float = 0
    indent: float = 0
    bar: str = ""
    fill: str = ""
    keep_next: bool = False
    line: float = 1.08


_LOOKS: dict[str, _Look] = {
    "Normal": _Look(size=10.5, after=6),
    "Title": _Look(size=24, colour=ACCENT, bold=True, after=0, line=1.0),
    "Subtitle": _Look(size=13, colour=GREY, after=10),
    "Heading 1": _Look(size=15, colour=ACCENT, bold=True, before=18, after=6, keep_next=True),
    "Heading 2": _Look(size=11, colour=INK, bold=True, before=10, after=3, keep_next=True),
    "TOC Heading": _Look(size=12, colour=ACCENT, bold=True, before=12, after=4, keep_next=True),
    CONTENTS: _Look(size=10.5, after=2),
    FACT: _Look(size=9.5, after=1),
    BESIDE: _Look(size=9.5, indent=0.08, after=1, bar=ACCENT, keep_next=True, line=1.0),
    QUOTE: _Look(size=10.5, indent=0.2, after=1, bar=ACCENT, keep_next=True),
    QUESTION: _Look(size=10.5, italic=True, indent=0.2, after=1, bar="B45309", keep_next=True),
    EARLIER: _Look(size=9.5, colour="3F4854", indent=0.08, after=1, bar=RULE, keep_next=True, line=1.0),
    SOURCE: _Look(size=8.5, colour=GREY, indent=0.2, after=7),
    SOURCE_BESIDE: _Look(size=8, colour=GREY, indent=0.08, after=2, line=1.0),
    NOTICE: _Look(size=10.5, colour="7A3E06", after=8, indent=0.1, bar="B45309", fill="FEF3E2"),
    PASSAGE: _Look(size=9, after=8),
    CELL: _Look(size=9.5, after=1, line=1.0),
    HEAD: _Look(size=9, colour="FFFFFF", bold=True, after=1, line=1.0),
    SMALL: _Look(size=8.5, colour=GREY, after=4),
    "Header": _Look(size=8.5, colour=GREY),
    "Footer": _Look(size=8.5, colour=GREY),
}


def set_styles(document: Any) -> None:
    """Makes the styles, and sets those that the template has."""
    from docx.enum.style import WD_STYLE_TYPE
    from docx.shared import RGBColor

    styles = document.styles
    known = {style.name for style in styles}
    for name, look in _LOOKS.items():
        style = styles[name] if name in known else styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH, name in _BUILT_IN)
        if name not in known and name != "Normal":
            style.base_style = styles["Normal"]
        _apply(style, look)
    link = styles[LINK_STYLE] if LINK_STYLE in known else styles.add_style(LINK_STYLE, WD_STYLE_TYPE.CHARACTER, True)
    link.font.color.rgb = RGBColor.from_string(ACCENT)
    link.font.underline = True
    quoted = styles.add_style(QUOTED, WD_STYLE_TYPE.CHARACTER)
    quoted.element.get_or_add_rPr().append(element("shd", val="clear", color="auto", fill="FFF3C4"))
    _leaders(styles[CONTENTS])
    _as_made_today(document)


def set_page(document: Any, left: str, right: str, foot: str) -> None:
    """A Letter page with a running header from its second page on, and a footer with the page's number."""
    from docx.enum.text import WD_TAB_ALIGNMENT
    from docx.shared import Inches

    section = document.sections[0]
    section.page_width, section.page_height = Inches(8.5), Inches(11)
    section.left_margin = section.right_margin = Inches(1)
    section.top_margin, section.bottom_margin = Inches(0.95), Inches(0.85)
    section.header_distance = section.footer_distance = Inches(0.45)
    section.different_first_page_header_footer = True
    for name in ("Header", "Footer"):
        stops = document.styles[name].paragraph_format.tab_stops
        while len(stops):
            del stops[0]
        stops.add_tab_stop(Inches(WIDTH), WD_TAB_ALIGNMENT.RIGHT)
    section.header.paragraphs[0].add_run(f"{clean(left)}\t{clean(right)}")
    for footer in (section.footer, section.first_page_footer):
        paragraph = footer.paragraphs[0]
        paragraph.style = document.styles["Footer"]
        paragraph.add_run(f"{clean(foot)}\tPage ")
        paragraph._p.extend(field("PAGE", "1"))  # noqa: SLF001
        paragraph.add_run(" of ")
        paragraph._p.extend(field("NUMPAGES", "1"))  # noqa: SLF001


def _as_made_today(document: Any) -> None:
    """Takes out what the template brings: the mode of 2010, which Word's title bar tells, and a picture of a page."""
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.oxml.ns import qn

    settings = document.settings.element
    for setting in settings.iter(qn("w:compatSetting")):
        if setting.get(qn("w:name")) == "compatibilityMode":
            setting.set(qn("w:val"), "15")
    settings.find(qn("w:zoom")).set(qn("w:percent"), "100")
    links = document.part.package.rels
    for name in [name for name, link in links.items() if link.reltype == RELATIONSHIP_TYPE.THUMBNAIL]:
        del links[name]


def _apply(style: Any, look: _Look) -> None:
    from docx.oxml.ns import qn
    from docx.shared import Inches, Pt, RGBColor

    font, form = style.font, style.paragraph_format
    font.name, font.size, font.bold, font.italic = FONT, Pt(look.size), look.bold, look.italic
    font.color.rgb = RGBColor.from_string(look.colour)
    for spaced in style.element.get_or_add_rPr().findall(qn("w:spacing")):
        spaced.getparent().remove(spaced)  # the template's subtitle is letter-spaced
    fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
    for name in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
        fonts.attrib.pop(qn(f"w:{name}"), None)
    for name in ("ascii", "hAnsi", "eastAsia", "cs"):
        fonts.set(qn(f"w:{name}"), FONT)
    form.space_before, form.space_after, form.line_spacing = Pt(look.before), Pt(look.after), look.line
    form.left_indent = Inches(look.indent)
    form.keep_with_next = look.keep_next
    form.widow_control = True
    properties = style.element.get_or_add_pPr()
    for old in (*properties.findall(qn("w:pBdr")), *properties.findall(qn("w:shd"))):
        properties.remove(old)
    if look.bar:
        properties.insert_element_before(
            element("pBdr", element("left", val="single", sz="18", space="8", color=look.bar)),
            *_AFTER_BORDER,
        )
    if look.fill:
        properties.insert_element_before(element("shd", val="clear", color="auto", fill=look.fill), *_AFTER_BORDER[1:])


# The order that the format prescribes for what follows a paragraph's border.
_AFTER_BORDER = (
    "w:shd",
    "w:tabs",
    "w:suppressAutoHyphens",
    "w:spacing",
    "w:ind",
    "w:contextualSpacing",
    "w:jc",
    "w:outlineLvl",
)


def _leaders(style: Any) -> None:
    from docx.enum.text import WD_TAB_ALIGNMENT, WD_TAB_LEADER
    from docx.shared import Inches

    style.paragraph_format.tab_stops.add_tab_stop(Inches(WIDTH), WD_TAB_ALIGNMENT.RIGHT, WD_TAB_LEADER.DOTS)
