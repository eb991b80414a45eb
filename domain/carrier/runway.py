"""How long a parent account's balance lasts. Pure.

Twilio suspends a parent account without money, and with it every subaccount: all customers stop at
once, whatever they have paid.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from domain.campaigns.telephony import AccountStatus
from domain.money import Money

DAYS = 7
"""The speed is that of so many days: one has its night, and a week its weekend."""
LOW, LAST = timedelta(days=7), timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Funds:
    """A parent's balance, and what it and its subaccounts spent in `over`."""

    account_sid: str
    balance: Money
    spent_micros: int
    over: timedelta

    @property
    def lasts(self) -> timedelta | None:
        """None: nothing is spent."""
        if self.balance.micros <= 0:
            return timedelta(0)
        if self.spent_micros <= 0:
            return None
        try:
            return self.over * self.balance.micros / self.spent_micros
        except OverflowError:
            return None

    def lasts_at_most(self, limit: timedelta) -> bool:
        return self.lasts is not None and self.lasts <= limit

    def __str__(self) -> str:
        lasts = self.lasts
        rest = "" if lasts is None else f", which lasts {lasts / timedelta(days=1):.1f} days"
        return f"{self.account_sid} has {self.balance}{rest}"


def suspended(account_sid: str, status: AccountStatus, balance: Money | None) -> str:
    """The balance says why, if Twilio tells it."""
    left = "" if balance is None else f", with {balance} left"
    return f"Twilio reports the parent account {account_sid} as {status.value}{left}"


def window(now: datetime) -> tuple[date, timedelta]:
    """The first day of usage, and how long ago it began: the last days with the present one, in
    UTC as Twilio counts them.
    """
    first = now.astimezone(UTC).date() - timedelta(days=DAYS - 1)
    return first, now - datetime.combine(first, time(0), UTC)
