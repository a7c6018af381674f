"""Which fiscal quarter a call says it is about."""

from __future__ import annotations

import re

_QUARTERS = {
    **{word: number for number, word in enumerate(("first", "second", "third", "fourth"), start=1)},
    **{word: number for number, word in enumerate(("1st", "2nd", "3rd", "4th"), start=1)},
    **{f"q{number}": number for number in range(1, 5)},
    **{f"{number}q": number for number in range(1, 5)},
}
_QUARTER = (
    r"(?P<quarter>(?:first|second|third|fourth|1st|2nd|3rd|4th)(?=[\s-]+quarter)|q[1-4]|[1-4]q)(?:[\s-]+quarter)?"
)
_YEAR = r"(?:fiscal\s+(?:year\s+)?)?(?P<{}>20\d\d)"
# "the 2024 first quarter earnings conference call", "fourth quarter and full year 2024 earnings call",
# "Q1 2025 results". Only a quarter that names the call counts: a figure's quarter ("from the third quarter") does not.
_NAMED = re.compile(
    rf"\b(?:{_YEAR.format('before')}\s+)?{_QUARTER}(?:\s+and\s+(?:full|"
    rf"fiscal)[\s-]+year)?(?:\s+(?:of\s+)?{_YEAR.format('after')})?"
    r"\s+(?:financial\s+)?(?:earnings|results|conference)\b",
    re.IGNORECASE,
)


def named_periods(head: str) -> list[tuple[int | None, int]]:
    """The quarters that name the call in the opening of a transcript, in their order: (fiscal year or None, 1 to 4)."""
    return [
        (int(year) if (year := match["before"] or match["after"]) else None, _QUARTERS[match["quarter"].lower()])
        for match in _NAMED.finditer(head)
    ]


def other_period(head: str, fiscal_year: int, quarter: int) -> tuple[int, int] | None:
    """The period that the opening clearly names, where that is another than the given one; else None.

    Clear is: at least one quarter names the call, and none of them is the given one. Where the text says no year, it
    is the given year, or the year before where the quarter named is a later one (a fourth quarter's call is held in
    the first quarter, and files are sometimes named by the date).
    """
    periods = named_periods(head)
    if not periods or any(number == quarter and year in (None, fiscal_year) for year, number in periods):
        return None
    year, number = next((period for period in periods if period[0] is not None), periods[0])
    if year is None:
        year = fiscal_year - 1 if number > quarter else fiscal_year
    if year == fiscal_year and number == quarter:
        return None
    return year, number
