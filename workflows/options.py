"""Timeouts and retries of activities: the only timeouts, all longer than what they wrap."""

from datetime import timedelta

from temporalio.common import RetryPolicy

DATABASE = timedelta(seconds=15)
"""One attempt of a database-only activity, whose statements end after 10 s."""
PROVIDER = timedelta(seconds=30)
"""One attempt of an activity that calls a provider, whose calls end after 10 s each."""
HEARTBEAT = timedelta(seconds=10)
"""Without a heartbeat for this long a worker counts as dead, and another begins the next attempt.
"""
BATCH = timedelta(minutes=5)
"""One attempt at sending a batch."""

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

ASK_AGAIN = timedelta(minutes=1)
"""Retry interval after a failed confirmation, while the provider is down."""
DOUBTED = timedelta(milliseconds=500)
DOUBTED_AT_MOST = timedelta(seconds=15)
"""After a doubted answer: the pause doubles from the first to the second value."""
LOOK_UP_UNKNOWN = timedelta(minutes=1)
CAMPAIGN_SELF_CHECK = timedelta(hours=6)
LONGEST_HISTORY = 1_000
LONGEST_OLD_RUN = timedelta(days=7)
"""After which a lifecycle of a build with periodic checks continues as new, and then rests."""
