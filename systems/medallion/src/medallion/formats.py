"""What a report's columns mean: from text as received to the columns of an advertising row, still text."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

import penstock as ps

if TYPE_CHECKING:
    import polars as pl

_YEAR: Final = re.compile(r"(?<!\d)(19|20)\d{2}(?=\D|$|[01]\d)")
_ISO: Final = "%Y-%m-%d"
_MONTHS: Final = ("%Y %B %d", "%Y %b %d", "%Y %m %d")
SEPARATOR: Final = " | "
"""Between the parts of what names an ad."""


class Format(BaseModel):
    """Which column holds what. A figure without a column is 0.

    Attributes:
        date: The column of the day; without it `month` (a name or a number) and `day_of_month`, and the year is in the
            file's name.
        date_format: As `strftime` writes it; ISO 8601 by default.
        month: The column of the month.
        day_of_month: The column of its day.
        campaign_id: The column of the campaign's id.
        campaign: The column of its name.
        ad: The columns that tell a campaign's rows of one day apart.
        impressions: The column of the impressions.
        clicks: The column of the clicks.
        conversions: The column of the conversions; fractions are allowed.
        spend: The column of the money spent.
        revenue: The column of the money earned.
        currency: The column of the currency; the feed's own by default.
        post_click: Whether conversions follow clicks, so that there cannot be more of them.
        blank: Texts that mean that there is no value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: str | None = None
    date_format: str | None = None
    month: str | None = None
    day_of_month: str | None = None
    campaign_id: str
    campaign: str | None = None
    ad: tuple[str, ...] = ()
    impressions: str | None = None
    clicks: str | None = None
    conversions: str | None = None
    spend: str | None = None
    revenue: str | None = None
    currency: str | None = None
    post_click: bool = True
    blank: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_a_day(self) -> Format:
        if self.date is None and (self.month is None or self.day_of_month is None):
            raise ValueError("a format needs date, or month and day_of_month")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a file of this format has to have."""
        named = (
            self.date, self.month, self.day_of_month, self.campaign_id, self.campaign, *self.ad, self.impressions,
            self.clicks, self.conversions, self.spend, self.revenue, self.currency,
        )  # fmt: skip
        return tuple(dict.fromkeys(name for name in named if name is not None))


@cache
def formats() -> Mapping[str, Format]:
    """The formats that come with medallion, by name."""
    body = tomllib.loads(files("medallion").joinpath("formats.toml").read_text(encoding="utf-8"))
    return {name: Format(**fields) for name, fields in body.items()}


def format_of(given: str | Mapping[str, Any] | Format) -> Format:
    """The format that a feed names or brings.

    Raises:
        InvalidData: There is none of that name, or the feed's own is wrong.
    """
    if isinstance(given, Format):
        return given
    if isinstance(given, str):
        known = formats()
        if given not in known:
            near = get_close_matches(given, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
            raise ps.InvalidData(f"There is no format {given!r}; {hint}")
        return known[given]
    try:
        return Format(**given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the format"
        raise ps.InvalidData(f"The feed's own format does not fit: {where}: {fault['msg']}.") from None


def canonical(frame: pl.DataFrame, form: Format, *, line: str, name: str, currency: str) -> pl.DataFrame:
    """A report's text columns under the names of an advertising row.

    Args:
        frame: The report, every column text.
        form: What its columns mean.
        line: The column that has the line's number.
        name: The file's name, for messages and for a year that only it has.
        currency: What amounts are in where no column says it.

    Raises:
        InvalidData: A column is not there, or the name has no year; the message names it.
    """
    import polars as pl

    _check_columns([column for column in frame.columns if column != line], form, name)
    absent = dict.fromkeys(["", *form.blank])

    def text(column: str) -> pl.Expr:
        value = pl.col(column).str.strip_chars()
        return pl.when(pl.any_horizontal(value == blank for blank in absent)).then(None).otherwise(value)

    def figure(column: str | None) -> pl.Expr:
        return pl.lit("0") if column is None else text(column)

    parts = [text(column).fill_null("") for column in form.ad]
    return frame.select(
        pl.col(line).alias("line"),
        _day(form, text, name).alias("date"),
        text(form.campaign_id).alias("campaign_id"),
        (text(form.campaign) if form.campaign else pl.lit(None, pl.String)).alias("campaign"),
        (pl.concat_str(parts, separator=SEPARATOR) if parts else pl.lit("")).alias("ad"),
        figure(form.impressions).alias("impressions"),
        figure(form.clicks).alias("clicks"),
        figure(form.conversions).alias("conversions"),
        figure(form.spend).alias("spend"),
        figure(form.revenue).alias("revenue"),
        (text(form.currency).str.to_uppercase() if form.currency else pl.lit(currency)).alias("currency"),
        pl.lit(currency).alias("feed_currency"),
        pl.lit(form.post_click).alias("post_click"),
    )


def _day(form: Format, text: Any, name: str) -> pl.Expr:
    """The day in ISO 8601; what is none stays as it stands."""
    import polars as pl

    if form.date is not None:
        stands: pl.Expr = text(form.date)
        if form.date_format is None:
            return stands
        return pl.coalesce(stands.str.to_date(form.date_format, strict=False).dt.to_string(_ISO), stands)
    year = _YEAR.search(name)
    if year is None:
        raise ps.InvalidData(
            f"{name}: its rows have no year, and its name has none either: call it such as x_2020.csv."
        )
    # Where month or day is missing, so is the whole of it.
    written = pl.concat_str([pl.lit(year[0]), text(form.month), text(form.day_of_month)], separator=" ")
    read = [written.str.to_date(pattern, strict=False).dt.to_string(_ISO) for pattern in _MONTHS]
    return pl.coalesce(*read, written)


def _check_columns(there: Sequence[str], form: Format, name: str) -> None:
    missing = [column for column in form.columns if column not in there]
    if not missing:
        return
    near = get_close_matches(missing[0], there, n=1, cutoff=0.5)
    hint = f"; is it {near[0]!r}?" if near else "."
    raise ps.InvalidData(
        f"{name} has no column {', '.join(repr(column) for column in missing)}; it has "
        f"{', '.join(repr(column) for column in there)}{hint} Name the feed's format right, or "
        f"give it one of its own."
    )
