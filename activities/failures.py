"""Translates errors for Temporal and for operators: unavailable is retried forever, refused is not
retried.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ApplicationErrorCategory,
    FailureError,
)
from temporalio.service import RPCError

from providers.errors import ProviderError, ProviderRefused, ProviderUnavailable

T = TypeVar("T")
R = TypeVar("R")
PROVIDER_UNAVAILABLE = "ProviderUnavailable"
PROVIDER_REFUSED = "ProviderRefused"
SUPERSEDED = "Superseded"
STALE = "Stale"
ELSEWHERE = "Elsewhere"


@contextmanager
def translated() -> Iterator[None]:
    """Raise a provider's errors as Temporal's, with the provider's own retry delay."""
    try:
        yield
    except ProviderUnavailable as problem:
        later = timedelta(seconds=problem.retry_after) if problem.retry_after else None
        raise ApplicationError(
            str(problem), type=PROVIDER_UNAVAILABLE, next_retry_delay=later
        ) from problem
    except ProviderRefused as problem:
        raise ApplicationError(
            f"{problem} ({problem.code})" if problem.code else str(problem),
            type=PROVIDER_REFUSED,
            non_retryable=True,
        ) from problem


@contextmanager
def translated_forever() -> Iterator[None]:
    """The same, but what is refused is retried, too: an operator may correct the credentials."""
    try:
        with translated():
            yield
    except ApplicationError as problem:
        if not problem.non_retryable:
            raise
        raise ApplicationError(problem.message, type=PROVIDER_REFUSED) from problem


async def attempt_each(
    items: Iterable[T], attempt: Callable[[T], Awaitable[R]], *, at_once: int
) -> list[R]:
    """What each attempt returned, some made at the same time. An attempt returns its failure, so
    that it does not prevent the others; raises retryably if a provider answered none of them.
    """
    turns = asyncio.Semaphore(at_once)

    async def in_turn(each: T) -> R:
        async with turns:
            return await attempt(each)

    outcomes = await asyncio.gather(*(in_turn(each) for each in items))
    silent = [outcome for outcome in outcomes if isinstance(outcome, ProviderUnavailable)]
    if silent and len(silent) == len(outcomes):
        with translated_forever():
            raise silent[0]
    return outcomes


def in_words(problem: BaseException) -> str:
    """The failure in one line for an operator: no class name and no SQL statement."""
    match problem:
        case ProviderError() if str(problem):
            text = str(problem)
        case DBAPIError():
            text = f"database error: {problem.orig}"
        case SQLAlchemyError():
            text = "database unavailable: no free connection"
        case RPCError():
            text = f"Temporal request failed: {problem.message}"
        case TimeoutError():
            text = "timed out"
        case OSError(strerror=str() as reason):
            text = f"the connection failed: {reason}"
        case OSError():
            text = "the connection failed"
        case _:
            text = "unexpected failure; see the log"
    return text.partition("\n")[0][:200]


def cause_of(problem: ActivityError) -> str:
    """Why an activity failed permanently, in its own words."""
    return problem.cause.message if isinstance(problem.cause, FailureError) else str(problem.cause)


def first_line(problem: Exception) -> str:
    """The exception's message without the SQL statement that database errors append."""
    return str(problem).partition("\n")[0][:200]


def stale(problem: str) -> ApplicationError:
    """The provider's answer may be older than our record: the query is repeated, which is expected."""
    return ApplicationError(problem, type=STALE, category=ApplicationErrorCategory.BENIGN)


def elsewhere(provider: str) -> ApplicationError:
    """This provider has to be queried first, on its own task queue; nothing was done."""
    return ApplicationError(
        provider, type=ELSEWHERE, non_retryable=True, category=ApplicationErrorCategory.BENIGN
    )


def superseded(requested: int, now: int) -> ApplicationError:
    """The organization's standing changed after this step was requested; nothing was done."""
    return ApplicationError(
        f"epoch {requested} was superseded by {now}",
        type=SUPERSEDED,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )
