"""Figures that hold instead of the code's, and tokens."""

from __future__ import annotations

from penstock.api.grpc.asked import Asked, name, word
from penstock.api.grpc.statuses import invalid
from penstock.api.grpc.structs import at
from penstock.api.grpc.v1 import administration_pb2 as pb
from penstock.model.override import Override
from penstock.model.token import ROLES, ApiToken

LONGEST_NOTE = 1_000


class Administration:
    """Service penstock.v1.Administration."""

    async def list_overrides(
        self,
        asked: Asked,
        request: pb.ListOverridesRequest,  # noqa: ARG002 - every method has one
    ) -> pb.ListOverridesResponse:
        """All that is set, and what is wrong with it, if anything is."""
        overrides = asked.client.overrides
        found = [_override(row, overrides.fault(row)) for row in await overrides.list()]
        return pb.ListOverridesResponse(overrides=found)

    async def set_override(self, asked: Asked, request: pb.SetOverrideRequest) -> pb.Override:
        """Set a figure."""
        note = request.note if request.HasField("note") else None
        if note is not None and len(note) > LONGEST_NOTE:
            raise invalid(f"note: at most {LONGEST_NOTE:,} characters.")
        row = await asked.client.overrides.set(
            name(request.name, "name"),
            name(request.value, "value"),
            pipeline=name(request.pipeline, "pipeline") if request.HasField("pipeline") else None,
            note=note,
            by=_by(asked),
        )
        return _override(row, None)

    async def unset_override(self, asked: Asked, request: pb.UnsetOverrideRequest) -> pb.UnsetOverrideResponse:
        """Take a figure away."""
        pipeline = name(request.pipeline, "pipeline") if request.HasField("pipeline") else None
        await asked.client.overrides.unset(name(request.name, "name"), pipeline=pipeline)
        return pb.UnsetOverrideResponse()

    async def list_tokens(
        self,
        asked: Asked,
        request: pb.ListTokensRequest,  # noqa: ARG002 - every method has one
    ) -> pb.ListTokensResponse:
        """All that are not revoked; for an admin of one organization, that one's."""
        found = await asked.gateway.tokens.list(asker=asked.token)
        return pb.ListTokensResponse(tokens=[_token(one) for one in found])

    async def create_token(self, asked: Asked, request: pb.CreateTokenRequest) -> pb.CreateTokenResponse:
        """Give out a token."""
        made = await asked.gateway.tokens.create(
            name(request.name, "name"),
            word(request.role, "role", ROLES),
            org=request.org if request.HasField("org") else asked.org,
            days=request.days if request.HasField("days") else None,
            by=_by(asked),
            asker=asked.token,
        )
        return pb.CreateTokenResponse(token=_token(made.token), secret=made.secret)

    async def revoke_token(self, asked: Asked, request: pb.RevokeTokenRequest) -> pb.Token:
        """Take a token back."""
        return _token(await asked.gateway.tokens.revoke(name(request.name, "name"), asker=asked.token))


def _by(asked: Asked) -> str:
    return f"token {asked.token.name}"


def _override(row: Override, fault: str | None) -> pb.Override:
    return pb.Override(
        pipeline=row.pipeline,
        name=row.name,
        value=row.value,
        note=row.note,
        changed_at=at(row.changed_at),
        changed_by=row.changed_by,
        fault=fault,
    )


def _token(one: ApiToken) -> pb.Token:
    return pb.Token(
        name=one.name,
        role=one.role,
        org=one.org,
        created_at=at(one.created_at),
        created_by=one.created_by,
        expires_at=at(one.expires_at),
        last_used_at=at(one.last_used_at),
    )
