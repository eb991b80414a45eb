"""What is reconciled, how often, and how old a complete pass may get. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import md5


class Subject(StrEnum):
    """What one pass compares. Each has its own schedule and run: none waits for another."""

    AUDIT = "audit"
    PRICES = "prices"
    MESSAGES = "messages"
    WAITING = "waiting"
    TWILIO = "twilio"
    FOREIGN = "foreign"
    TRIPWIRES = "tripwires"
    BALANCE = "balance"
    RATES = "rates"
    SENDERS = "senders"
    USAGE = "usage"
    PAYPAL = "paypal"
    STRIPE = "stripe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """An alert is raised if the last complete pass began longer than `late_after` ago."""

    summary: str
    late_after: timedelta
    every: timedelta = timedelta(minutes=15)


RHYTHMS: Mapping[Subject, Rhythm] = {
    Subject.AUDIT: Rhythm(summary="Check the guarantees", late_after=timedelta(hours=2)),
    Subject.PRICES: Rhythm(
        summary="Record Twilio's prices", late_after=timedelta(hours=6), every=timedelta(hours=1)
    ),
    Subject.MESSAGES: Rhythm(summary="Look up unknown messages", late_after=timedelta(hours=1)),
    Subject.WAITING: Rhythm(summary="Notify what waits", late_after=timedelta(hours=1)),
    Subject.TWILIO: Rhythm(summary="Compare with Twilio", late_after=timedelta(hours=1)),
    Subject.FOREIGN: Rhythm(
        summary="Find messages past Tollgate",
        late_after=timedelta(hours=12),
        every=timedelta(minutes=5),
    ),
    Subject.TRIPWIRES: Rhythm(
        summary="Compare usage triggers with Twilio's",
        late_after=timedelta(hours=24),
        every=timedelta(minutes=5),
    ),
    Subject.RATES: Rhythm(
        summary="Compare rates with Twilio's prices",
        late_after=timedelta(days=3),
        every=timedelta(days=1),
    ),
    Subject.SENDERS: Rhythm(
        summary="Inspect messaging services",
        late_after=timedelta(days=3),
        every=timedelta(days=1),
    ),
    Subject.BALANCE: Rhythm(summary="Read the balance at Twilio", late_after=timedelta(hours=1)),
    # it reads the subaccounts that are due; each has a rhythm of its own
    Subject.USAGE: Rhythm(
        summary="Read what Twilio charges",
        late_after=timedelta(hours=2),
        every=timedelta(minutes=2),
    ),
    # one request for each subscription, so a pass over 100,000 takes six hours
    Subject.PAYPAL: Rhythm(summary="Compare with PayPal", late_after=timedelta(hours=24)),
    Subject.STRIPE: Rhythm(summary="Compare with Stripe", late_after=timedelta(hours=1)),
}

BUCKETS = 4096


def bucket(id_: str) -> int:
    """The same as `db.audit.comparisons` computes in SQL."""
    return int(md5(id_.encode(), usedforsecurity=False).hexdigest()[:4], 16) % BUCKETS


class Census:
    """Counts the ids that a provider listed, so that those it did not list can be narrowed down
    without remembering any.
    """

    def __init__(self, counts: Iterable[int] = ()) -> None:
        self._counts = list(counts) or [0] * BUCKETS

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(self._counts)

    @property
    def total(self) -> int:
        return sum(self._counts)

    def add(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            self._counts[bucket(id_)] += 1

    def differing(self, expected: Mapping[int, int]) -> list[int]:
        """The buckets that do not contain as many ids as expected."""
        return [
            number for number, count in enumerate(self._counts) if count != expected.get(number, 0)
        ]
