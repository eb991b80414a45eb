"""Books waiting postings together: callers in one process share a transaction, without a timer."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.pipeline import together
from db.wallet import wallets
from domain.wallet.entries import Posting
from domain.wallet.ledger import Outcome

log = structlog.get_logger()
TOGETHER = 500
"""How many postings share one transaction; a longer list gets its own."""
WAITING = 10_000
"""How many postings may wait. More would wait longer than their callers do."""
APART = 4
"""How many locked wallets are waited for at once, each on a connection."""
PATIENCE, RETRY_EVERY = 5.0, 0.1
"""Seconds for which further locked wallets are retried, and between two attempts."""
TOOK_TOO_LONG = ("55P03", "57014")
"""The lock or the statement timed out (PostgreSQL's lock_not_available, query_canceled): a retry
would take as long.
"""

SHUT_DOWN = ("57P01", "57P02", "57P03")
"""The server ended the session, and says so, before it executed the statement."""


class Overloaded(Exception):
    """Overloaded; nothing was booked. Retry in `retry_after` seconds."""

    retry_after = 1


class Unanswered(Exception):
    """The connection broke during the commit: booked or not. Repeat with the same reference to find
    out.
    """


@dataclass(frozen=True, slots=True)
class _Request:
    organization_id: str
    postings: Sequence[Posting]
    answer: asyncio.Future[list[Outcome]]


class Coalescer:
    """Books postings for the callers of one process, each list atomically, a wallet's lists in
    order.

    The first caller starts at once; later ones share the next transaction, a list of every waiting
    wallet in turn. A locked wallet is waited for separately. A caller canceled before its turn
    posts nothing; one canceled later is booked all the same.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._committing = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._waiting: dict[str, deque[_Request]] = {}
        self._count = 0
        self._held_elsewhere: set[str] = set()
        self._apart = asyncio.Semaphore(APART)
        self._running = False
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def post(self, organization_id: str, postings: Sequence[Posting]) -> list[Outcome]:
        """One outcome for each posting, committed when this returns.

        Raises `Overloaded`; `Unanswered` if it is unknown whether they are booked; SQLAlchemy's
        errors if they are not.
        """
        if self._closed or (self._count and self._count + len(postings) > WAITING):
            raise Overloaded
        request = _Request(organization_id, postings, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(organization_id, deque()).append(request)
        self._count += len(postings)
        if not self._running:
            self._running = True
            self._start(self._run())
        return await request.answer

    async def close(self) -> None:
        """Accept no more, and return when all waiting lists are answered."""
        self._closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            while batch := self._next(self._waiting.keys() - self._held_elsewhere):
                for requests in await self._book(batch, wait=False):
                    self._put_back(requests)
        finally:
            self._running = False

    async def _wait_for(self, organization_id: str) -> None:
        """While too many wallets are waited for, retry instead, which occupies no connection."""
        until = asyncio.get_running_loop().time() + PATIENCE
        try:
            while self._apart.locked():
                batch = self._next({organization_id})
                if not batch:
                    return
                for requests in await self._book(batch, wait=False):
                    if asyncio.get_running_loop().time() > until:
                        _refuse(requests)
                    else:
                        self._return(requests)
                await asyncio.sleep(RETRY_EVERY)
            async with self._apart:
                while batch := self._next({organization_id}):
                    await self._book(batch, wait=True)
        finally:
            self._held_elsewhere.discard(organization_id)

    def _put_back(self, requests: Sequence[_Request]) -> None:
        """The wallet is locked: its lists wait in their own queue, before later ones."""
        organization_id = requests[0].organization_id
        self._return(requests)
        self._held_elsewhere.add(organization_id)
        self._start(self._wait_for(organization_id))

    def _return(self, requests: Sequence[_Request]) -> None:
        self._waiting.setdefault(requests[0].organization_id, deque()).extendleft(
            reversed(requests)
        )
        self._count += sum(len(request.postings) for request in requests)

    def _next(self, organization_ids: set[str]) -> dict[str, list[_Request]]:
        """Take a list of each wallet in turn until the transaction is full; a served wallet goes to
        the end.
        """
        batch: dict[str, list[_Request]] = {}
        size = 0
        turn = deque(id_ for id_ in self._waiting if id_ in organization_ids)
        while turn and size < TOGETHER:
            organization_id = turn.popleft()
            lists = self._waiting.pop(organization_id)
            request = lists[0]
            if size and size + len(request.postings) > TOGETHER:
                self._waiting[organization_id] = lists
                break
            lists.popleft()
            self._count -= len(request.postings)
            if not request.answer.done():  # unless its caller was canceled
                batch.setdefault(organization_id, []).append(request)
                size += len(request.postings)
            if lists:
                self._waiting[organization_id] = lists
                turn.append(organization_id)
        return batch

    async def _book(
        self, batch: Mapping[str, list[_Request]], *, wait: bool
    ) -> list[list[_Request]]:
        """Book and answer the batch; returns the lists whose wallets are locked."""
        everybody = [request for lists in batch.values() for request in lists]
        try:
            booked = await self._twice_at_most(batch, wait=wait)
            answers = {id_: _in_lists(batch[id_], outcomes) for id_, outcomes in booked.items()}
        except Exception as problem:  # noqa: BLE001 - passed on to all waiting callers
            for request in everybody:
                if not request.answer.done():
                    request.answer.set_exception(problem)
            return []
        for organization_id, lists in answers.items():
            for request, answer in zip(batch[organization_id], lists, strict=True):
                if not request.answer.done():
                    request.answer.set_result(answer)
        return [lists for organization_id, lists in batch.items() if organization_id not in booked]

    async def _twice_at_most(
        self, batch: Mapping[str, list[_Request]], *, wait: bool
    ) -> dict[str, list[Outcome]]:
        postings = {
            id_: [posting for request in lists for posting in request.postings]
            for id_, lists in batch.items()
        }
        try:
            return await self._alone(postings) or await self._transact(postings, wait=wait)
        except SQLAlchemyError as problem:
            if _sqlstate(problem) in TOOK_TOO_LONG:
                raise
            log.warning(
                "postings_retried",
                wallets=len(postings),
                problem=str(problem).partition("\n")[0],
            )
            return await self._transact(postings, wait=wait)

    async def _alone(self, batch: Mapping[str, Sequence[Posting]]) -> dict[str, list[Outcome]]:
        """Book a single posting in one round trip; empty if there are more, or if it needs a full
        transaction.
        """
        [(organization_id, postings), *others] = batch.items()
        if others or len(postings) > 1:
            return {}
        try:
            async with self._committing.connect() as conn:
                outcome = await wallets.post_alone(conn, organization_id, postings[0])
        except DBAPIError as problem:
            if problem.connection_invalidated and _sqlstate(problem) not in SHUT_DOWN:
                raise Unanswered(str(problem.orig)) from problem
            raise
        return {} if outcome is None else {organization_id: [outcome]}

    async def _transact(
        self, postings: Mapping[str, Sequence[Posting]], *, wait: bool
    ) -> dict[str, list[Outcome]]:
        committing = False
        try:
            async with self._engine.connect() as conn, together(conn):
                outcomes = await wallets.post_all(conn, postings, wait=wait)
                committing = True
                await conn.commit()
        except DBAPIError as problem:
            if committing and problem.connection_invalidated:
                raise Unanswered(str(problem.orig)) from problem
            raise
        return outcomes


def _refuse(requests: Sequence[_Request]) -> None:
    for request in requests:
        if not request.answer.done():
            request.answer.set_exception(Overloaded())


def _in_lists(requests: Sequence[_Request], outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    """The outcomes of one wallet, split by request. Raises ValueError if one is missing."""
    if len(outcomes) != sum(len(request.postings) for request in requests):
        raise ValueError("not every posting has an outcome")
    following = iter(outcomes)
    return [list(islice(following, len(request.postings))) for request in requests]


def _sqlstate(problem: SQLAlchemyError) -> str | None:
    return getattr(problem.orig, "sqlstate", None) if isinstance(problem, DBAPIError) else None
