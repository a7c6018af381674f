"""A report of DV360's as a file: header, rows, a row of totals, and lines below it that are no rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

TITLES: Final[Mapping[str, str]] = {
    "FILTER_DATE": "Date",
    "FILTER_PARTNER": "Partner ID",
    "FILTER_PARTNER_NAME": "Partner",
    "FILTER_ADVERTISER": "Advertiser ID",
    "FILTER_ADVERTISER_NAME": "Advertiser",
    "FILTER_ADVERTISER_CURRENCY": "Advertiser Currency",
    "FILTER_MEDIA_PLAN": "Campaign ID",
    "FILTER_MEDIA_PLAN_NAME": "Campaign",
    "FILTER_INSERTION_ORDER": "Insertion Order ID",
    "FILTER_INSERTION_ORDER_NAME": "Insertion Order",
    "FILTER_LINE_ITEM": "Line Item ID",
    "FILTER_LINE_ITEM_NAME": "Line Item",
    "FILTER_CREATIVE_ID": "Creative ID",
    "FILTER_CREATIVE": "Creative",
    "FILTER_COUNTRY": "Country",
    "FILTER_DEVICE_TYPE": "Device Type",
    "METRIC_IMPRESSIONS": "Impressions",
    "METRIC_CLICKS": "Clicks",
    "METRIC_TOTAL_CONVERSIONS": "Total Conversions",
    "METRIC_REVENUE_ADVERTISER": "Revenue (Adv Currency)",
    "METRIC_MEDIA_COST_ADVERTISER": "Media Cost (Advertiser Currency)",
}
"""The columns that this server knows: their names in a query, and in the file."""
NOTHING: Final = "No data returned by the reporting service."
_NOTES: Final = (
    ("MRC Accredited Metrics", "Active View metrics are accredited only when served on desktop and mobile."),
    ("Reporting numbers from the previous month are finalized on the first of each month.", ""),
)


def report(
    *, groups: Sequence[str], metrics: Sequence[str], rows: Sequence[Mapping[str, Any]], day: date, advertiser: str
) -> bytes:
    """The file.

    Args:
        groups: The query's `groupBys`.
        metrics: The query's `metrics`.
        rows: Rows by the names of the query; what a row does not have is empty. Values go in as they are.
        day: The day of the report; it stands in rows that have no `FILTER_DATE` of their own.
        advertiser: The advertiser; it stands in rows that have no `FILTER_ADVERTISER` of their own.
    """
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow([TITLES[name] for name in (*groups, *metrics)])
    given = {"FILTER_DATE": f"{day:%Y/%m/%d}", "FILTER_ADVERTISER": advertiser}
    for row in rows:
        whole = given | dict(row)
        lines.writerow([_text(whole.get(name)) for name in (*groups, *metrics)])
    if rows:
        lines.writerow([*("" for _ in groups), *(_total(name, rows) for name in metrics)])
    else:
        lines.writerow([NOTHING])
    out.write("\n")
    lines.writerow(["Report Time:", f"{datetime.now(UTC):%Y/%m/%d %H:%M} GMT"])
    lines.writerow(["Date Range:", f"{day:%Y/%m/%d} to {day:%Y/%m/%d}"])
    lines.writerows(["Group By:", TITLES[name]] for name in groups)
    lines.writerows(_NOTES)
    lines.writerow([f"Filter by {TITLES['FILTER_ADVERTISER']}:", advertiser])
    return out.getvalue().encode()


def _text(value: Any) -> str:
    return f"{value:%Y/%m/%d}" if isinstance(value, date) else "" if value is None else str(value)


def _total(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The sum of what is a number; a real report has no other."""
    total = Decimal(0)
    for row in rows:
        try:
            number = Decimal(str(row.get(name) or 0))
        except InvalidOperation:
            continue
        total += number if number.is_finite() else 0
    return str(total)
