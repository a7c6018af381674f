"""The two kinds of report by the names that commands use, and how a job is called in logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aegis.pipelines import Report
    from aegis.reports import ReportType

REPORT_TYPES: dict[str, ReportType] = {"call_summary": "Call Summary", "key_themes": "Key Themes"}
"""By the name of the ETL, in the order in which a bank's reports are made."""

_NAMES: dict[str, str] = {report_type: name for name, report_type in REPORT_TYPES.items()}


def etl_of(report: Report) -> str:
    """The name of the ETL that makes a report: `call_summary`."""
    return _NAMES.get(report.report_type, report.report_type)


def job(report: Report) -> str:
    """A report as logs name it: `RY 2025 Q2 [call_summary]`."""
    return f"{report.bank_symbol} {report.fiscal_year} {report.quarter} [{etl_of(report)}]"
