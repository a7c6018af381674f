"""What python-docx has no way of its own to write: links, bookmarks, fields, and shading."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold."""
LINK_STYLE = "Hyperlink"


def clean(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(
        character if character >= " " or character in "\t\n" else " " for character in text if character not in "￾￿"
    )


def element(tag: str, *children: Any, **attributes: str) -> Any:
    """An element of the main namespace, attributes too: `element("shd", val="clear", fill="F2F2F2")`."""
    from docx.oxml import OxmlElement  # pyright: ignore[reportUnknownVariableType]
    from docx.oxml.ns import qn

    made = cast("Callable[[str], Any]", OxmlElement)(f"w:{tag}")  # pyright: ignore[reportUnknownArgumentType]
    for name, value in attributes.items():
        made.set(qn(f"w:{name}"), value)
    for child in children:
        made.append(child)
    return made


def styled(paragraph: Any, style: str) -> Any:
    """The paragraph, in this style. By its id: the library's own way reads through all styles each time."""
    paragraph._p.style = style.replace(" ", "")  # noqa: SLF001  (the documented way to the paragraph's element)
    return paragraph


def run(text: str, style: str | None = None) -> Any:
    """A run of text, in a character style if one is named."""
    words = element("t")
    words.text = clean(text)
    words.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
    properties = [element("rPr", element("rStyle", val=style))] if style else []
    return element("r", *properties, words)


def link_out(paragraph: Any, target: str, text: str) -> None:
    """A link to another file, relative to the document's."""
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.oxml.ns import qn

    made = element("hyperlink", run(text, LINK_STYLE))
    made.set(qn("r:id"), paragraph.part.relate_to(target, RELATIONSHIP_TYPE.HYPERLINK, is_external=True))
    paragraph._p.append(made)  # noqa: SLF001


def link_to(paragraph: Any, bookmark: str, text: str) -> None:
    """A link to a bookmark in the same document."""
    paragraph._p.append(element("hyperlink", run(text, LINK_STYLE), anchor=bookmark, history="1"))  # noqa: SLF001


class Bookmarks:
    """Hands out the numbers that bookmarks of one document need."""

    def __init__(self) -> None:
        self._last = 0

    def around(self, name: str, *content: Any) -> list[Any]:
        """The content between the start and the end of a bookmark."""
        self._last += 1
        number = str(self._last)
        return [element("bookmarkStart", id=number, name=name), *content, element("bookmarkEnd", id=number)]


def field(instruction: str, shown: str, style: str | None = None) -> list[Any]:
    """A field and what it shows until it is updated."""
    code = element("instrText")
    code.text = f" {instruction} "
    code.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
    return [
        element("r", element("fldChar", fldCharType="begin")),
        element("r", code),
        element("r", element("fldChar", fldCharType="separate")),
        run(shown, style),
        element("r", element("fldChar", fldCharType="end")),
    ]


def contents(entries: list[tuple[str, str, str]], levels: str = "1-1") -> Any:
    """A table of contents as Word makes it, its entries (heading, bookmark, note) filled in.

    A page's number is known only to the program that lays pages out, so a note stands in its place until the field is
    updated there.
    """
    code = element("instrText")
    code.text = f' TOC \\o "{levels}" \\h \\z \\u '
    code.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
    opening = [
        element("r", element("fldChar", fldCharType="begin")),
        element("r", code),
        element("r", element("fldChar", fldCharType="separate")),
    ]
    paragraphs: list[Any] = []
    for heading, bookmark, note in entries:
        properties = element("pPr", element("pStyle", val="toc1"))
        parts = [run(heading)]
        if note:
            parts += [element("r", element("tab")), run(note)]
        linked = element("hyperlink", *parts, anchor=bookmark, history="1")
        paragraphs.append(element("p", properties, *(opening if not paragraphs else []), linked))
    closing = element("p", element("pPr", element("pStyle", val="toc1")))
    closing.append(element("r", element("fldChar", fldCharType="end")))
    gallery = element("docPartObj", element("docPartGallery", val="Table of Contents"), element("docPartUnique"))
    heading = element("p", element("pPr", element("pStyle", val="TOCHeading")), run("Contents"))
    return element("sdt", element("sdtPr", gallery), element("sdtContent", heading, *paragraphs, closing))


def repacked(data: bytes) -> bytes:
    """A zip with its entries in a fixed order and without times: equal contents give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as target:
        # The list of content types comes first, as the format's own writers put it.
        for name in sorted(source.namelist(), key=lambda name: (name != "[Content_Types].xml", name)):
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o644 << 16
            target.writestr(info, source.read(name))
    return buffer.getvalue()
