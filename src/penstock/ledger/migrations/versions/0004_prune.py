"""Retention: what ended long ago may go."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0004"
down_revision = "0001"


def upgrade() -> None:
    """Add the functions that prune, and views that say nothing of runs that are gone."""
    connection: Any = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
