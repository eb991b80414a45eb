"""The release ladder: what an operator can give up of a suspended subaccount so that it costs less.
It proposes, the lightest step first; nothing is ever done without an operator. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.carrier.categories import within
from domain.carrier.recurring import INBOUND, CostKind, RecurringCost, a_day


class ReleaseStep(StrEnum):
    REMOVE_WEBHOOKS = "remove_webhooks"
    RELEASE_NUMBER = "release_number"


LOSES: Mapping[ReleaseStep, str] = {
    ReleaseStep.REMOVE_WEBHOOKS: (
        "messages and calls to the number reach nobody, also after a reactivation, until its "
        "webhooks are set again; what they were is recorded"
    ),
    ReleaseStep.RELEASE_NUMBER: (
        "the number itself: somebody else may get it, replies to it are lost, and its registration "
        "for a campaign ends; it cannot be undone"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """`saves_daily_micros` of removed webhooks are saved once the subaccount is active again: a
    suspended one receives nothing.
    """

    step: ReleaseStep
    number_sid: str
    name: str
    saves_daily_micros: int
    currency: str


def ladder(costs: Iterable[RecurringCost], month: Mapping[tuple[str, str], int]) -> list[Proposal]:
    """First the webhooks of each number that has some, then each number, the dearest first.

    What was received in the last month is spread over the numbers with webhooks: Twilio does not
    say which number received it.
    """
    numbers = [cost for cost in costs if cost.kind is CostKind.NUMBER]
    answering = [number for number in numbers if number.answers]
    webhooks = [
        Proposal(
            step=ReleaseStep.REMOVE_WEBHOOKS,
            number_sid=number.reference,
            name=number.name,
            saves_daily_micros=_inbound(month, number.currency) // len(answering),
            currency=number.currency,
        )
        for number in answering
    ]
    released = [
        Proposal(
            step=ReleaseStep.RELEASE_NUMBER,
            number_sid=number.reference,
            name=number.name,
            saves_daily_micros=a_day(number.monthly_micros),
            currency=number.currency,
        )
        for number in sorted(numbers, key=lambda each: -each.monthly_micros)
    ]
    return webhooks + released


def _inbound(month: Mapping[tuple[str, str], int], currency: str) -> int:
    return a_day(
        sum(
            micros
            for (category, of), micros in month.items()
            if of == currency and any(within(category, prefix) for prefix in INBOUND)
        )
    )
