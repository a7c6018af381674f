"""Who may ask, and what was answered: where tokens and kept answers are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from penstock.model.attempt import RunId
from penstock.model.token import ApiToken, Role
from penstock.ports.events import LoggedEvent
from penstock.ports.service import ServiceLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What a request was answered: to be given again, word for word, to the same request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What became of the wish to work on a request.

    `mine`: it is this caller's to work on. Otherwise `hash` is that of the request that came first with this key, and
    `answer` what it was answered, None while it is being worked on.
    """

    mine: bool
    hash: bytes | None = None
    answer: KeptAnswer | None = None


class TenantView(ServiceLedger, Protocol):
    """A ledger as one organization sees it, with its events."""

    async def logged_events(
        self, app: str, *, after: int = 0, types: Collection[str] = (), run: RunId | None = None, limit: int = 100
    ) -> Sequence[LoggedEvent]:
        """Events after this position, oldest first."""
        ...

    async def last_event(self, app: str) -> int:
        """The position of the newest event."""
        ...


class AccessStore(Protocol):
    """Where tokens and kept answers are. Every method raises LedgerUnavailable when it cannot answer."""

    async def add_token(
        self,
        app: str,
        *,
        name: str,
        role: Role,
        org: str | None,
        hash: bytes,  # noqa: A002 - it is one
        created_by: str | None,
        expires_at: datetime | None,
        first: bool = False,
    ) -> ApiToken | None:
        """Keep a new token; with `first`, only if the app never had one: else None.

        Raises:
            Conflict: A token of this name is in use.
        """
        ...

    async def find_token(self, app: str, hash: bytes) -> ApiToken | None:  # noqa: A002 - it is one
        """The token with this hash, if it is in force; that it was used is kept, to the minute."""
        ...

    async def tokens(self, app: str, *, org: str | None = None) -> Sequence[ApiToken]:
        """All that are not revoked, of all organizations or of one, by name."""
        ...

    async def revoke_token(self, app: str, name: str, *, org: str | None = None) -> ApiToken | None:
        """Let a token be in force no more, at once; None where there is none of this name."""
        ...

    async def begin_request(self, token: int, key: str, hash: bytes, attempt: UUID) -> Begun:  # noqa: A002 - it is one
        """Take a request to work on, unless it was taken before; one that nobody finished is free after 5 minutes."""
        ...

    async def end_request(self, token: int, key: str, attempt: UUID, answer: KeptAnswer | None) -> None:
        """Keep its answer for a day; with None the key is free again, as if nothing had been asked."""
        ...

    async def forget_requests(self) -> int:
        """Answers older than a day go; returns how many."""
        ...

    async def build_wall(self) -> str | None:
        """See that row-level security stands; None when it does, else why not and what a superuser is to do."""
        ...

    def tenant(self, org: str) -> TenantView:
        """The ledger as one organization sees it.

        It reads as the role `penstock_tenant`, which sees no row of another one whatever is asked, and it changes
        only what it can read. What concerns all organizations is refused.
        """
        ...
