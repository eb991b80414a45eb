"""API keys: 256 random bits, shown once and stored only as their SHA-256; at that length no salt is
needed.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from sqlalchemy import Row, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.api_keys import api_keys

PREFIX = "tg_"


class Scope(IntEnum):
    """Each role includes those before it."""

    READ = 1
    WRITE = 2
    OPERATOR = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    id: str
    scope: Scope
    name: str
    created_at: datetime
    revoked_at: datetime | None


async def create(conn: AsyncConnection, *, name: str, scope: Scope) -> tuple[ApiKey, str]:
    """Create a key; returns it and its plain text, which cannot be read again. The caller
    commits.
    """
    plain = PREFIX + secrets.token_urlsafe(32)
    row = await conn.execute(
        insert(api_keys)
        .values(id=f"key_{secrets.token_hex(6)}", sha256=digest(plain), scope=scope.word, name=name)
        .returning(api_keys)
    )
    return _api_key(row.one()), plain


async def find(conn: AsyncConnection, digests: Sequence[bytes]) -> dict[bytes, ApiKey]:
    """The keys with these digests, except revoked ones."""
    query = select(api_keys).where(api_keys.c.sha256.in_(digests), api_keys.c.revoked_at.is_(None))
    return {row.sha256: _api_key(row) for row in await conn.execute(query)}


async def revoke(conn: AsyncConnection, key_id: str) -> bool:
    """Revoke a key; False if there is no such active key. Processes that cached the key forget it
    within seconds.
    """
    revoked = await conn.execute(
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp())
        .returning(api_keys.c.id)
    )
    return revoked.one_or_none() is not None


async def get(conn: AsyncConnection, key_id: str) -> ApiKey | None:
    row = (await conn.execute(select(api_keys).where(api_keys.c.id == key_id))).one_or_none()
    return None if row is None else _api_key(row)


async def page(
    conn: AsyncConnection, *, last: tuple[datetime, str] | None = None, limit: int = 100
) -> list[ApiKey]:
    """All keys, newest first, including revoked ones; those behind `last`, the time and the id of
    one, if it is given.
    """
    query = select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())
    query = query.limit(limit)
    if last is not None:
        query = query.where(tuple_(api_keys.c.created_at, api_keys.c.id) < last)
    return [_api_key(row) for row in await conn.execute(query)]


def digest(plain: str) -> bytes:
    return hashlib.sha256(plain.encode()).digest()


def _api_key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        scope=Scope[row.scope.upper()],
        name=row.name,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
