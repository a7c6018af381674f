"""What handlers are given: the operations as far as the request's token reaches, and the ids that a path may have."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias
from uuid import UUID

from fastapi import Depends, Path, Request
from pydantic import Field

from penstock.api.http.problems import Problem
from penstock.definition.pipeline import Pipeline
from penstock.model.errors import NotFound
from penstock.model.token import ApiToken
from penstock.operations.gateway import Gateway, Reach

Number: TypeAlias = Annotated[int, Field(ge=1, le=2**63 - 1)]
Id: TypeAlias = Annotated[UUID | Number, Path(description="Its UUID or its number.")]
Name: TypeAlias = Annotated[str, Path(min_length=1, max_length=200)]


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _token(request: Request) -> ApiToken:
    token: ApiToken = request.state.token
    return token


def _reach(request: Request) -> Reach:
    return _gateway(request).reach(_token(request))


def _for_all(request: Request) -> Reach:
    """What concerns all organizations is for tokens that see all of them.

    Raises:
        Problem: This one is bound to an organization.
    """
    token = _token(request)
    if token.org is not None:
        raise Problem("forbidden", f"This concerns all organizations, and this token is bound to {token.org}.")
    return _gateway(request).whole


def named(reach: Reach, gateway: Gateway, name: str) -> Pipeline[Any]:
    """The pipeline of this name, if whoever asks may know of it.

    Raises:
        NotFound: There is none.
    """
    found = gateway.registry.pipelines.get(name)
    if found is None or (reach.org is not None and found.org is None):
        raise NotFound(f"There is no pipeline {name!r}.")
    return found


TheGateway = Annotated[Gateway, Depends(_gateway)]
TheToken = Annotated[ApiToken, Depends(_token)]
Asked = Annotated[Reach, Depends(_reach)]
AskedForAll = Annotated[Reach, Depends(_for_all)]
