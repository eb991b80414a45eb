"""How a provider's errors become Temporal's: unavailable is retried for ever, refused is not retried by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from providers.errors import ProviderRefused, ProviderUnavailable

PROVIDER_UNAVAILABLE = "ProviderUnavailable"
PROVIDER_REFUSED = "ProviderRefused"
SUPERSEDED = "Superseded"
STALE = "Stale"


@contextmanager
def translated() -> Iterator[None]:
    """Raise a provider's errors as Temporal's, with the provider's own wish for when to come again."""
    try:
        yield
    except ProviderUnavailable as problem:
        later = timedelta(seconds=problem.retry_after) if problem.retry_after else None
        raise ApplicationError(str(problem), type=PROVIDER_UNAVAILABLE, next_retry_delay=later) from problem
    except ProviderRefused as problem:
        raise ApplicationError(
            f"{problem} ({problem.code})" if problem.code else str(problem), type=PROVIDER_REFUSED, non_retryable=True
        ) from problem


def first_line(problem: Exception) -> str:
    """What an exception says, without the statement that the database's errors add."""
    return (str(problem).splitlines() or [type(problem).__name__])[0][:200]


def stale(problem: str) -> ApplicationError:
    """The provider's answer may be older than what is known: it is asked again, which is expected."""
    return ApplicationError(problem, type=STALE, category=ApplicationErrorCategory.BENIGN)


def superseded(asked: int, now: int) -> ApplicationError:
    """The organization's mind has changed since this step was asked for; nothing was done."""
    return ApplicationError(
        f"epoch {asked} was superseded by {now}",
        type=SUPERSEDED,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )
