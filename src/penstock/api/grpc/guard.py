"""What stands before each call: token, rate, role, organization, and the same answer to the same call."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import uuid4

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from penstock.api.grpc.asked import Asked
from penstock.api.grpc.statuses import Refusal, invalid
from penstock.api.grpc.v1 import options_pb2
from penstock.model.token import ROLES, ApiToken, Role
from penstock.operations.gateway import Gateway
from penstock.ports.access import KeptAnswer

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
LONGEST_KEY: Final = 200
KEEPING: Final = {"content-type": "application/grpc+proto"}
_KEPT: Final = 200
"""Only answers of calls that went well are kept; the column has the statuses of HTTP."""
_ROLES: Final[Mapping[str, Role]] = {f"ROLE_{role.upper()}": role for role in ROLES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the protocol says of a method.

    Attributes:
        name: Such as /penstock.v1.Plans/Plan.
        role: The least role.
        all_organizations: Whether a token that is bound to one is refused.
        reads: Whether it changes nothing, so that it may be repeated anyway.
        keeps: Whether its answer may be kept for a repeated call.
    """

    name: str
    role: Role
    all_organizations: bool
    reads: bool
    keeps: bool


def rule_of(method: MethodDescriptor) -> Rule:
    """The rule of a method.

    Raises:
        TypeError: Its options name no role.
    """
    options = method.GetOptions()
    said = options_pb2.Role.Name(options.Extensions[options_pb2.role])
    if said not in _ROLES:
        msg = f"{method.full_name}: say who may call it: option (role) = ROLE_VIEWER"
        raise TypeError(msg)
    return Rule(
        name=f"/{method.containing_service.full_name}/{method.name}",
        role=_ROLES[said],
        all_organizations=options.Extensions[options_pb2.all_organizations],
        reads=options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
        keeps=not options.Extensions[options_pb2.secret],
    )


def first(metadata: Metadata, key: str) -> str | None:
    """The first value of this key."""
    for each, found in metadata:
        if each == key:
            return found if isinstance(found, str) else found.decode("ascii", "replace")
    return None


class Guard:
    """Lets calls in.

    Args:
        gateway: The service.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def token(self, metadata: Metadata) -> ApiToken:
        """Whose call it is.

        Raises:
            Refusal: There is no token, or it is not in force.
        """
        scheme, _, secret = (first(metadata, "authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "Send a bearer token in the metadata authorization.")
        token = await self._gateway.tokens.authenticate(secret.strip())
        if token is None:
            detail = "This token is not known here, was revoked, or its time is over."
            raise Refusal(grpc.StatusCode.UNAUTHENTICATED, detail)
        return token

    async def rate(self, token: ApiToken) -> None:
        """Count one call.

        Raises:
            Refusal: The token asks too often.
        """
        wait = await self._gateway.rates.take(token.id)
        if wait is not None:
            detail = f"This token may ask {self._gateway.rates.per_minute:,} times a minute; ask again in {wait} s."
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, detail, again=wait)

    def ask(self, token: ApiToken, rule: Rule) -> Asked:
        """The operations for this call.

        Raises:
            Refusal: The token may not make it.
        """
        if not token.may(rule.role):
            detail = f"This needs a token with the role {rule.role}; this one has {token.role}."
            raise Refusal(grpc.StatusCode.PERMISSION_DENIED, detail)
        asked = Asked(gateway=self._gateway, token=token, reach=self._gateway.reach(token))
        if rule.all_organizations:
            asked.for_all()
        return asked

    async def once(
        self, rule: Rule, token: ApiToken, metadata: Metadata, request: Message, work: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """Do it, unless a call with the same key did: then its answer. What failed may be asked again with that key.

        Raises:
            Refusal: The key is wrong, came with another request, or is being worked on.
        """
        key = first(metadata, "idempotency-key")
        if key is None or rule.reads:
            return await work()
        if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
            raise invalid(f"idempotency-key: give 1 to {LONGEST_KEY} printable characters, such as a UUID.")
        digest = hashlib.sha256(rule.name.encode() + b"\0" + request.SerializeToString(deterministic=True)).digest()
        store, attempt = self._gateway.store, uuid4()
        begun = await store.begin_request(token.id, key, digest, attempt)
        if not begun.mine:
            if begun.hash is not None and begun.hash != digest:
                raise invalid("idempotency-key: it came with another request; take a new one for this.")
            if begun.answer is None:
                detail = "A call with this idempotency-key is being worked on; call again for its answer."
                raise Refusal(grpc.StatusCode.ABORTED, detail, again=1)
            return begun.answer.body
        answer = None
        try:
            body = await work()
            if rule.keeps:
                answer = KeptAnswer(status=_KEPT, headers=KEEPING, body=body)
        finally:
            await store.end_request(token.id, key, attempt, answer)
        return body


def check_text(message: Message) -> None:
    """Text in a request must be such as can be stored.

    Raises:
        Refusal: There is a NUL in it.
    """
    for text in _texts(message):
        if "\0" in text:
            raise invalid("The request holds a NUL character.")


def _texts(message: Message) -> Iterator[str]:
    for field, found in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            parts: list[Any] = [*found.keys(), *found.values()]
        elif field.is_repeated:
            parts = list(found)
        else:
            parts = [found]
        for part in parts:
            if isinstance(part, str):
                yield part
            elif isinstance(part, Message):
                yield from _texts(part)
