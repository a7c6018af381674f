"""What servicers are given: the operations as far as the call's token reaches, and values of requests, checked."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from penstock.api.grpc.statuses import Refusal, invalid
from penstock.definition.pipeline import Pipeline
from penstock.model.errors import NotFound
from penstock.model.spelling import did_you_mean
from penstock.model.token import ApiToken
from penstock.operations.client import Client
from penstock.operations.gateway import Gateway, Reach
from penstock.operations.service import Service

W = TypeVar("W", bound=str)
PAGE: Final = 50
LARGEST: Final = 500
HIGHEST: Final = 2**63 - 1
LONGEST_NAME: Final = 200
MOST_PARALLEL: Final = 10_000
FIRST, LAST = date(1900, 1, 1), date(2199, 12, 31)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER: Final = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call that was let in."""

    gateway: Gateway
    token: ApiToken
    reach: Reach

    @property
    def operations(self) -> Service:
        """Every operation, as far as the token reaches."""
        return self.reach.operations

    @property
    def client(self) -> Client:
        """Those on plans, runs and units."""
        return self.reach.client

    @property
    def org(self) -> str | None:
        """The only organization that the token sees; None: all."""
        return self.reach.org

    def for_all(self) -> None:
        """See that the token sees all organizations.

        Raises:
            Refusal: It is bound to one.
        """
        if self.token.org is not None:
            detail = f"This concerns all organizations, and this token is bound to {self.token.org}."
            raise Refusal(grpc.StatusCode.PERMISSION_DENIED, detail)

    def pipeline(self, given: str, field: str = "pipeline") -> Pipeline[Any]:
        """The pipeline of this name, if the token may know of it.

        Raises:
            NotFound: There is none.
        """
        found = self.gateway.registry.pipelines.get(name(given, field))
        if found is None or (self.org is not None and found.org is None):
            raise NotFound(f"There is no pipeline {given!r}.")
        return found


def name(given: str, field: str) -> str:
    """A name, which must be there.

    Raises:
        Refusal: It is empty or too long.
    """
    if not 0 < len(given) <= LONGEST_NAME:
        raise invalid(f"{field}: give 1 to {LONGEST_NAME} characters.")
    return given


def identified(given: str, field: str) -> UUID | int:
    """An id: the UUID that answers carry, or the ledger's number.

    Raises:
        Refusal: It is neither.
    """
    if _NUMBER.fullmatch(given) and 0 < int(given) <= HIGHEST:
        return int(given)
    try:
        return UUID(given)
    except ValueError:
        raise invalid(f"{field}: {given[:LONGEST_NAME]!r} is no id; give a UUID or a number.") from None


def day(given: str, field: str) -> date:
    """A day.

    Raises:
        Refusal: It is none, or one that no data is of.
    """
    try:
        found = date.fromisoformat(given) if _DAY.fullmatch(given) else None
    except ValueError:
        found = None
    if found is None or not FIRST <= found <= LAST:
        raise invalid(f"{field}: {given[:LONGEST_NAME]!r} is no day of {FIRST} to {LAST}, written as 2024-12-20.")
    return found


def days(start: str | None, end: str | None, field: str = "") -> tuple[date | None, date | None]:
    """The first and the last day of a range; None: it has no such end.

    Args:
        start: The first.
        end: The last.
        field: What they lie in, with a dot, for messages.

    Raises:
        Refusal: One is no day, or they are the wrong way round.
    """
    first = None if start is None else day(start, f"{field}start")
    last = None if end is None else day(end, f"{field}end")
    if first is not None and last is not None and first > last:
        raise invalid(f"{field}start: {first} is after {field}end: {last}.")
    return first, last


def word(given: str, field: str, known: Collection[W]) -> W:
    """One of a closed set.

    Raises:
        Refusal: It is none of them.
    """
    for each in known:
        if each == given:
            return each
    near = did_you_mean(given[:LONGEST_NAME], list(known))
    raise invalid(f"{field}: {given[:LONGEST_NAME]!r} is none of {', '.join(known)}{near}")


def moment(given: Timestamp, field: str) -> datetime:
    """A time.

    Raises:
        Refusal: It is out of range.
    """
    try:
        return given.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid(f"{field}: it is no time of the years 1 to 9999.") from None


def parallel(given: int | None) -> int | None:
    """Runs at once.

    Raises:
        Refusal: They are fewer than one, or too many.
    """
    if given is not None and not 1 <= given <= MOST_PARALLEL:
        raise invalid(f"parallel: {given} is not 1 to {MOST_PARALLEL:,}: it is how many runs may be at work at once.")
    return given


def page_size(given: int, default: int = PAGE) -> int:
    """Entries on a page.

    Raises:
        Refusal: They are too many.
    """
    if not 0 <= given <= LARGEST:
        raise invalid(f"page_size: {given} is not 1 to {LARGEST}, or 0 for {default}.")
    return given or default


def token_of(kind: str, number: int) -> str:
    """The page token that goes on after this number."""
    return base64.urlsafe_b64encode(f"{kind} {number}".encode()).decode().rstrip("=")


def number_in(kind: str, token: str) -> int | None:
    """The number in a page token of this kind; None for the first page.

    Raises:
        Refusal: It is no such token.
    """
    if not token:
        return None
    try:
        padded = token + "=" * (-len(token) % 4)
        named, _, number = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").partition(" ")
    except (binascii.Error, ValueError):
        named, number = "", ""
    if named != kind or not _NUMBER.fullmatch(number) or int(number) > HIGHEST:
        raise invalid("page_token: take next_page_token of the page before, as it is.")
    return int(number)
