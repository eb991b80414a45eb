"""The Twilio simulator's state: accounts, messages and the configured behaviour."""

import random
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from simulators.twilio.billing.books import Books
from simulators.twilio.billing.clock import Clock
from simulators.twilio.billing.rates import Rates, micros
from simulators.twilio.callback_records import CallbackRecord

NO_MONEY = 10001
"""How Twilio refuses a request of an account whose balance, or whose parent's, is 0 or less: its
page of error 10001.
"""
LONGEST_VALIDITY = 36_000
"""Seconds that a message waits in the queue unless its sender sets fewer."""


@dataclass(slots=True, kw_only=True)
class Account:
    """`owner` is the main account's sid, its own for the main account. `held` means suspended by
    Twilio itself.

    `senders` are its numbers and short codes, and whether they can send SMS; `services` the senders
    of its messaging services; `regions_off` prefixes that it may not send to. With `refuse_code`
    every message is refused.
    """

    sid: str
    auth_token: str
    friendly_name: str
    owner: str
    status: str = "active"
    held_by_twilio: bool = False
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    opted_out: set[str] = field(default_factory=set)
    senders: dict[str, bool] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    services: dict[str, list[str]] = field(default_factory=dict)
    service_settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    secondary_token: str | None = None
    regions_off: set[str] = field(default_factory=set)
    refuse_code: int | None = None
    messages: list["SentMessage"] = field(default_factory=list)
    queued: dict[str, "SentMessage"] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class SentMessage:
    """`accepted_at` is a time of the monotonic clock, the others are of the wall clock."""

    sid: str
    account_sid: str
    to: str
    sender: str | None
    service_sid: str | None
    body: str
    segments: int
    status: str
    callback_url: str | None
    created: float
    accepted_at: float
    updated: float
    sent: float | None = None
    error_code: int | None = None
    price: Decimal | None = None
    direction: str = "outbound-api"
    channel: str = "sms"
    validity: int = LONGEST_VALIDITY

    @property
    def in_progress(self) -> bool:
        return self.status in ("accepted", "scheduled", "queued", "sending", "sent")


@dataclass(slots=True)
class Behaviour:
    """Everything that `PATCH /_sim/behaviour` can set; times are seconds.

    `callback_statuses` are the intermediate statuses that cause a callback; a failure always causes
    one, and is repeated, where its URL asks for that, `repeated_after` times the number of tries.
    `fail_share` of the messages end with `fail_code` and `fail_status`. `redact_bodies` and
    `redact_numbers` are the account's settings: bodies are erased, and the last four digits of
    recipients masked, wherever messages are read. `smart_encoding` is a Messaging Service's, on
    unless it is switched off. `balance` is what each main account had before the first charge. At 0
    Twilio suspends it, "which also suspended the subaccount making the request" (its pages of errors
    10001 and 30002, support article 223183248); `show_as_suspended` says whether its subaccounts are
    then shown as suspended, too, which no page says.
    Usage records show what was booked `usage_lag` ago or earlier; usage triggers are evaluated
    every `trigger_every`. `rcs_reaches` says whether recipients' phones can receive RCS.
    """

    sending_after: float = 0.05
    sent_after: float = 0.05
    delivered_after: float = 0.05
    callback_statuses: list[str] = field(default_factory=lambda: ["sent", "delivered"])
    repeated_after: float = 0.05
    redact_bodies: bool = False
    redact_numbers: bool = False
    smart_encoding: bool = True
    fail_share: float = 0.0
    fail_code: int = 30003
    fail_status: str = "undelivered"
    suspended_code: int = 20005
    suspended_reads: bool = True
    segment_price: str = "0.00750"
    price_after: float | None = None
    balance: str = "1000000.00"
    show_as_suspended: bool = False
    currency: str = "USD"
    rcs_reaches: bool = True
    usage_lag: float = 0.0
    trigger_every: float = 60.0

    @property
    def balance_micros(self) -> int:
        return micros(self.balance)

    def change(self, values: dict[str, Any]) -> None:
        names = {each.name for each in fields(self)}
        unknown = values.keys() - names
        if unknown:
            raise ValueError(f"unknown settings: {sorted(unknown)}; known: {sorted(names)}")
        for name, value in values.items():
            setattr(self, name, value)

    def to_json(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(slots=True)
class State:
    """Creating it creates the main account; `Random(seed)` makes sids and random choices
    repeatable.
    """

    main_sid: str
    main_token: str
    seed: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    messages: dict[str, SentMessage] = field(default_factory=dict)
    per_recipient: Counter[tuple[str, str]] = field(default_factory=Counter)
    refuse_to: dict[str, int] = field(default_factory=dict)
    fail_to: dict[str, tuple[str, int]] = field(default_factory=dict)
    callbacks: deque[CallbackRecord] = field(default_factory=lambda: deque(maxlen=500_000))
    callback_counts: Counter[str] = field(default_factory=Counter)
    status_changes: list[tuple[str, str]] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    behaviour: Behaviour = field(default_factory=Behaviour)
    clock: Clock = field(default_factory=Clock)
    rates: Rates = field(default_factory=Rates)
    books: Books = field(init=False)
    chance: random.Random = field(default_factory=random.Random)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.books = Books(self.clock, lambda sid: self.accounts[sid].owner)
        self.reset()

    def reset(self) -> None:
        """Reset everything except the main account's credentials; further main accounts go."""
        for emptied in (
            self.accounts,
            self.messages,
            self.per_recipient,
            self.refuse_to,
            self.fail_to,
        ):
            emptied.clear()
        self.callbacks.clear()
        self.callback_counts.clear()
        self.status_changes.clear()
        self.refused.clear()
        self.calls.clear()
        self.clock.offset = 0.0
        self.rates.clear()
        self.books.clear()
        self.behaviour.change(Behaviour().to_json())
        self.chance = random.Random(self.seed)  # noqa: S311 - chance, not a secret
        self.accounts[self.main_sid] = Account(
            sid=self.main_sid,
            auth_token=self.main_token,
            friendly_name="Main account",
            owner=self.main_sid,
        )

    @property
    def main(self) -> Account:
        return self.accounts[self.main_sid]

    def parent_of(self, account: Account) -> Account:
        """Itself for a main account."""
        return self.accounts[account.owner]

    def balance_micros(self, parent: Account) -> int:
        return self.behaviour.balance_micros - self.books.spent[parent.sid]

    def inactive(self, account: Account) -> int | None:
        """The code with which Twilio refuses what the account asks for; None: it is active."""
        parent = self.parent_of(account)
        if account.status != "active" or parent.status != "active":
            return self.behaviour.suspended_code
        return None if self.balance_micros(parent) > 0 else NO_MONEY

    def status_of(self, account: Account) -> str:
        """As Twilio shows it."""
        is_parent = account.owner == account.sid
        if account.status != "active" or not (is_parent or self.behaviour.show_as_suspended):
            return account.status
        return "active" if self.inactive(account) is None else "suspended"

    def release(self, account: Account, sender: str) -> None:
        """The account no longer has the number or short code."""
        account.senders.pop(sender, None)
        account.released.add(sender)
        for pool in account.services.values():
            if sender in pool:
                pool.remove(sender)

    def open_parent(self, sid: str, auth_token: str) -> Account:
        """A further main account, with subaccounts of its own."""
        account = Account(sid=sid, auth_token=auth_token, friendly_name="Main account", owner=sid)
        self.accounts[sid] = account
        return account

    def new_sid(self, prefix: str) -> str:
        return f"{prefix}{self.chance.getrandbits(64):016x}{next(self._numbers):016x}"

    def open_account(
        self,
        friendly_name: str,
        *,
        sid: str | None = None,
        auth_token: str | None = None,
        owner: str | None = None,
    ) -> Account:
        account = Account(
            sid=sid or self.new_sid("AC"),
            auth_token=auth_token or f"{self.chance.getrandbits(128):032x}",
            friendly_name=friendly_name,
            owner=owner or self.main_sid,
            created=self.clock.now(),
        )
        self.accounts[account.sid] = account
        return account

    def record(self, message: SentMessage) -> None:
        self.messages[message.sid] = message
        account = self.accounts[message.account_sid]
        account.messages.append(message)
        account.queued[message.sid] = message
        self.per_recipient[(message.to, message.body)] += 1

    def price_of(self, message: SentMessage) -> int:
        parent = self.accounts[message.account_sid].owner
        return self.rates.of_message(message, self.behaviour, parent)

    def settle_prices(self, messages: Iterable[SentMessage] | None = None) -> int:
        """Set the price of every finished message that has none, as Twilio does hours later, and
        correct its charge if the price is another one by now.
        """
        settled = 0
        for message in self.messages.values() if messages is None else messages:
            if message.account_sid not in self.accounts:  # it was taken away
                continue
            if message.price is None and message.status in (
                "sent",
                "delivered",
                "undelivered",
                "failed",
                "received",
            ):
                price = self.price_of(message)
                charge = self.books.by_source.get(message.sid)
                if charge is not None:
                    self.books.correct(charge.number, price)
                message.price = -Decimal(price) / 1_000_000
                settled += 1
        return settled


def rfc2822(at: float | None) -> str | None:
    """Twilio's dates: RFC 2822 with a numeric zone, whole seconds."""
    if at is None:
        return None
    return datetime.fromtimestamp(int(at), UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
