"""Credentials of organizations, encrypted with keys that only the settings know: the database alone says nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import penstock as ps
from medallion.queries import queries
from medallion.settings import Settings

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet
    from psycopg import AsyncConnection

_FILE = "credentials.sql"
VARIABLE = "MEDALLION_CREDENTIALS_KEY"
NEW_KEY = "python -m medallion new-key"


class Vault:
    """Encrypts and decrypts, with the keys of the settings: the first encrypts, all of them decrypt."""

    def __init__(self, settings: Settings) -> None:
        self._keys = settings.credentials_key

    def seal(self, name: str, secret: Mapping[str, Any]) -> str:
        """The secret as text that may be stored. It holds its name: it opens under no other.

        Raises:
            SettingError: There is no key, or one of them is none.
        """
        return self._cipher().encrypt(json.dumps({"name": name, "secret": dict(secret)}).encode()).decode()

    def open(self, name: str, sealed: str) -> dict[str, Any]:
        """What was sealed.

        Raises:
            SettingError: There is no key, or one of them is none.
            AuthFailed: It was sealed with a key that is not among the settings', or under another name.
        """
        from cryptography.fernet import InvalidToken

        try:
            body: Any = json.loads(self._cipher().decrypt(sealed))
        except InvalidToken:
            raise ps.AuthFailed(
                f"The credential {name!r} was encrypted with a key that {VARIABLE} does not have: add the key that was "
                f"lost to it, or give the credential again: python -m medallion credentials set {name}."
            ) from None
        if body["name"] != name:
            raise ps.AuthFailed(
                f"The credential {name!r} holds what was stored as {body['name']!r}: somebody copied it in the "
                f"database. Give it again: python -m medallion credentials set {name}."
            )
        secret: dict[str, Any] = body["secret"]
        return secret

    def renew(self, name: str, sealed: str) -> str:
        """The same, sealed with the first key."""
        self.open(name, sealed)
        return self._cipher().rotate(sealed).decode()

    def _cipher(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet

        keys = [key for key in self._keys.get_secret_value().replace(",", " ").split() if key]
        if not keys:
            raise ps.SettingError(f"{VARIABLE} is not set: credentials cannot be kept or used. Make a key: {NEW_KEY}.")
        ciphers: list[Fernet] = []
        for number, key in enumerate(keys, start=1):
            try:
                ciphers.append(Fernet(key))
            except ValueError:  # whose words repeat nothing of the key, and neither do these
                raise ps.SettingError(
                    f"{VARIABLE}: the key number {number} is none: 32 bytes in URL-safe base64. Make one: {NEW_KEY}."
                ) from None
        return MultiFernet(ciphers)


def new_key() -> str:
    """A new key."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


async def keep(conn: AsyncConnection[Any], vault: Vault, name: str, secret: Mapping[str, Any]) -> None:
    """Store a credential, or replace it."""
    await conn.execute(_sql("keep"), {"name": name, "secret": vault.seal(name, secret)})


async def credential(conn: AsyncConnection[Any], vault: Vault, name: str, org_id: int) -> dict[str, Any]:
    """What an organization's credential says.

    Raises:
        AuthFailed: There is none of that name for this organization, or its key is lost.
        SettingError: The settings have no key.
    """
    cursor = await conn.execute(_sql("find"), {"name": name, "org_id": org_id})
    row = await cursor.fetchone()
    if row is None:
        raise ps.AuthFailed(
            f"Organization {org_id} has no credential {name!r}: python -m medallion credentials set {name}."
        )
    return vault.open(name, str(row[0]))


async def rotate(conn: AsyncConnection[Any], vault: Vault) -> int:
    """Seal every credential anew with the first key, all or none; returns how many there are."""
    async with conn.transaction():
        cursor = await conn.execute(_sql("every"))
        rows = await cursor.fetchall()
        for name, sealed in rows:
            await conn.execute(_sql("keep"), {"name": name, "secret": vault.renew(str(name), str(sealed))})
    return len(rows)


def _sql(name: str) -> bytes:
    return queries(_FILE)[name].encode()
