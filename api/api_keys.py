"""API keys: who may call. They are made and revoked at a shell; no key can be read again."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, Field

from api.context import Here
from api.http.auth import OPERATOR
from api.http.cursors import Cursor, Cursors, Limit, Page
from api.http.errors import not_found
from api.http.fields import Time
from db import api_keys
from db.api_keys import ApiKey
from domain.plain_text import is_plain

router = APIRouter(prefix="/v1/api-keys", tags=["api-keys"])
_CURSORS: Cursors[tuple[datetime, str]] = Cursors("api_keys", tuple[AwareDatetime, str])


class ApiKeyOut(BaseModel):
    """An API key without its secret, which is stored nowhere."""

    id: str = Field(description="The id of the key, which stands in the logs.")
    name: str = Field(description="The name that it was made with.")
    scope: str = Field(description="`read`, `write` or `operator`; each includes those before it.")
    created_at: Time = Field(description="When it was made.")
    revoked_at: Time | None = Field(description="When it was revoked; null while it is valid.")

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyOut":
        return cls(
            id=key.id,
            name=key.name,
            scope=key.scope.word,
            created_at=key.created_at,
            revoked_at=key.revoked_at,
        )


class ApiKeyPage(Page[ApiKeyOut]):
    pass


@router.get("", dependencies=[OPERATOR], operation_id="list_api_keys", summary="List API keys")
async def page(here: Here, cursor: Cursor = None, limit: Limit = 100) -> ApiKeyPage:
    """Returns the keys with the revoked ones, newest first; never the secret of a key."""
    last = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        found = await api_keys.page(conn, last=last, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, lambda key: (key.created_at, key.id))
    return ApiKeyPage(data=[ApiKeyOut.of(key) for key in shown], next_cursor=following)


@router.get(
    "/{key_id}", dependencies=[OPERATOR], operation_id="get_api_key", summary="Get an API key"
)
async def get(
    key_id: Annotated[str, Path(description="The id of the key.", examples=["key_0a1b2c3d4e5f"])],
    here: Here,
) -> ApiKeyOut:
    """Returns the key; never its secret."""
    async with here.snapshot() as conn:
        key = await api_keys.get(conn, key_id) if is_plain(key_id) else None
    if key is None:
        raise not_found("api key")
    return ApiKeyOut.of(key)
