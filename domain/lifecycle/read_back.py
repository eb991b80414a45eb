"""When a suspended subaccount is read back. Pure.

Twilio does not tell anybody that a subaccount was reactivated, in its console or by whoever has the
parent's credentials, and every comparison takes a quarter of an hour. That is most likely soon
after the suspension, and each minute of it costs the company money.
"""

from datetime import datetime, timedelta

FIRST_AFTER = timedelta(minutes=1)
LONGEST_GAP = timedelta(minutes=5)
FOR = timedelta(hours=1)
"""Then the comparison of all subaccounts suffices."""


def next_at(applied_at: datetime, now: datetime) -> datetime | None:
    """The next time: a minute after the suspension, then whenever its age has grown by half, and
    at least every LONGEST_GAP. None: it is over.
    """
    age = now - applied_at
    if age >= FOR:
        return None
    return now + min(max(age / 2, FIRST_AFTER), LONGEST_GAP)
