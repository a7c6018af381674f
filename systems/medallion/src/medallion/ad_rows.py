"""What an advertising row has to be."""

from __future__ import annotations

from datetime import date
from typing import Final

import dataframely as dy
import polars as pl

MOST: Final = 10**12
MOST_MONEY: Final = 10**9
COLUMNS: Final = (
    "line", "date", "campaign_id", "campaign", "ad", "impressions", "clicks", "conversions", "spend", "revenue",
    "currency",
)  # fmt: skip
_KINDS: Final = {"dtype": "invalid_types", "nullability": "missing_fields", "primary_key": "duplicates"}


class AdRow(dy.Schema):
    """One ad, line item or placement on one day. Money is in units of the currency.

    A report without impressions or clicks has zeros for both.
    """

    line = dy.Int64(nullable=False)
    date = dy.Date(primary_key=True, min=date(2000, 1, 1), max=date(2099, 12, 31))
    campaign_id = dy.String(primary_key=True, max_length=200)
    campaign = dy.String(nullable=True)
    ad = dy.String(primary_key=True, max_length=500)
    impressions = dy.Int64(nullable=False, min=0, max=MOST)
    clicks = dy.Int64(nullable=False, min=0, max=MOST)
    conversions = dy.Float64(nullable=False, min=0, max=MOST)
    spend = dy.Float64(nullable=False, min=0, max=MOST_MONEY)
    revenue = dy.Float64(nullable=False, min=0, max=MOST_MONEY)
    currency = dy.String(nullable=False, regex="^[A-Z]{3}$")
    feed_currency = dy.String(nullable=False)
    post_click = dy.Bool(nullable=False)

    @dy.rule()
    def clicks_within_impressions(cls) -> pl.Expr:  # noqa: N805 - dataframely's rules are class methods
        """An ad that nobody saw was clicked by nobody."""
        return pl.col("clicks") <= pl.col("impressions")

    @dy.rule()
    def conversions_within_clicks(cls) -> pl.Expr:  # noqa: N805
        """Where conversions follow clicks."""
        return (pl.col("conversions") <= pl.col("clicks")) | ~pl.col("post_click")

    @dy.rule()
    def currency_of_the_feed(cls) -> pl.Expr:  # noqa: N805
        """Amounts of two currencies cannot be added up."""
        return pl.col("currency") == pl.col("feed_currency")


class Line(dy.Schema):
    """A line of a report, where what it holds does not matter yet."""

    line = dy.Int64(nullable=False)
    fault = dy.String(nullable=True)

    @dy.rule()
    def whole_record(cls) -> pl.Expr:  # noqa: N805
        """It has as many values as the report has columns."""
        return pl.col("fault").is_null()


def type_of(rule: str) -> str:
    """What kind of fault it is to break a rule; the kinds are those of `data.sift`."""
    _, bar, check = rule.rpartition("|")
    return _KINDS.get(check, "out_of_range" if bar and check != "regex" else "inconsistent")
