"""The simulator's billing behind one object: recurring fees, usage records, triggers, balance, and
the clock that drives them.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from simulators.twilio.answers import Answer, not_found, ok, page_json
from simulators.twilio.billing.categories import sums_of
from simulators.twilio.billing.clock import a_month_after, day_of, midnight, next_midnight
from simulators.twilio.billing.triggers import Triggers
from simulators.twilio.billing.usage_records import (
    Period,
    Row,
    Usage,
    add_up,
    checked_category,
    dollars,
    read_range,
    record_json,
    rows,
)
from simulators.twilio.callbacks import Callbacks
from simulators.twilio.parameters import boolean
from simulators.twilio.state import Account, State


@dataclass(slots=True, kw_only=True)
class Fee:
    """Charged every so many `months`, on `monthday` or the month's last day, until its source is
    released. A suspension does not stop it (Twilio's support article 223183768); a closed account
    has none. `price` is that of a unit, the price list's if it is not given.
    """

    account_sid: str
    category: str
    source: str
    monthday: int
    due: date
    months: int = 1
    units: int = 1
    price: int | None = None


class Billing:
    def __init__(self, state: State, callbacks: Callbacks) -> None:
        self.state = state
        self.triggers = Triggers(state, callbacks, self.measure)
        self.fees: dict[str, Fee] = {}
        self._evaluating: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._evaluating = asyncio.create_task(self._evaluate_each_minute())

    async def stop(self) -> None:
        if self._evaluating is not None:
            self._evaluating.cancel()
            with suppress(asyncio.CancelledError):
                await self._evaluating

    def reset(self) -> None:
        self.triggers.clear()
        self.fees.clear()

    async def _evaluate_each_minute(self) -> None:
        while True:
            await asyncio.sleep(self.state.behaviour.trigger_every)
            self.evaluate()

    def evaluate(self) -> int:
        self.charge_fees()
        return self.triggers.evaluate()

    def advance(self, seconds: float) -> None:
        """Advance the clock day by day, as time would pass: fees fall due and triggers fire."""
        clock = self.state.clock
        until = clock.now() + seconds
        while (midnight_after := next_midnight(clock.now())) <= until:
            self.evaluate()  # the last look at the day that ends
            clock.advance_to(max(midnight_after, clock.now()))
        clock.advance_to(max(until, clock.now()))
        self.evaluate()

    def begin(self, seconds_ago: float) -> None:
        """Set the clock back, before anything has happened: what follows is in the past."""
        if self.state.books.entries or self.state.messages:
            raise ValueError("the clock goes back only before anything was booked or sent")
        clock = self.state.clock
        clock.offset -= seconds_ago
        for account in self.state.accounts.values():
            account.created = min(account.created, clock.now())

    def start_fee(
        self,
        account_sid: str,
        category: str,
        source: str,
        *,
        months: int = 1,
        units: int = 1,
        price: int | None = None,
    ) -> Fee:
        """The first period is charged at once."""
        today = self.state.clock.today()
        fee = Fee(
            account_sid=account_sid,
            category=category,
            source=source,
            monthday=today.day,
            due=today,
            months=months,
            units=units,
            price=price,
        )
        self.fees[source] = fee
        self._charge(fee, at=self.state.clock.now())
        return fee

    def end_fee(self, source: str) -> None:
        """What was charged for the present period is not given back."""
        self.charge_fees()
        self.fees.pop(source, None)

    def _charge(self, fee: Fee, *, at: float) -> None:
        price = self.state.rates.prices[fee.category] if fee.price is None else fee.price
        self.state.books.book(
            fee.account_sid,
            fee.category,
            price * fee.units * fee.months,
            source=fee.source,
            usage=fee.units,
            day=fee.due,
            at=at,
        )
        for _ in range(fee.months):
            fee.due = a_month_after(fee.due, fee.monthday)

    def charge_fees(self) -> None:
        today = self.state.clock.today()
        for fee in tuple(self.fees.values()):
            if self.state.accounts[fee.account_sid].status == "closed":
                del self.fees[fee.source]
                continue
            while fee.due <= today:
                self._charge(fee, at=midnight(fee.due))

    def accounts_of(self, account: Account, *, subaccounts: bool = True) -> list[str]:
        """The account, and its subaccounts if it is a main account."""
        if not subaccounts or account.owner != account.sid:
            return [account.sid]
        return [each.sid for each in self.state.accounts.values() if each.owner == account.sid]

    def as_of(self) -> float:
        return self.state.clock.now() - self.state.behaviour.usage_lag

    def measure(self, account: Account, category: str, period: Period) -> Usage:
        usage = Usage()
        for entry in self.state.books.of(self.accounts_of(account), self.as_of()):
            if entry.day in period and category in sums_of(entry.category):
                usage.add(entry)
        return usage

    def records(self, account: Account, named: str, path: str, given: Mapping[str, str]) -> Answer:
        self.charge_fees()
        category = checked_category(given)
        subaccounts = boolean(given, "IncludeSubaccounts", default=True)
        opened = day_of(account.created)
        periods = read_range(given, self.state.clock.today(), opened, named)
        if periods is None:
            raise not_found(path)
        as_of = self.as_of()
        entries = self.state.books.of(self.accounts_of(account, subaccounts=subaccounts), as_of)
        listed = rows(add_up(entries, periods), periods, category)
        currency = self.state.behaviour.currency

        def to_json(row: Row) -> dict[str, object]:
            return record_json(row, account.sid, named, as_of, currency)

        return ok(
            page_json("usage_records", path, dict(given), listed, to_json, lambda row: row.key)
        )

    def balance(self, account: Account, path: str) -> Answer:
        if account.owner != account.sid:
            raise not_found(path)  # subaccounts have no balance of their own
        self.charge_fees()
        return ok(
            {
                "account_sid": account.sid,
                "balance": dollars(self.state.balance_micros(account)),
                "currency": self.state.behaviour.currency,
            }
        )
