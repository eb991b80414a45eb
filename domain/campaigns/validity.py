"""How long Twilio may keep a message in its queue before it sends it. Pure.

Twilio takes whole seconds from 1 to 36,000, and sends nothing later than that: the message fails
with 30036, and costs nothing (Twilio's pages of errors 21624 and 30036). Without a period of ours a
message that was handed over in the evening could arrive at night, and one handed over before a
suspension could be sent for ten hours.
"""

from datetime import datetime, timedelta

SHORTEST, LONGEST = timedelta(seconds=1), timedelta(hours=10)
DEFAULT = timedelta(hours=4)
_ON_THE_WAY = timedelta(seconds=5)
"""Twilio counts from when it accepts the message, which may be this much after it was posted."""


def seconds(longest: timedelta, not_after: datetime | None, now: datetime) -> int:
    """The period of a message that is posted now. `not_after` is when quiet hours begin."""
    period = longest if not_after is None else min(longest, not_after - now - _ON_THE_WAY)
    return int(min(max(period, SHORTEST), LONGEST).total_seconds())
