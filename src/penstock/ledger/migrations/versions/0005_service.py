"""What a service needs: whose a run is, what its rows are worth, events of all kinds, schedules, widths of plans."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns, the quality of runs, schedules, and a record that tells events."""
    connection: Any = op.get_bind().connection.driver_connection
    for part in ("quality", "runs", "record", "prune"):
        connection.execute(Path(__file__).with_name(f"0005_{part}.sql").read_text(encoding="utf-8"))
