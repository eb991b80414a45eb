"""Usage Records: what Twilio charged an account, by day and category.

Sources: Twilio's page "Usage Records" and its OpenAPI `twilio_api_v2010.json`: days are GMT, a price
is above 0, and categories are an open set. A subaccount's are read with the parent's credentials.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import partial
from typing import Any

from domain.carrier.usage import UsagePage, UsageRecord
from domain.money import LARGEST_MICROS, MICROS
from providers.errors import ProviderUnavailable
from providers.twilio.wire import answer_of

_MOST_LISTED = 1000


class DailyUsage:
    """Of an account of the SDK."""

    def __init__(self, account: Any) -> None:
        self._records = account.usage.records

    async def list(
        self,
        first: date,
        last: date,
        *,
        category: str | None = None,
        subaccounts: bool = False,
        together: bool = False,
        page: str | None = None,
    ) -> UsagePage:
        """All categories unless one is given, a thousand records per page; `page` is the previous
        page's `next`. A parent's without its `subaccounts` unless they are asked for; all days
        `together` are a record for each category, of the first day.
        """
        listing = self._records if together else self._records.daily
        ask: Callable[[], Any] = partial(
            listing.page_async,
            start_date=first,
            end_date=last,
            include_subaccounts=subaccounts,
            page_size=_MOST_LISTED,
            **({} if category is None else {"category": category}),
        )
        if page is not None:
            ask = partial(listing.get_page_async, page)
        try:
            answer = await answer_of(ask)
            records = tuple(_record(item) for item in answer)
        except (InvalidOperation, ValueError, TypeError, KeyError) as error:
            raise ProviderUnavailable(
                f"Twilio answered a usage record that cannot be read: {error}", code="UNREADABLE"
            ) from error
        return UsagePage(records=records, next=answer.next_page_url)


def _record(item: Any) -> UsageRecord:
    day, category, unit = item.start_date, item.category, item.price_unit
    if not isinstance(day, date) or not category or not isinstance(unit, str):
        raise ValueError(f"a day, a category or a currency is missing: {category!r}, {unit!r}")
    return UsageRecord(
        day=day,
        category=category,
        price_micros=_micros(item.price),
        currency=unit.upper(),
        count=_number(item.count),
        usage=_number(item.usage),
        usage_unit=item.usage_unit or "",
        as_of=_time(item.as_of),
    )


def _micros(price: object) -> int | None:
    """Twilio sums prices of five decimals, and documents no number of them."""
    value = _number(price)
    if value is None:
        return None
    micros = int((value * MICROS).to_integral_value(rounding=ROUND_HALF_EVEN))
    if abs(micros) > LARGEST_MICROS:
        raise ValueError(f"the price is too large: {price}")
    return micros


def _number(value: object) -> Decimal | None:
    if value is None or value == "":
        return None
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"no number: {value}")
    return number


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    time = datetime.fromisoformat(value)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
