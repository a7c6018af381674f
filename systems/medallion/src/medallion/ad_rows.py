"""What an advertising row has to be, and what becomes of rows that are something else."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final, NamedTuple

import dataframely as dy
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST: Final = 10**12
KEY: Final = ("date", "campaign_id", "ad")
"""What tells rows of one feed apart."""
COLUMNS: Final = (
    "line", "date", "campaign_id", "campaign", "ad", "impressions", "clicks", "conversions", "spend", "revenue",
    "currency",
)  # fmt: skip


class AdRow(dy.Schema):
    """One ad, line item or placement on one day. Money is in units of the currency."""

    line = dy.Int64(nullable=False)
    date = dy.Date(nullable=True, min=date(2000, 1, 1), max=date(2099, 12, 31))
    date_text = dy.String(nullable=False)
    campaign_id = dy.String(nullable=False, max_length=200)
    campaign = dy.String(nullable=True)
    ad = dy.String(nullable=False, max_length=500)
    impressions = dy.Int64(nullable=False, min=0, max=MOST)
    clicks = dy.Int64(nullable=False, min=0, max=MOST)
    conversions = dy.Float64(nullable=False, min=0, max=MOST)
    spend = dy.Float64(nullable=False, min=0, max=10**9)
    revenue = dy.Float64(nullable=False, min=0, max=10**9)
    currency = dy.String(nullable=False, regex="^[A-Z]{3}$")
    feed_currency = dy.String(nullable=False)
    post_click = dy.Bool(nullable=False)

    @dy.rule()
    def date_is_a_day(cls) -> pl.Expr:  # noqa: N805 - dataframely's rules are class methods
        """What was written for it can be read."""
        return pl.col("date").is_not_null() | pl.col("date_text").is_null()

    @dy.rule()
    def clicks_within_impressions(cls) -> pl.Expr:  # noqa: N805
        """An ad that nobody saw was clicked by nobody; reports without impressions say nothing of it."""
        return pl.col("clicks") <= pl.col("impressions")

    @dy.rule()
    def conversions_within_clicks(cls) -> pl.Expr:  # noqa: N805
        """Where conversions follow clicks."""
        return (pl.col("conversions") <= pl.col("clicks")) | ~pl.col("post_click")

    @dy.rule()
    def currency_of_the_feed(cls) -> pl.Expr:  # noqa: N805
        """Amounts of two currencies cannot be added up."""
        return pl.col("currency") == pl.col("feed_currency")
