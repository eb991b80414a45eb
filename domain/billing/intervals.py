"""Computes when a paid period ends: calendar arithmetic of billing intervals."""

from calendar import monthrange
from datetime import datetime, timedelta

_DAYS = {"DAY": 1, "WEEK": 7}
_MONTHS = {"MONTH": 1, "YEAR": 12}


def after(begin: datetime, unit: str, count: int) -> datetime | None:
    """The time `count` units after `begin` (before it if negative); None for an unknown unit. A
    month without that day ends on its last day.
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
