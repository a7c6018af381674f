"""Who may ask: tokens given out, told and taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from penstock.model.errors import Forbidden, InvalidData, NotFound
from penstock.model.redaction import redact
from penstock.model.token import ROLES, ApiToken, Role, hash_of, is_whole, new_secret
from penstock.ports.access import AccessStore

LONGEST_NAME: Final = 100
LONGEST_ORG: Final = 200
LONGEST_LIFE: Final = timedelta(days=3660)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token that was just made. `secret` is the token itself: it is shown once and cannot be read again."""

    token: ApiToken
    secret: str


class Tokens:
    """Tokens of one app on one ledger.

    Args:
        app: Whose.
        store: Where they are kept.
    """

    def __init__(self, app: str, store: AccessStore) -> None:
        self._app, self._store = app, store
        self.fault: str | None = None
        """Why row-level security does not stand; tokens of one organization are refused then."""

    async def open(self) -> None:
        """See that the wall between organizations stands."""
        self.fault = await self._store.build_wall()

    async def authenticate(self, secret: str) -> ApiToken | None:
        """Whose token this is; None when it is nobody's, revoked or over.

        Raises:
            Forbidden: It is bound to an organization, and the wall between organizations does not stand.
        """
        if not is_whole(secret):  # no need to ask the database
            return None
        token = await self._store.find_token(self._app, hash_of(secret))
        if token is not None:  # what anybody may make up is not learnt: it would be kept for as long as this process is
            redact.learn(secret)
        if token is not None and token.org is not None and self.fault is not None:
            msg = f"Tokens of one organization are refused: {self.fault}."
            raise Forbidden(msg)
        return token

    async def create(
        self,
        name: str,
        role: Role,
        *,
        org: str | None = None,
        days: float | None = None,
        by: str | None = None,
        asker: ApiToken | None = None,
    ) -> NewToken:
        """Give out a token.

        Args:
            name: What it is told by, such as `grafana`; one token in force has it.
            role: What it may do.
            org: The only organization that it sees; None for all.
            days: How long it is in force; None for ever.
            by: Who gave it out.
            asker: The token that asks for it: one that is bound to an organization gives out none for others.

        Raises:
            Conflict: A token of this name is in force.
            Forbidden: The asker may not.
            InvalidData: The name, the organization or the days do not fit.
        """
        _check(name, role, org, days)
        if asker is not None and asker.org is not None and org != asker.org:
            msg = f"This token is bound to organization {asker.org} and gives out tokens for that one only."
            raise Forbidden(msg)
        secret = new_secret()
        expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
        token = await self._store.add_token(
            self._app, name=name, role=role, org=org, hash=hash_of(secret), created_by=by, expires_at=expires_at
        )
        if token is None:  # pragma: no cover - only a first token may be left out
            msg = "no token was made"
            raise RuntimeError(msg)
        return NewToken(token=token, secret=secret)

    async def first(self) -> NewToken | None:
        """An admin's token for an app that never had any; None when it had. Of several that ask at once one gets it."""
        secret = new_secret()
        token = await self._store.add_token(
            self._app, name="admin", role="admin", org=None, hash=hash_of(secret), created_by="penstock serve",
            expires_at=None, first=True,
        )  # fmt: skip
        return None if token is None else NewToken(token=token, secret=secret)

    async def list(self, *, asker: ApiToken | None = None) -> Sequence[ApiToken]:
        """Tokens in force, and those whose time is over; not those that were revoked."""
        return await self._store.tokens(self._app, org=None if asker is None else asker.org)

    async def revoke(self, name: str, *, asker: ApiToken | None = None) -> ApiToken:
        """Take a token back; the next request with it is refused.

        Raises:
            NotFound: There is none of this name.
        """
        token = await self._store.revoke_token(self._app, name, org=None if asker is None else asker.org)
        if token is None:
            msg = f"There is no token called {name}; penstock token list shows what there is."
            raise NotFound(msg)
        return token


def _check(name: str, role: str, org: str | None, days: float | None) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        msg = f"A token's name has 1 to {LONGEST_NAME} printable characters, such as grafana."
        raise InvalidData(msg)
    if role not in ROLES:
        msg = f"There is no role {role!r}; there are {', '.join(ROLES)}."
        raise InvalidData(msg)
    if org is not None and (not org.strip() or len(org) > LONGEST_ORG or not org.isprintable()):
        msg = f"An organization is told by 1 to {LONGEST_ORG} printable characters: the value of the unit's field."
        raise InvalidData(msg)
    if days is not None and not 0 < days <= LONGEST_LIFE.days:
        msg = f"A token is in force for more than 0 and at most {LONGEST_LIFE.days:,} days."
        raise InvalidData(msg)
