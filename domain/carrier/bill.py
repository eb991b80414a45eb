"""The carrier's bill of a month: what Twilio charged, and who paid it. Pure.

Twilio's total = paid + absorbed + unpaid, to the micro, in Twilio's currency. What is paid includes
what own messages were paid with; the total is Twilio's own word, not the sum of the lines.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from domain.carrier.categories import within

_MONTH = re.compile(r"(?P<year>20\d\d)-(?P<month>0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """Of UTC, as Twilio's days are."""

    first: date

    @property
    def last(self) -> date:
        return (self.first + timedelta(days=31)).replace(day=1) - timedelta(days=1)

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One usage category, or an account of the company's own with all that it used.
    `taken_micros` is what carrier charges took for it from wallets, in the wallets' currency, with
    markups.
    """

    category: str
    currency: str
    charged_micros: int
    paid_micros: int
    absorbed_micros: int
    unpaid_micros: int
    taken_micros: int = 0
    account_sid: str | None = None
    account: str = ""
    """What it is, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Of one currency. `missing_micros`, which should be 0, is what Twilio's total has and the
    lines do not.
    """

    currency: str
    charged_micros: int
    paid_micros: int
    absorbed_micros: int
    unpaid_micros: int

    @property
    def missing_micros(self) -> int:
        return self.charged_micros - self.paid_micros - self.absorbed_micros - self.unpaid_micros

    @property
    def settled(self) -> bool:
        return self.unpaid_micros <= 0 and self.missing_micros == 0


class ApartSource(StrEnum):
    """What a charge that is none of a usage category's is for."""

    FOREIGN_MESSAGES = "foreign_messages"
    """Whose usage Twilio does not show yet."""
    SEGMENTS = "segments"
    """That Twilio counted beyond ours, and that the wallet could not pay at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Charges of the month that are none of a day's, in a wallet's currency: besides the totals."""

    source: ApartSource
    currency: str
    charged_micros: int
    owed_micros: int
    waived_micros: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """What counts as paid on lines whose categories begin with the prefixes, and is owed or waived
    by a charge apart; in Twilio's currency.
    """

    prefixes: tuple[str, ...]
    currency: str
    owed_micros: int = 0
    waived_micros: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    month: Month
    lines: Sequence[Line]
    totals: Sequence[Total]
    apart: Sequence[Apart] = ()

    @property
    def settled(self) -> bool:
        owed = any(each.owed_micros for each in self.apart)
        return not owed and all(total.settled for total in self.totals)


def meet(lines: Sequence[Line], unmet: Sequence[Unmet]) -> list[Line]:
    """The lines with what is owed and waived of what counted as paid. What is more than that
    belongs to usage that Twilio does not show yet.
    """
    found = list(lines)
    for each in unmet:
        owed, waived = each.owed_micros, each.waived_micros
        for at, line in enumerate(found):
            concerned = any(within(line.category, prefix) for prefix in each.prefixes)
            if not concerned or line.currency != each.currency:
                continue
            unpaid = max(0, min(line.paid_micros, owed))
            absorbed = max(0, min(line.paid_micros - unpaid, waived))
            owed, waived = owed - unpaid, waived - absorbed
            found[at] = replace(
                line,
                paid_micros=line.paid_micros - unpaid - absorbed,
                absorbed_micros=line.absorbed_micros + absorbed,
                unpaid_micros=line.unpaid_micros + unpaid,
            )
    return found


def parse_month(text: str) -> Month | None:
    found = _MONTH.fullmatch(text)
    return found and Month(first=date(int(found["year"]), int(found["month"]), 1))


def month_of(day: date) -> Month:
    return Month(first=day.replace(day=1))


def add_up(lines: Sequence[Line], charged: dict[str, int]) -> list[Total]:
    """`charged` are Twilio's totals by currency."""
    currencies = sorted(charged.keys() | {line.currency for line in lines})
    return [
        Total(
            currency=currency,
            charged_micros=charged.get(currency, 0),
            paid_micros=sum(each.paid_micros for each in lines if each.currency == currency),
            absorbed_micros=sum(
                each.absorbed_micros for each in lines if each.currency == currency
            ),
            unpaid_micros=sum(each.unpaid_micros for each in lines if each.currency == currency),
        )
        for currency in currencies
    ]
