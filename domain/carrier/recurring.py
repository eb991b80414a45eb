"""What a subaccount costs whether it is used or not, which a suspension does not stop. Pure.

Sources: Twilio's support articles 223183768 (numbers of a suspended account are charged monthly),
223134627 (short codes), 11587910480155 (10DLC campaigns) and 360010066814 (stored recordings).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum

from domain.carrier.categories import within
from domain.money import Money

DAYS = 30
"""What recurs by the month is spread over so many days: rather too much than too little."""
_NUMBERS = "phonenumbers"
_RECURS = (
    _NUMBERS,
    "shortcodes",
    "a2p-10dlc-registrationfees-monthly",
    "a2p-registration-fees",
    "recordingstorage",
    "mediastorage",
)
_ONCE = (
    "a2p-10dlc-registrationfees-brandregistration",
    "a2p-10dlc-registrationfees-campaignvetting",
)
INBOUND = ("sms-inbound", "mms-inbound", "usage-rcs-messages-inbound", "calls-inbound")
"""What a number costs by being reached; without webhooks it is not."""


class CostKind(StrEnum):
    NUMBER = "number"
    USAGE = "usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringCost:
    """`reference` is a number's sid, or a usage category; `name` is for people. `answers`: the
    number has webhooks, so that Twilio hands over what it receives.
    """

    kind: CostKind
    reference: str
    name: str
    monthly_micros: int
    currency: str
    answers: bool = False


def recurs(category: str) -> bool:
    """Whether a usage category is charged again without being used again."""
    return any(within(category, prefix) for prefix in _RECURS) and category not in _ONCE


def recurring(
    numbers: Iterable[RecurringCost], month: Mapping[tuple[str, str], int]
) -> list[RecurringCost]:
    """The numbers at what they are priced, and every other category that recurs at what it cost in
    the last month, by category and currency: a number that was released has no cost any more.
    """
    usage = [
        RecurringCost(
            kind=CostKind.USAGE,
            reference=category,
            name=category,
            monthly_micros=micros,
            currency=currency,
        )
        for (category, currency), micros in sorted(month.items())
        if micros > 0 and recurs(category) and not within(category, _NUMBERS)
    ]
    return [*numbers, *usage]


def daily_micros(
    costs: Iterable[RecurringCost], currency: str, rates: Mapping[tuple[str, str], Decimal]
) -> int | None:
    """What they cost a day, rounded up, in the wallet's currency; None if there is no rate for one
    of theirs.
    """
    monthly = Decimal(0)
    for cost in costs:
        rate = Decimal(1) if cost.currency == currency else rates.get((cost.currency, currency))
        if rate is None:
            return None
        monthly += cost.monthly_micros * rate
    return int((monthly / DAYS).to_integral_value(ROUND_CEILING))


def a_day(monthly_micros: int) -> int:
    """Of an amount a month, rounded up."""
    return -(-monthly_micros // DAYS)


def costing_together(organizations: int, daily: Money) -> str:
    """For people: what several suspended organizations go on costing."""
    are = "organization is" if organizations == 1 else "organizations are"
    return f"costing us {daily} a day: {organizations} {are} suspended"


def costing(daily: Money, since: datetime) -> str:
    """Said of an organization that is suspended."""
    return f"costing us {daily} a day since {since:%Y-%m-%d}"
