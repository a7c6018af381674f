"""Tokens of the service: how one is made and told from a typing mistake, and what is known of one."""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args

Role: TypeAlias = Literal["viewer", "operator", "admin"]
"""`viewer` reads, `operator` also starts and stops work, `admin` also gives out tokens and sets figures."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
PREFIX: Final = "pst_"
LENGTH: Final = 40
"""Characters drawn at random: 238 bits."""
CHECK: Final = 6
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """What is known of a token; the token itself is nowhere. `org` None: it sees all organizations."""

    id: int
    app: str
    name: str
    role: Role
    org: str | None
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    def may(self, role: Role) -> bool:
        """Whether it may do what this role may."""
        return ROLES.index(self.role) >= ROLES.index(role)


def new_secret() -> str:
    """A token that nobody has: `pst_`, 40 random characters, and a checksum of 6."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))
    return f"{PREFIX}{body}{_checksum(body)}"


def is_whole(text: str) -> bool:
    """Whether this can be a token at all; one that was cut or mistyped cannot. Says nothing of whose it is."""
    body, check = text[len(PREFIX) : -CHECK], text[-CHECK:]
    return (
        text.startswith(PREFIX)
        and len(body) == LENGTH
        and text.isascii()
        and body.isalnum()
        and check == _checksum(body)
    )


def hash_of(secret: str) -> bytes:
    """What is kept of a token. It has too much chance in it to be guessed, so one round of SHA-256 is enough."""
    return hashlib.sha256(secret.encode()).digest()


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECK):
        number, place = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[place] + digits
    return digits
