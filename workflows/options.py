"""Timeouts and retries of activities: the only timeouts, all longer than what they wrap."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio.common import Priority, RetryPolicy

DATABASE = timedelta(seconds=15)
"""One attempt of a database-only activity, whose statements end after 10 s."""
PROVIDER = timedelta(seconds=30)
"""One attempt of an activity that calls a provider, whose calls end after 10 s each."""
HEARTBEAT = timedelta(seconds=10)
"""Without a heartbeat for this long a worker counts as dead, and another begins the next attempt.
"""
BATCH = timedelta(minutes=5)
"""One attempt at a batch."""

LOOK = timedelta(minutes=2)
"""One attempt at reading what a subaccount did: some pages."""

AUDIT = timedelta(minutes=30)
"""One attempt at checking all guarantees on the database."""

FOR_EVER = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=5),
)
"""Safety steps are retried forever: giving up would leave somebody unprotected."""

SOON = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=1.5,
    maximum_interval=timedelta(seconds=15),
)

SUSPENDING = Priority(priority_key=1)
"""A suspension overtakes everything that waits on its queue."""

BRIEFLY = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), backoff_coefficient=2.0, maximum_attempts=3
)
"""Queries of a provider that did not answer before."""

ASK_AGAIN = timedelta(minutes=1)
ASK_AGAIN_AT_MOST = timedelta(minutes=30)
"""While the provider is down, the pause after a failed confirmation doubles from the first to the
second value.
"""
DOUBTED = timedelta(milliseconds=500)
DOUBTED_AT_MOST = timedelta(seconds=15)
"""After a doubted answer: the pause doubles from the first to the second value."""
LOOK_UP_UNKNOWN = timedelta(minutes=1)
CAMPAIGN_SELF_CHECK = timedelta(days=30)
"""Ends the run of a parked campaign that was canceled while Temporal was away."""
LONGEST_HISTORY = 1_000
LONGEST_PASS = 200
"""Events in a run of a pass, whose activities return a few kilobytes each."""
LONGEST_OLD_RUN = timedelta(days=7)
"""After which a lifecycle of a build with periodic checks continues as new, and then rests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How long an attempt at sending lasts, and its timeouts."""

    length: timedelta
    limit: timedelta
    heartbeat: timedelta


def turn(per_second: float | None) -> Turn:
    """For a campaign that sends so many messages a second; None: not known yet.

    Temporal Cloud bills attempts and heartbeats, so a slow campaign has few of them: a dead worker
    delays 200 messages. The SDK sends at most one heartbeat in 80 % of its timeout.
    """
    if per_second is None or per_second >= 20:
        return Turn(length=timedelta(seconds=50), limit=BATCH, heartbeat=HEARTBEAT)
    return Turn(
        length=timedelta(minutes=10),
        limit=timedelta(minutes=15),
        heartbeat=timedelta(seconds=200 / max(per_second, 1.0)),
    )
