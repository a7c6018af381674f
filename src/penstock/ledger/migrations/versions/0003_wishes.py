"""Overrides of the code's figures, notices of failures, and statistics of the runs' history."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the tables, indexes and views."""
    for part in ("overrides", "notices", "statistics"):
        sql = Path(__file__).with_name(f"0003_{part}.sql").read_text(encoding="utf-8")
        connection: Any = op.get_bind().connection.driver_connection
        connection.execute(sql)  # psycopg's own, which reads no placeholders where none are given
