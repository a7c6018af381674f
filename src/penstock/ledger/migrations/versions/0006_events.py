"""The log of events: from the outbox, in order, for any number of readers, each with a place of its own in it."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the log and its readers; what waits in the outbox goes into it, and nothing is told twice for that."""
    connection: Any = op.get_bind().connection.driver_connection
    for part in ("events", "readers"):
        connection.execute(Path(__file__).with_name(f"0006_{part}.sql").read_text(encoding="utf-8"))
