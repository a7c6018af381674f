"""Tokens: given out, listed and taken back by admins."""

from __future__ import annotations

from fastapi import FastAPI

from penstock.api.http.asked import Name, TheGateway, TheToken
from penstock.api.http.bodies import TokenAsked, TokenMade, TokenShown
from penstock.api.http.guard import needs, tagged
from penstock.api.http.problems import documented


def register(app: FastAPI) -> None:
    """Add the routes."""
    tags, base = tagged("tokens"), "/api/v1/tokens"
    app.get(base, openapi_extra=needs("admin"), tags=tags)(tokens)
    # Its answer is not kept for a repeated request: there is a secret in it. The name keeps it from being made twice.
    app.post(base, openapi_extra=needs("admin", keeps=False), tags=tags, status_code=201)(create)
    app.delete(f"{base}/{{name}}", openapi_extra=needs("admin"), tags=tags, responses=documented(404))(revoke)


async def tokens(gateway: TheGateway, token: TheToken) -> list[TokenShown]:
    """All that are not revoked; for an admin of one organization, that one's."""
    return [_shown(one) for one in await gateway.tokens.list(asker=token)]


async def create(gateway: TheGateway, token: TheToken, body: TokenAsked) -> TokenMade:
    """Give out a token. It is in this answer and nowhere else."""
    org = body.org if body.org is not None else token.org
    made = await gateway.tokens.create(
        body.name, body.role, org=org, days=body.days, by=f"token {token.name}", asker=token
    )
    return TokenMade(**_shown(made.token).model_dump(), token=made.secret)


async def revoke(gateway: TheGateway, token: TheToken, name: Name) -> TokenShown:
    """Take a token back; the next request with it is refused."""
    return _shown(await gateway.tokens.revoke(name, asker=token))


def _shown(token: object) -> TokenShown:
    return TokenShown.model_validate({name: getattr(token, name) for name in TokenShown.model_fields})
