"""Cron expressions: checked when a pipeline is made, and their next time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from penstock.model.errors import DefinitionError


def check_cron(pipeline: str, expression: str) -> str:
    """The expression, if it is one that will ever come.

    Raises:
        DefinitionError: It is not; the message names the pipeline and what is wrong.
    """
    from cronsim import CronSimError

    try:
        next_time(expression, "UTC", datetime.now(UTC))
    except (CronSimError, StopIteration) as error:
        why = str(error) or "it never comes"
        msg = (
            f"Pipeline({pipeline!r}): schedule={expression!r} is no cron expression ({why}). Write minute, hour, "
            f"day of month, month and day of week, such as '30 6 * * 1-5'."
        )
        raise DefinitionError(msg) from None
    return expression


def next_time(expression: str, timezone: str, after: datetime) -> datetime:
    """The first time after this one, in UTC.

    Where clocks are put forward, a time that does not exist comes right after the gap; where they are put back, a
    fixed time comes once. Both as Debian's cron has it.

    Args:
        expression: A cron expression.
        timezone: The zone whose clocks it is read by.
        after: An aware time.
    """
    from cronsim import CronSim

    found = next(CronSim(expression, after.astimezone(ZoneInfo(timezone))))
    return found.astimezone(UTC)
