"""At which sum of a day a subaccount's usage trigger fires, and when its trigger is replaced. Pure.

A trigger is never the gate: it makes Tollgate look at once at what would be seen minutes later.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

FLOOR_MICROS = 1_000_000
"""A subaccount that spends nothing is looked at when it spends so much, of Twilio's currency."""
DAYS = timedelta(days=28)
MOST_MICROS = 999_999_999_000_000
"""Twilio takes twelve digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A usage trigger of ours, as Twilio lists it."""

    sid: str
    value_micros: int
    callback_url: str
    current_micros: int = 0


def wanted(set_micros: int | None, days: Iterable[int], fired_micros: int | None) -> int:
    """The value in micros: what an operator set, or twice the most expensive of the last days. One
    that fired today fires again when the day has cost twice as much.
    """
    base = set_micros or max(FLOOR_MICROS, 2 * max(days, default=0))
    return min(MOST_MICROS, max(base, 2 * (fired_micros or 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """The trigger to keep, if one fits, and those to delete. Without one to keep, one is made."""

    kept: Trigger | None
    extra: tuple[Trigger, ...]


def compare(
    found: Sequence[Trigger], value_micros: int, callback_url: str, *, exact: bool
) -> Repair:
    """Of those at Twilio, one is kept whose address is ours and whose value is about the wanted
    one, or exactly if an operator set it: replacing one each day would gain nothing.
    """
    slack = 0 if exact else value_micros // 4
    fitting = [
        trigger
        for trigger in found
        if trigger.callback_url == callback_url
        and abs(trigger.value_micros - value_micros) <= slack
    ]
    kept = min(
        fitting,
        key=lambda trigger: (abs(trigger.value_micros - value_micros), trigger.sid),
        default=None,
    )
    return Repair(kept=kept, extra=tuple(trigger for trigger in found if trigger is not kept))
