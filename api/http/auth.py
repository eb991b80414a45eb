"""Authorization: `Authorization: Bearer tg_...`, and a scope for each route."""

import re
from typing import Annotated

import structlog
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.context import Context
from api.http.errors import Kind, Problem
from db.api_keys import PREFIX, ApiKey, Scope

_KEY = re.compile(rf"{PREFIX}[\x21-\x7e]{{1,100}}")
_bearer = HTTPBearer(
    scheme_name="ApiKey",
    bearerFormat="tg_...",
    description=(
        "A key made by `tollgate keys create`. Scopes: read, write (moves money, sends), "
        "operator (suspends)."
    ),
    auto_error=False,
)


def is_behind_a_key(path: str) -> bool:
    return path.startswith("/v1/") or path in ("/v1", "/metrics")


async def authenticate(here: Context, authorization: bytes) -> ApiKey:
    """Authenticate the request, before anything else of it is read, however large it may be."""
    scheme, _, plain = authorization.decode("latin-1").partition(" ")
    plain = plain.strip() if scheme.lower() == "bearer" else ""
    if not plain:
        raise _unauthenticated(Kind.API_KEY_MISSING, "Bearer")
    key = await here.keys.find(plain) if _KEY.fullmatch(plain) else None
    if key is None:
        raise _unauthenticated(Kind.API_KEY_INVALID, 'Bearer error="invalid_token"')
    structlog.contextvars.bind_contextvars(key=key.id)
    return key


def _unauthenticated(kind: Kind, challenge: str) -> Problem:
    return Problem(kind, headers={"WWW-Authenticate": challenge})


async def _caller(
    request: Request, _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> ApiKey:
    """The caller that `authenticate` found; the second parameter adds the scheme to the API's
    description.
    """
    caller: ApiKey = request.state.caller
    return caller


Caller = Annotated[ApiKey, Depends(_caller)]


class _Needs:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(self, caller: Caller) -> None:
        if caller.scope < self._scope:
            detail = f"this needs the scope {self._scope.word}; the key has {caller.scope.word}"
            challenge = f'Bearer error="insufficient_scope", scope="{self._scope.word}"'
            raise Problem(Kind.INSUFFICIENT_SCOPE, detail, headers={"WWW-Authenticate": challenge})


READ = Security(_Needs(Scope.READ))
WRITE = Security(_Needs(Scope.WRITE))
OPERATOR = Security(_Needs(Scope.OPERATOR))
