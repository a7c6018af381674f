"""Budgets: so much per calendar window, per run, or at once; and what an operation costs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from penstock.model.errors import DefinitionError
from penstock.model.names import check_name

Per: TypeAlias = Literal["second", "minute", "hour", "day", "month", "run"]
Number: TypeAlias = int | float | Decimal
PERS: Final[tuple[Per, ...]] = ("second", "minute", "hour", "day", "month", "run")
BUDGETS: Final[frozenset[Per]] = frozenset({"hour", "day", "month"})
"""Windows long enough to plan with: what does not fit is deferred. Shorter ones are rates, which runs wait for."""
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Quota:
    """A budget that runs draw from: calls, tokens, money.

    A draw is recorded in the ledger before the call that it pays for, at its worst case, and settled after; no number
    of processes can draw more than the limit, whether they crash or not.

    Args:
        name: Unique in the app; what `penstock quota` shows.
        limit: How much there is in one window.
        per: The window: `second`, `minute`, `hour`, `day`, `month`, or `run`, a cap for each run of its own. None is
            no window but so much at once. A quota per second is shared out among the living processes and not counted
            in the ledger.
        costs: What an operation costs, by name, for costs that are given as operations joined by `+`.
        reserve: The part of the limit that is kept for what has a priority above 0.
        starts: When the day begins, as HH:MM in the zone.
        timezone: The zone of days and months.

    Raises:
        DefinitionError: A value does not fit; the message names it.
    """

    name: str
    limit: Number
    _: KW_ONLY
    per: Per | None = "day"
    costs: Mapping[str, Number] = field(default_factory=dict[str, Number])
    reserve: Number = 0
    starts: str = "00:00"
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        check_name("Quota", self.name)
        where = f"Quota({self.name!r})"
        limit = amount(self.limit, f"{where}: limit")
        reserve = amount(self.reserve, f"{where}: reserve")
        if self.per is not None and self.per not in PERS:
            msg = f"{where}: per={self.per!r} is no window; use {', '.join(PERS)}, or None for so many at once."
            raise DefinitionError(msg)
        if reserve > limit:
            msg = f"{where}: reserve={reserve} is more than the limit of {limit}."
            raise DefinitionError(msg)
        if self.per == "second" and limit == 0:
            msg = f"{where}: limit=0 per second lets nothing through; pause the pipeline instead."
            raise DefinitionError(msg)
        if not _CLOCK.fullmatch(self.starts):
            msg = f"{where}: starts={self.starts!r} is no time of day; write it as HH:MM."
            raise DefinitionError(msg)
        _zone(self.timezone, where)
        for set_, value in (("limit", limit), ("reserve", reserve)):
            object.__setattr__(self, set_, value)
        object.__setattr__(
            self, "costs", {name: amount(cost, f"{where}: costs[{name!r}]") for name, cost in self.costs.items()}
        )

    def __hash__(self) -> int:
        """By name, so that a quota can be a key."""
        return hash(self.name)

    @property
    def amount(self) -> Decimal:
        """The limit as an exact number."""
        return Decimal(self.limit)

    @property
    def kept(self) -> Decimal:
        """The reserve as an exact number."""
        return Decimal(self.reserve)

    @property
    def is_budget(self) -> bool:
        """Whether plans are admitted under it."""
        return self.per in BUDGETS

    def __str__(self) -> str:
        return f"{self.name} ({self.amount:,f} {f'a {self.per}' if self.per else 'at once'})"


@dataclass(frozen=True, slots=True)
class UnitCost:
    """What one unit costs in one quota: an amount, or a field of the unit, whose text may name operations."""

    quota: Quota
    amount: Decimal | None = None
    field: str | None = None
    operations: bool = False


def amount(value: object, what: str) -> Decimal:
    """An exact amount of 0 or more.

    Raises:
        DefinitionError: It is none.
    """
    number = exact(value)
    if number is None:
        msg = f"{what}={value!r} is no amount; it is a number, 0 or more."
        raise DefinitionError(msg)
    return number


def exact(value: object) -> Decimal | None:
    """The value as an exact number of 0 or more, by way of its text, so that 0.1 is 0.1; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and number >= 0 else None


def price(cost: Number | str, quotas: Sequence[Quota]) -> list[Decimal]:
    """What something costs each of these quotas.

    Args:
        cost: An amount, or operations joined by `+`, each at the price that a quota lists for it; a quota that does
            not list an operation charges nothing for it.
        quotas: The quotas.

    Raises:
        DefinitionError: It is no amount, or no quota lists one of the operations.
    """
    if not isinstance(cost, str):
        return [amount(cost, f"the cost in {', '.join(quota.name for quota in quotas)}")] * len(quotas)
    operations = [name.strip() for name in cost.split("+")] if cost.strip() else []
    for name in operations:
        if not any(name in quota.costs for quota in quotas):
            known = sorted({known for quota in quotas for known in quota.costs})
            names = " or ".join(quota.name for quota in quotas)
            msg = f"{names} lists no operation {name!r}; there are {', '.join(known) or 'none'}."
            raise DefinitionError(msg)
    return [sum((Decimal(quota.costs.get(name, 0)) for name in operations), Decimal(0)) for quota in quotas]


def window(quota: Quota, at: float, ahead: int = 0) -> tuple[float, float]:
    """The window of an instant, as seconds since 1970: its first moment and the first of the next one.

    Args:
        quota: The quota; one per run or at once has one window without end.
        at: Seconds since 1970.
        ahead: How many windows later.
    """
    endless = float("-inf"), float("inf")
    match quota.per:
        case None | "run":
            return endless
        case "second" | "minute" | "hour":
            length = {"second": 1, "minute": 60, "hour": 3600}[quota.per]
            first = (at // length + ahead) * length
            return first, first + length
        case "day" | "month":
            zone, begins = _zone(quota.timezone, quota.name), time.fromisoformat(quota.starts)
            offset = timedelta(hours=begins.hour, minutes=begins.minute)
            local = datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None) - offset
            return (
                _moment(_period(quota.per, local.date(), ahead), offset, zone),
                _moment(_period(quota.per, local.date(), ahead + 1), offset, zone),
            )


def _period(per: Literal["day", "month"], day: date, ahead: int) -> date:
    if per == "day":
        return day + timedelta(days=ahead)
    months = day.year * 12 + day.month - 1 + ahead
    return date(months // 12, months % 12 + 1, 1)


def _moment(day: date, offset: timedelta, zone: ZoneInfo) -> float:
    """A local time as an instant.

    One that comes twice is its second time, as in PostgreSQL; one that is left out is as much later as the clock was
    put forward.
    """
    local = datetime.combine(day, time()) + offset
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    comes_twice = first.utcoffset() != second.utcoffset() and first.timestamp() < second.timestamp()
    return second.timestamp() if comes_twice else first.timestamp()


def _zone(name: str, where: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        msg = f"{where}: there is no time zone {name!r}; use a name such as Europe/Berlin."
        raise DefinitionError(msg) from None
