"""How long activities may take and how they are tried again: the only timeouts, and all longer than
what they wrap.
"""

from datetime import timedelta

from temporalio.common import RetryPolicy

DATABASE = timedelta(seconds=15)
"""One attempt of an activity that only touches the database, whose statements end after 10 s."""
PROVIDER = timedelta(seconds=30)
"""One attempt of an activity that calls a provider, whose calls end after 10 s each."""
HEARTBEAT = timedelta(seconds=10)
"""After so long without a beat the worker is taken for dead, and another one begins the next
attempt.
"""
BATCH = timedelta(minutes=5)
"""One attempt at handing over a batch."""

FOR_EVER = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=5),
)
"""Safety steps are never given up: giving up would leave somebody unprotected."""

SOON = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=1.5,
    maximum_interval=timedelta(seconds=15),
)

ASK_AGAIN = timedelta(minutes=1)
"""After a confirmation that did not come, while the provider is down."""
DOUBTED = timedelta(milliseconds=500)
DOUBTED_AT_MOST = timedelta(seconds=15)
"""After an answer that is not believed yet: the pause doubles from the one to the other."""
LOOK_UP_UNKNOWN = timedelta(minutes=1)
CAMPAIGN_SELF_CHECK = timedelta(hours=6)
LONGEST_HISTORY = 1_000
LONGEST_RUN = timedelta(days=7)
