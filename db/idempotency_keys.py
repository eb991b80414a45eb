"""The requests done under each `Idempotency-Key`, for objects that have no reference of their own.

A key is recorded in the transaction of its request: a refused request leaves the key unused.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.idempotency_keys import idempotency_keys

NO_ORGANIZATION = ""
_NOTE = text(
    """
    INSERT INTO idempotency_keys (organization_id, operation, key, request_sha256, done)
    SELECT :organization_id, :operation, :key, :request_sha256, :done
    WHERE :organization_id = '' OR EXISTS (SELECT FROM organizations WHERE id = :organization_id)
    ON CONFLICT DO NOTHING
    RETURNING true
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """`request_sha256` identifies the request: it covers the path and the body."""

    organization_id: str
    operation: str
    key: str
    request_sha256: bytes


class KeyReused(Exception):
    """The key was used before, for another request."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The request was done before; `answer` is its stored response, if any."""

    answer: str | None


async def do_once(conn: AsyncConnection, request: KeyedRequest) -> Earlier | None:
    """None: do the request now, in this transaction. The caller commits both.

    A concurrent request with the same key waits until this transaction ends, so call it before any
    lock is taken. Raises `KeyReused`.
    """
    return await _note(conn, request, done=True)


async def begin(conn: AsyncConnection, request: KeyedRequest) -> Earlier | None:
    """The same for work outside the transaction, such as a provider's call: it counts as done after
    `finish`, and is repeated until then. Raises `KeyReused`.
    """
    return await _note(conn, request, done=False)


async def finish(conn: AsyncConnection, request: KeyedRequest, answer: str | None = None) -> None:
    """Whoever finishes first has the answer that stays."""
    unfinished = update(idempotency_keys).where(_is(request), ~idempotency_keys.c.done)
    await conn.execute(unfinished.values(done=True, answer=answer))


async def forget(conn: AsyncConnection, request: KeyedRequest) -> None:
    """What `do_once` began was refused, in a transaction that is committed all the same."""
    await conn.execute(delete(idempotency_keys).where(_is(request)))


async def _note(conn: AsyncConnection, request: KeyedRequest, *, done: bool) -> Earlier | None:
    params: dict[str, Any] = {
        "organization_id": request.organization_id,
        "operation": request.operation,
        "key": request.key,
        "request_sha256": request.request_sha256,
        "done": done,
    }
    if (await conn.execute(_NOTE, params)).one_or_none() is not None:
        return None
    row = (await conn.execute(select(idempotency_keys).where(_is(request)))).one_or_none()
    if row is None:
        return None  # there is no such organization, which the caller finds, too
    if bytes(row.request_sha256) != request.request_sha256:
        raise KeyReused(f"the key {request.key} belongs to another request")
    return Earlier(row.answer) if row.done else None


def _is(request: KeyedRequest) -> ColumnElement[bool]:
    return and_(
        idempotency_keys.c.organization_id == request.organization_id,
        idempotency_keys.c.operation == request.operation,
        idempotency_keys.c.key == request.key,
    )
