"""Who may do what: `Authorization: Bearer tg_...`, and a scope for each route."""

from typing import Annotated

import structlog
from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.context import Context, Here
from api.errors import Kind, Problem
from db.api_keys import PREFIX, ApiKey, Scope

_bearer = HTTPBearer(
    scheme_name="ApiKey",
    bearerFormat="tg_...",
    description="A key made by `tollgate keys create`. Scopes: read, write (moves money, sends), operator (suspends).",
    auto_error=False,
)


async def _authenticated(
    here: Here, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> ApiKey:
    return await _known(here, None if credentials is None else credentials.credentials)


async def authenticate(here: Context, authorization: str | None) -> ApiKey:
    """The same from the header itself."""
    scheme, _, plain = (authorization or "").partition(" ")
    return await _known(here, plain.strip() if scheme.lower() == "bearer" else None)


async def _known(here: Context, plain: str | None) -> ApiKey:
    if not plain:
        raise _unauthenticated("no API key was sent", "Bearer")
    key = await here.keys.find(plain) if plain.startswith(PREFIX) and plain.isascii() else None
    if key is None:
        raise _unauthenticated("the API key is unknown or revoked", 'Bearer error="invalid_token"')
    structlog.contextvars.bind_contextvars(key=key.id)
    return key


def _unauthenticated(detail: str, challenge: str) -> Problem:
    return Problem(Kind.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": challenge})


Caller = Annotated[ApiKey, Depends(_authenticated)]


class _Needs:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(self, caller: Caller) -> None:
        if caller.scope < self._scope:
            detail = f"this needs the scope {self._scope.word}; the key has {caller.scope.word}"
            challenge = f'Bearer error="insufficient_scope", scope="{self._scope.word}"'
            raise Problem(Kind.FORBIDDEN, detail, headers={"WWW-Authenticate": challenge})


READ = Security(_Needs(Scope.READ))
WRITE = Security(_Needs(Scope.WRITE))
OPERATOR = Security(_Needs(Scope.OPERATOR))
