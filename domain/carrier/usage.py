"""What Twilio says an account used on a day, and how often it is read. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

WINDOW = timedelta(days=40)
"""Twilio corrects prices days afterwards; a day older than this rests. It covers the month before
until its bill is settled.
"""
SOONEST, LATEST = timedelta(minutes=10), timedelta(days=1)
COMPARED_EVERY = timedelta(days=1)
"""How often the sums of all days are compared, category by category."""
CALLS_PER_MINUTE = 300
"""Of all workers together, for each parent account: what Twilio allows is not published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """One category of one day (UTC). `price_micros` is None while Twilio has no price."""

    day: date
    category: str
    price_micros: int | None
    currency: str
    count: Decimal | None = None
    usage: Decimal | None = None
    usage_unit: str = ""
    as_of: datetime | None = None

    def same(self, other: "UsageRecord | None") -> bool:
        return other is not None and (
            (self.price_micros, self.currency, self.count, self.usage)
            == (other.price_micros, other.currency, other.count, other.usage)
        )

    @property
    def empty(self) -> bool:
        return not self.price_micros and not self.count and not self.usage


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePage:
    """`next` is where the list continues."""

    records: Sequence[UsageRecord]
    next: str | None


def differ(listed: Sequence[UsageRecord], recorded: Mapping[str, int | None]) -> bool:
    """Whether Twilio's sums of some days are other than the recorded ones, in any category whose
    prices are all known: it may move a cost between categories, and the totals stay.
    """
    theirs = {each.category: each.price_micros for each in listed}
    return any(
        ours is not None and (found := theirs.get(category, 0)) is not None and ours != found
        for category, ours in recorded.items()
    ) or any(found and category not in recorded for category, found in theirs.items())


def rest_every(accounts: int) -> timedelta:
    """How often an account at rest is read: half of the calls are left for those that spend."""
    minutes = timedelta(minutes=2 * accounts / CALLS_PER_MINUTE)
    return min(LATEST, max(SOONEST, minutes))


def next_reading(
    now: datetime, changed_at: datetime | None, accounts: int, *, suspended: bool
) -> datetime:
    """When to read again: the longer nothing changed, the later. A suspended account costs little
    but rent, which is charged monthly.
    """
    quiet = LATEST if changed_at is None else now - changed_at
    longest = LATEST if suspended else rest_every(accounts)
    return now + min(max(quiet, SOONEST), longest)
