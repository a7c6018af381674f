"""The ledger: tables, functions, views."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything in the schema that the connection's search path begins with."""
    for part in ("tables", "functions", "ends", "apply", "views"):
        sql = Path(__file__).with_name(f"0001_{part}.sql").read_text(encoding="utf-8")
        connection: Any = op.get_bind().connection.driver_connection
        connection.execute(sql)  # psycopg's own, which reads no placeholders where none are given
