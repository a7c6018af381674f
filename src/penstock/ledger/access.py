"""Tokens, kept answers and the wall between organizations, as the database has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import psycopg

from penstock.ledger.connect import Connected, is_broken, translated
from penstock.ledger.queries import load
from penstock.ledger.text import storable
from penstock.model.errors import Conflict
from penstock.model.token import ApiToken, Role
from penstock.ports.access import Begun, KeptAnswer

LONGEST_NAME = 200


class Access(Connected):
    """See `ports.access.AccessStore`."""

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
        """Keep a new token."""
        sql = load("access")
        binds = {"app": app, "name": storable(name, LONGEST_NAME), "role": role, "org": org, "hash": hash,
                 "by": created_by, "expires_at": expires_at, "first": first}  # fmt: skip
        with translated():
            async with self.pool.connection() as connection:
                await connection.execute(sql["lock_tokens"], {"app": app})
                row = await (await connection.execute(sql["add_token"], binds)).fetchone()
        if row is None and not first:
            msg = f"A token called {name} is in use; give this one another name, or revoke that one first."
            raise Conflict(msg)
        return None if row is None else ApiToken(**row)

    async def find_token(self, app: str, hash: bytes) -> ApiToken | None:  # noqa: A002 - it is one
        """The token with this hash, if it is in force."""
        rows = await self.rows(load("access")["find_token"], app=app, hash=hash)
        return ApiToken(**rows[0]) if rows else None

    async def tokens(self, app: str, *, org: str | None = None) -> Sequence[ApiToken]:
        """All that are not revoked."""
        return [ApiToken(**row) for row in await self.rows(load("access")["tokens"], app=app, org=org)]

    async def revoke_token(self, app: str, name: str, *, org: str | None = None) -> ApiToken | None:
        """Let it be in force no more."""
        rows = await self.rows(load("access")["revoke_token"], app=app, name=storable(name, LONGEST_NAME), org=org)
        return ApiToken(**rows[0]) if rows else None

    async def begin_request(self, token: int, key: str, hash: bytes, attempt: UUID) -> Begun:  # noqa: A002 - it is one
        """Take a request to work on, unless it was taken before."""
        (row,) = await self.rows(load("access")["begin_request"], token=token, key=key, hash=hash, attempt=attempt)
        if row["mine"]:
            return Begun(mine=True)
        kept = None
        if row["status"] is not None:
            kept = KeptAnswer(status=row["status"], headers=row["headers"], body=row["body"])
        return Begun(mine=False, hash=row["hash"], answer=kept)

    async def end_request(self, token: int, key: str, attempt: UUID, answer: KeptAnswer | None) -> None:
        """Keep its answer, or let the key go."""
        sql, whose = load("access"), {"token": token, "key": key, "attempt": attempt}
        if answer is None:
            await self.rows(sql["drop_request"], **whose)
        else:
            headers = json.dumps(dict(answer.headers))
            await self.rows(sql["end_request"], **whose, status=answer.status, headers=headers, body=answer.body)

    async def forget_requests(self) -> int:
        """Answers older than a day go."""
        return len(await self.rows(load("access")["forget_requests"]))

    async def build_wall(self) -> str | None:
        """See that row-level security stands."""
        try:
            (row,) = await self.rows(load("access")["build_wall"])
        except psycopg.Error as error:  # such as: must be owner of table runs
            if is_broken(error):
                raise
            return f"row-level security cannot be set up: {error.diag.message_primary}"
        return None if row["fault"] is None else str(row["fault"])
