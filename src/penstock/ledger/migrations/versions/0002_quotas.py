"""Quotas: budgets by window, draws, what runs are expected to cost."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables, and let plans, claims and ends know of them."""
    for part in ("quotas", "runs", "views"):
        sql = Path(__file__).with_name(f"0002_{part}.sql").read_text(encoding="utf-8")
        connection: Any = op.get_bind().connection.driver_connection
        connection.execute(sql)
