"""The `Idempotency-Key` of a request, and the header that marks a response as a replay.

A key counts for one organization and one operation. Objects with a reference or a key in their own
table (postings, holds, messages, campaigns, checkouts, collections) are created once by that;
everything else is done once through `db/idempotency_keys`. A replay returns the object in its
current state.
"""

import hashlib
from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from api.context import Context, KeyOfAct
from db import idempotency_keys
from db.idempotency_keys import NO_ORGANIZATION, Earlier, KeyedRequest

REPLAYED = "Idempotent-Replayed"


def mark_replayed(response: Response) -> None:
    """Mark the response as a replay of an earlier request."""
    response.headers[REPLAYED] = "true"


def digest(path: str, *bodies: BaseModel) -> bytes:
    """The identity of a request; an omitted value counts as its default."""
    content = "\n".join([path, *(body.model_dump_json() for body in bodies)])
    return hashlib.sha256(content.encode()).digest()


class Repeatable:
    """One request to an operation, done once if it has an `Idempotency-Key`."""

    def __init__(self, request: Request, response: Response, key: str | None) -> None:
        self._path: str = request.scope["path"]
        self._operation: str = request.scope["route"].path_format
        self._organization_id: str = request.path_params.get("organization_id", NO_ORGANIZATION)
        self._response = response
        self._key = key

    @property
    def keyed(self) -> bool:
        return self._key is not None

    async def do_once(self, conn: AsyncConnection, body: BaseModel | None = None) -> bool:
        """Whether to do it now, in this transaction, which has taken no lock yet."""
        request = self._keyed(body)
        if request is None or await idempotency_keys.do_once(conn, request) is None:
            return True
        self.replayed()
        return False

    async def begin(self, here: Context, body: BaseModel | None = None) -> Earlier | None:
        """For work outside the transaction; None: do it now. It counts as done after `finish`."""
        request = self._keyed(body)
        if request is None:
            return None
        async with here.services.engine.begin() as conn:
            earlier = await idempotency_keys.begin(conn, request)
        if earlier is not None:
            self.replayed()
        return earlier

    async def finish(
        self, here: Context, body: BaseModel | None = None, answer: BaseModel | None = None
    ) -> None:
        """`answer` is stored for replays if it cannot be read again."""
        request = self._keyed(body)
        if request is not None:
            kept = None if answer is None else answer.model_dump_json()
            async with here.services.engine.begin() as conn:
                await idempotency_keys.finish(conn, request, kept)

    async def forget(self, conn: AsyncConnection, body: BaseModel | None = None) -> None:
        """The work that `do_once` began was refused, in a transaction that still commits."""
        request = self._keyed(body)
        if request is not None:
            await idempotency_keys.forget(conn, request)

    def replayed(self) -> None:
        mark_replayed(self._response)

    def _keyed(self, body: BaseModel | None) -> KeyedRequest | None:
        if self._key is None:
            return None
        return KeyedRequest(
            organization_id=self._organization_id,
            operation=self._operation,
            key=self._key,
            request_sha256=digest(self._path, *([] if body is None else [body])),
        )


async def _repeatable(request: Request, response: Response, key: KeyOfAct = None) -> Repeatable:
    return Repeatable(request, response, key)


Once = Annotated[Repeatable, Depends(_repeatable)]
