"""When a period that was paid for ends: the arithmetic of billing intervals, by the calendar."""

from calendar import monthrange
from datetime import datetime, timedelta

_DAYS = {"DAY": 1, "WEEK": 7}
_MONTHS = {"MONTH": 1, "YEAR": 12}


def after(begin: datetime, unit: str, count: int) -> datetime | None:
    """`count` units after `begin`, or before it where that is negative; None: an unknown unit.

    A month that lacks the day ends on its last.
    """
    try:
        if unit.upper() in _DAYS:
            return begin + timedelta(days=_DAYS[unit.upper()] * count)
        if unit.upper() not in _MONTHS:
            return None
        year, month = divmod(begin.year * 12 + begin.month - 1 + _MONTHS[unit.upper()] * count, 12)
        return begin.replace(
            year=year, month=month + 1, day=min(begin.day, monthrange(year, month + 1)[1])
        )
    except (ValueError, OverflowError):
        return None  # beyond the calendar
