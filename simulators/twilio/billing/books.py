"""The simulator's books: every charge is one entry, and everything that the API says is a sum of
entries.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from simulators.twilio.billing.categories import SUMS
from simulators.twilio.billing.clock import Clock, day_of

BY_CARD = frozenset({"shortcodes"})
"""Charged to the card or the invoice "regardless of your Twilio balance" (support article
223134627).
"""


@dataclass(slots=True, kw_only=True)
class Entry:
    """`price_micros` is what Twilio charges, above 0; None is a price that is not known yet.
    `source` is the sid of the message, call or number. `booked_at` decides when the records show
    it, which can be later than its day.
    """

    number: int
    account_sid: str
    category: str
    day: date
    count: int
    usage: int
    price_micros: int | None
    source: str
    booked_at: float

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "account_sid": self.account_sid,
            "category": self.category,
            "day": self.day.isoformat(),
            "count": self.count,
            "usage": self.usage,
            "price_micros": self.price_micros,
            "source": self.source,
            "booked_at": self.booked_at,
        }


@dataclass(slots=True)
class Books:
    """`by_source` has the first entry of each source: a message itself, not its carrier fee.
    `parent_of` is the main account that pays for an account; `spent` what each main account has
    spent.
    """

    clock: Clock
    parent_of: Callable[[str], str]
    entries: list[Entry] = field(default_factory=list)
    by_source: dict[str, Entry] = field(default_factory=dict)
    by_account: dict[str, list[Entry]] = field(default_factory=dict)
    spent: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        self.entries.clear()
        self.by_source.clear()
        self.by_account.clear()
        self.spent.clear()

    def book(
        self,
        account_sid: str,
        category: str,
        price_micros: int | None,
        *,
        source: str = "",
        number: int = 1,
        usage: int | None = None,
        day: date | None = None,
        at: float | None = None,
    ) -> Entry:
        """`at` is the moment of the booking, now if it is not given; `day` the day of the usage."""
        if category in SUMS:
            raise ValueError(f"{category} is a sum of other categories")
        booked_at = self.clock.now() if at is None else at
        entry = Entry(
            number=len(self.entries) + 1,
            account_sid=account_sid,
            category=category,
            day=day or day_of(booked_at),
            count=number,
            usage=number if usage is None else usage,
            price_micros=price_micros,
            source=source,
            booked_at=booked_at,
        )
        self.entries.append(entry)
        self.by_account.setdefault(account_sid, []).append(entry)
        self._spend(entry, price_micros or 0)
        if source:
            self.by_source.setdefault(source, entry)
        return entry

    def correct(self, number: int, price_micros: int | None) -> Entry:
        """Twilio changes the price of a day that is over. The next read shows it, whatever the
        lag.
        """
        if not 1 <= number <= len(self.entries):
            raise KeyError(number)
        entry = self.entries[number - 1]
        self._spend(entry, (price_micros or 0) - (entry.price_micros or 0))
        entry.price_micros = price_micros
        return entry

    def _spend(self, entry: Entry, micros: int) -> None:
        if entry.category not in BY_CARD:
            self.spent[self.parent_of(entry.account_sid)] += micros

    def of(self, accounts: Collection[str], until: float) -> Iterator[Entry]:
        """The entries of these accounts that were booked before `until`."""
        for account_sid in accounts:
            for entry in self.by_account.get(account_sid, ()):
                if entry.booked_at <= until:
                    yield entry
