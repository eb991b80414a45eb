"""What a subaccount costs whether it is used or not, which a suspension does not stop. Pure.

Sources: Twilio's support articles 223183768 (numbers of a suspended account are charged monthly),
223134627 (short codes), 11587910480155 and 1260803965530 (10DLC campaigns, and what they cost) and
360010066814 (stored recordings).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum

from domain.carrier.categories import within
from domain.money import Money

DAYS = 30
"""What recurs by the month is spread over so many days: rather too much than too little."""
NUMBERS = "phonenumbers"
SHORT_CODES = "shortcodes"
US_CAMPAIGNS = "a2p-10dlc-registrationfees-monthly"
RECORDINGS = "recordingstorage"
_RECURS = (
    NUMBERS,
    SHORT_CODES,
    US_CAMPAIGNS,
    "a2p-registration-fees",
    RECORDINGS,
    "mediastorage",
)
_ONCE = (
    "a2p-10dlc-registrationfees-brandregistration",
    "a2p-10dlc-registrationfees-campaignvetting",
)
INBOUND = ("sms-inbound", "mms-inbound", "usage-rcs-messages-inbound", "calls-inbound")
"""What a number costs by being reached; without webhooks it is not."""

_US_CAMPAIGN = {"LOW_VOLUME": 1_500_000, "SOLE_PROPRIETOR": 2_000_000}
_DEAREST_US_CAMPAIGN = 10_000_000
"""US dollars a month, by use case; there is no price list of them that could be read."""


class CostKind(StrEnum):
    NUMBER = "number"
    SHORT_CODE = "short_code"
    US_CAMPAIGN = "us_campaign"
    USAGE = "usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringCost:
    """`reference` is a sid, or a usage category; `name` is for people. `answers`: the
    number has webhooks, so that Twilio hands over what it receives.
    """

    kind: CostKind
    reference: str
    name: str
    monthly_micros: int
    currency: str
    answers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What short codes were charged in the last quarter and year. They are paid for three or twelve
    months at a time, which the charge does not say: what was charged lately counts as a quarter's.
    """

    quarter_micros: int
    year_micros: int
    currency: str


def recurs(category: str) -> bool:
    """Whether a usage category is charged again without being used again."""
    return any(within(category, prefix) for prefix in _RECURS) and category not in _ONCE


def us_campaign(sid: str, usecase: str) -> RecurringCost:
    """A 10DLC campaign, at what its use case costs at most."""
    return RecurringCost(
        kind=CostKind.US_CAMPAIGN,
        reference=sid,
        name=f"10DLC campaign ({usecase})",
        monthly_micros=_US_CAMPAIGN.get(usecase, _DEAREST_US_CAMPAIGN),
        currency="USD",
    )


def short_code(sid: str, code: str, codes: int, lease: Lease) -> RecurringCost:
    """A short code, at its share of what all of them were charged."""
    monthly = max(-(-lease.quarter_micros // 3), -(-lease.year_micros // 12)) // codes
    return RecurringCost(
        kind=CostKind.SHORT_CODE,
        reference=sid,
        name=code if monthly else f"{code} (its price is known when Twilio charges it)",
        monthly_micros=monthly,
        currency=lease.currency,
    )


def recurring(
    known: Iterable[RecurringCost],
    month: Mapping[tuple[str, str], int],
    covered: Collection[str] = (NUMBERS,),
) -> list[RecurringCost]:
    """What is known to be there, at its price, and every other category that recurs at what it cost
    in the last month, by category and currency. `covered` are the categories of what is known,
    or known not to be there any more: what was given up has no cost.
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
        if micros > 0
        and recurs(category)
        and not any(within(category, prefix) for prefix in covered)
    ]
    return [*known, *usage]


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
