"""Usage Records: what an account used, by category and period, as `GET .../Usage/Records` shows it.

Sources: Twilio's page of Usage Records and the examples of its OpenAPI description: all values are
strings, a category without usage is listed with zeros, sub-lists are AllTime, Today, Yesterday,
ThisMonth, LastMonth, Daily, Monthly and Yearly, `IncludeSubaccounts` is true unless it is given.
The order of the days is not documented: the newest comes first.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from simulators.twilio.answers import API, Refusal
from simulators.twilio.billing.books import Entry
from simulators.twilio.billing.categories import LISTED, TOTAL, category, sums_of
from simulators.twilio.parameters import invalid

_OFFSET = re.compile(r"([+-]\d{1,5})days?")
_LISTS = {
    "all_time": "AllTime",
    "daily": "Daily",
    "last_month": "LastMonth",
    "monthly": "Monthly",
    "this_month": "ThisMonth",
    "today": "Today",
    "yearly": "Yearly",
    "yesterday": "Yesterday",
}


@dataclass(frozen=True, slots=True)
class Period:
    start: date
    end: date

    def __contains__(self, day: date) -> bool:
        return self.start <= day <= self.end


@dataclass(slots=True)
class Usage:
    """The sum of the entries of one category in one period."""

    count: int = 0
    usage: int = 0
    price_micros: int = 0
    unpriced: int = 0

    def add(self, entry: Entry) -> None:
        self.count += entry.count
        self.usage += entry.usage
        self.price_micros += entry.price_micros or 0
        self.unpriced += entry.price_micros is None


def dollars(micros: int) -> str:
    """Without trailing zeros, as Twilio writes prices of records: 3.52, 0."""
    text = f"{Decimal(micros) / 1_000_000:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def read_range(
    given: Mapping[str, str], today: date, opened: date, named: str
) -> list[Period] | None:
    """The periods that a list covers, the newest first; None: there is no such list."""
    if named in _FIXED:
        return [_FIXED[named](today, opened)]
    start = _day(given, "StartDate", today, opened)
    end = _day(given, "EndDate", today, today)
    if start > end:
        raise invalid("StartDate", start.isoformat())
    if named == "":
        return [Period(start, end)]
    first_after = _FIRST_AFTER.get(named)
    return None if first_after is None else list(reversed([*_cut(start, end, first_after)]))


def _cut(start: date, end: date, first_after: Callable[[date], date]) -> Iterator[Period]:
    while start <= end:
        following = first_after(start)
        yield Period(start, min(end, following - timedelta(days=1)))
        start = following


def month_after(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


_FIRST_AFTER: dict[str, Callable[[date], date]] = {
    "Daily": lambda day: day + timedelta(days=1),
    "Monthly": month_after,
    "Yearly": lambda day: date(day.year + 1, 1, 1),
}


def _last_month(today: date) -> Period:
    end = today.replace(day=1) - timedelta(days=1)
    return Period(end.replace(day=1), end)


_FIXED: dict[str, Callable[[date, date], Period]] = {
    "AllTime": lambda today, opened: Period(opened, today),
    "Today": lambda today, _: Period(today, today),
    "Yesterday": lambda today, _: Period(today - timedelta(days=1), today - timedelta(days=1)),
    "ThisMonth": lambda today, _: Period(today.replace(day=1), month_after(today) - timedelta(1)),
    "LastMonth": lambda today, _: _last_month(today),
}


def _day(given: Mapping[str, str], name: str, today: date, default: date) -> date:
    value = given.get(name, "")
    if not value:
        return default
    if offset := _OFFSET.fullmatch(value):
        return today + timedelta(days=int(offset[1]))
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            raise invalid(name, value)
        return date.fromisoformat(value)
    except ValueError:
        raise invalid(name, value) from None


def add_up(entries: Iterable[Entry], periods: list[Period]) -> dict[tuple[Period, str], Usage]:
    """The usage of every category, sums included, in every period."""
    period_of: dict[date, Period | None] = {}
    usages: dict[tuple[Period, str], Usage] = {}
    for entry in entries:
        if entry.day not in period_of:
            period_of[entry.day] = next((each for each in periods if entry.day in each), None)
        period = period_of[entry.day]
        if period is not None:
            for name in sums_of(entry.category):
                usages.setdefault((period, name), Usage()).add(entry)
    return usages


@dataclass(frozen=True, slots=True)
class Row:
    period: Period
    category: str
    usage: Usage

    @property
    def key(self) -> str:
        return f"{self.category}.{self.period.start:%Y%m%d}"


def rows(
    usages: Mapping[tuple[Period, str], Usage], periods: list[Period], wanted: str | None
) -> list[Row]:
    """One row for each period and category, also for a listed category without usage."""
    unlisted = sorted({name for _, name in usages} - LISTED.keys())
    names = [*LISTED, *unlisted] if not wanted else [wanted]
    return [
        Row(period, name, usages.get((period, name), Usage()))
        for period in periods
        for name in names
    ]


def record_json(row: Row, account_sid: str, named: str, as_of: float, unit: str) -> dict[str, Any]:
    kind, usage, total = category(row.category), row.usage, row.category == TOTAL
    base = f"{API}/Accounts/{account_sid}/Usage/Records"
    query = urlencode(
        {
            "Category": row.category,
            "StartDate": row.period.start.isoformat(),
            "EndDate": row.period.end.isoformat(),
        }
    )
    price = dollars(usage.price_micros)
    unpriced = usage.unpriced and not kind.is_sum
    return {
        "account_sid": account_sid,
        "api_version": "2010-04-01",
        "as_of": f"{datetime.fromtimestamp(int(as_of), UTC):%Y-%m-%dT%H:%M:%S+00:00}",
        "category": row.category,
        "count": None if total else str(usage.count),
        "count_unit": kind.unit,
        "description": kind.description,
        "end_date": row.period.end.isoformat(),
        "price": None if unpriced else price,
        "price_unit": unit.lower(),
        "start_date": row.period.start.isoformat(),
        "subresource_uris": {
            name: f"{base}/{of}.json?Category={row.category}" for name, of in _LISTS.items()
        },
        "uri": f"{base}{f'/{named}' if named else ''}.json?{query}",
        "usage": price if total else str(usage.usage),
        "usage_unit": unit.lower() if total else kind.usage_unit or kind.unit,
    }


def checked_category(given: Mapping[str, str]) -> str | None:
    name = given.get("Category", "")
    if name and not re.fullmatch(r"[a-z0-9-]+", name):
        raise Refusal(400, 20001, f"Invalid Category: {name}")
    return name or None
