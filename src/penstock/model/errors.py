"""The tree of errors.

::

    PenstockError
    ├── DefinitionError    a pipeline or an app is written wrong; raised on import
    ├── SettingError       a setting is missing or has a wrong value
    ├── PlanStale          the plan no longer matches the definition or the time; plan again
    ├── Forbidden          whoever asks may not; another token may
    ├── LedgerError        what the ledger refuses
    │   ├── NotFound           no such run, plan or unit
    │   ├── Conflict           it is there, but its state forbids what was asked
    │   ├── LedgerUnavailable  the database does not answer
    │   └── LeaseLost          another process has taken this work over
    ├── NotDelivered       a notice could not be handed over; it is kept and tried again
    └── StepError          what a handler raises; its error_class decides what happens next
        ├── NetworkError   network     ├── RateLimited  rate_limit
        ├── QuotaSpent     quota       ├── InvalidData  data
        ├── AuthFailed     auth        ├── NoData       no_data, remembered until it may exist
        └── Rejected       rejected, a gate said no
    Skip                   not an error: this step has nothing to do for this unit
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from penstock.model.states import ErrorClass


class PenstockError(Exception):
    """The root: `except ps.PenstockError` catches all that Penstock raises on purpose."""


class DefinitionError(PenstockError):
    """A pipeline or an app is written wrong; the message names the place and the way out."""


class SettingError(PenstockError):
    """A setting is missing or has a wrong value; the message names the setting and where it came from."""


class PlanStale(PenstockError):  # noqa: N818 - the name is the API's
    """The plan no longer fits: its definition changed, or it is more than 24 hours old. Plan again."""


class Forbidden(PenstockError):  # noqa: N818 - reads as what it says
    """Whoever asks may not do this, or not for this organization; the message says what would be needed."""


class NotDelivered(PenstockError):  # noqa: N818 - reads as what it says
    """A notice or an event could not be handed over; it is kept and tried again. The message holds no secret.

    Args:
        message: Why.
        delivered: Of several events, how many the other side has, counted from the first.
    """

    def __init__(self, message: str = "", *, delivered: int = 0) -> None:
        super().__init__(message)
        self.delivered = delivered


class LedgerError(PenstockError):
    """The ledger refuses what was asked."""


class NotFound(LedgerError):  # noqa: N818 - reads as what it says
    """There is no such run, plan, pipeline or unit."""


class Conflict(LedgerError):  # noqa: N818 - reads as what it says
    """What was asked does not fit the state that the thing is in."""


class LedgerUnavailable(LedgerError):  # noqa: N818 - reads as what it says
    """The database does not answer; nothing is lost, since what was not recorded is done again."""


class LeaseLost(LedgerError):  # noqa: N818 - reads as what it says
    """Another process has taken this work over; whatever this one still writes is turned away."""


class StepError(PenstockError):
    """A step failed; `error_class` decides what happens next. Subclass it for errors of your own."""

    error_class: ClassVar[ErrorClass] = "unknown"


class NetworkError(StepError):
    """The other side could not be reached, or answered 502, 503 or 504."""

    error_class = "network"


class RateLimited(StepError):  # noqa: N818 - the name is the API's
    """Asked too often.

    Args:
        message: What the other side said.
        retry_after: When to ask again: seconds from now, a timedelta, or an aware datetime.
        api: Whose limit it is; kept for whoever reads the error.
    """

    error_class = "rate_limit"

    def __init__(self, message: str = "", *, retry_after: float | timedelta | datetime, api: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.api = api


class QuotaSpent(StepError):  # noqa: N818 - the name is the API's
    """The budget of this window is spent.

    Args:
        message: Whose budget.
        until: When there is a new one (aware datetime, or timedelta from now): the step waits until then and uses no
            attempt. Without it the run fails after one try, and the unit is a gap again after 15 minutes.
    """

    error_class = "quota"

    def __init__(self, message: str = "", *, until: datetime | timedelta | None = None) -> None:
        super().__init__(message)
        self.until = until


class InvalidData(StepError):  # noqa: N818 - the name is the API's
    """The input is wrong and will stay wrong until it changes; one try."""

    error_class = "data"


class AuthFailed(StepError):  # noqa: N818 - the name is the API's
    """Credentials were refused; one try."""

    error_class = "auth"


class NoData(StepError):  # noqa: N818 - the name is the API's
    """The source has nothing for this unit.

    Args:
        message: What was looked for.
        until: Not asked again before then (aware datetime or timedelta from now), unless the source version changes;
            by default as long as the pipeline remembers.
    """

    error_class = "no_data"

    def __init__(self, message: str = "", *, until: datetime | timedelta | None = None) -> None:
        super().__init__(message)
        self.until = until


class Rejected(StepError):  # noqa: N818 - the name is the API's
    """A gate said no; nothing was published."""

    error_class = "rejected"


class Skip(Exception):  # noqa: N818 - the name is the API's
    """Nothing to do in this step for this unit: the step is skipped, the run goes on."""
