"""Rows of a CSV file in the way that is fast, where it is certain that nothing can be lost.

Polars fills up short rows and is lenient with quotes, so a block goes to it only after every one of its lines was seen
to be one whole row, of the right width and well quoted. Any other block is read row by row (`csv_rows`), which gives
the same where both would do.
"""

from __future__ import annotations

import re
from typing import Final

import polars as pl

_WIDEST: Final = 256
"""Columns up to which the width is counted by one regular expression, whose size grows with it."""
# Polars unpacks what begins like a zlib stream and drops a byte order mark, in text too.
_MISTAKEN: Final = ("x\x01", "x^", "\ufeff")


def whole_rows(block: str, width: int, delimiter: str, quote: str | None) -> pl.DataFrame | None:
    """The block's rows as text, in columns named by their numbers; None where it has to be read row by row."""
    if not delimiter.isascii() or (quote is not None and not quote.isascii()):
        return None
    if "\r" in block:
        block = block.replace("\r\n", "\n")
    if "\0" in block or "\r" in block or "\n\n" in block or block.startswith(("\n", *_MISTAKEN)):
        return None
    lines = pl.Series([block.removesuffix("\n")]).str.split("\n").explode(empty_as_null=True, keep_nulls=True)
    quoted = quote is not None and quote in block
    if not quoted:
        sound = lines.str.count_matches(delimiter, literal=True) == width - 1
    elif width <= _WIDEST:
        sound = lines.str.contains(_pattern(width, re.escape(delimiter), re.escape(quote or "")))
    else:
        return None
    if not sound.all():
        return None
    try:
        frame = pl.read_csv(
            block.encode(),
            has_header=False,
            separator=delimiter,
            quote_char=quote if quoted else None,
            schema={str(number): pl.String for number in range(width)},
            empty_string_is_null=False,
        )
    except pl.exceptions.PolarsError:
        return None
    return frame if frame.height == len(lines) else None


def _pattern(width: int, delimiter: str, quote: str) -> str:
    """A line of so many values, each bare without any quote, or quoted with its quotes doubled."""
    value = f"(?:{quote}(?:[^{quote}]|{quote}{quote})*{quote}|[^{quote}{delimiter}]*)"
    return f"^{value}(?:{delimiter}{value}){{{width - 1}}}$"
