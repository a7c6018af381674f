"""Who may ask: tokens, answers kept for repeated requests, and the wall between organizations."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the tables, and row-level security for the role that reads for one organization."""
    connection: Any = op.get_bind().connection.driver_connection
    for part in ("tokens", "tenants"):
        connection.execute(Path(__file__).with_name(f"0007_{part}.sql").read_text(encoding="utf-8"))
    connection.execute("select penstock.build_wall()")
