"""Retention: what ended long ago may go. And a cancel that a run did not see before it went to wait."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the functions that prune, views that say nothing of runs that are gone, and waits that see a cancel."""
    connection: Any = op.get_bind().connection.driver_connection
    for part in ("prune", "waits"):
        connection.execute(Path(__file__).with_name(f"0004_{part}.sql").read_text(encoding="utf-8"))
