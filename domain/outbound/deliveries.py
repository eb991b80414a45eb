"""When an event that could not be delivered is attempted again, and when an endpoint is given up.

The table of retries is that of Standard Webhooks 1.0.0, "Operational considerations". An event waits
for the ones before it that are about the same organization, and for no others.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

RETRIES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""After the first attempt, the second, and so on; after one more the event is given up."""
JITTER = 0.1
FAILING_FOR = timedelta(days=5)
FAILING_ATTEMPTS = 10
"""At least, before an endpoint is disabled: a clock that jumps by days must not disable it."""
UNWELL = 3
"""This many organizations whose events failed, and none that succeeded, are the endpoint's fault,
not that of an event."""
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)


class SigningScheme(StrEnum):
    """How an endpoint's events are signed."""

    HMAC = "v1"
    ED25519 = "v1a"


class EventDeliveryStatus(StrEnum):
    """Of a delivery; FAILED is given up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"


class Disabled(StrEnum):
    """Why an endpoint is disabled."""

    GONE = "gone"
    FAILING = "failing"
    BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Of an endpoint: what failed since the last attempt that succeeded."""

    failures: int = 0
    first_failed_at: datetime | None = None
    failed_queues: int = 0

    @property
    def unwell(self) -> bool:
        return self.failed_queues >= UNWELL


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What follows a failed attempt. `due_at` is None if the event is given up; until `retry_at`
    nothing is delivered to the endpoint.
    """

    due_at: datetime | None
    health: Health
    retry_at: datetime | None
    disabled: Disabled | None


def after_failure(
    health: Health,
    *,
    attempts: int,
    status: int | None,
    retry_after: float | None,
    now: datetime,
    jitter: float,
) -> Next:
    """`attempts` counts this one; `jitter` is from 0 to 1."""
    failed = Health(
        failures=health.failures + 1,
        first_failed_at=health.first_failed_at or now,
        failed_queues=health.failed_queues + (attempts == 1),
    )
    return Next(
        due_at=_due_at(attempts, now, jitter),
        health=failed,
        retry_at=_retry_at(failed, retry_after, now, jitter),
        disabled=_disabled(failed, status, now),
    )


def _due_at(attempts: int, now: datetime, jitter: float) -> datetime | None:
    if attempts > len(RETRIES):
        return None
    return now + RETRIES[attempts - 1] * (1 + JITTER * jitter)


def _retry_at(
    health: Health, retry_after: float | None, now: datetime, jitter: float
) -> datetime | None:
    """Not before the time that the endpoint names, and less and less often while it is unwell: of
    its many organizations one at a time is attempted.
    """
    pause = timedelta(seconds=retry_after or 0)
    if health.unwell:
        doubled = _FIRST_PAUSE * 2 ** min(health.failures - UNWELL, 10)
        pause = max(pause, min(doubled, _LONGEST_PAUSE) * (1 + JITTER * jitter))
    return now + pause if pause else None


def _disabled(health: Health, status: int | None, now: datetime) -> Disabled | None:
    if status == 410:
        return Disabled.GONE
    assert health.first_failed_at is not None
    long = now - health.first_failed_at >= FAILING_FOR
    return Disabled.FAILING if long and health.failures >= FAILING_ATTEMPTS else None
