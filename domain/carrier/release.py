"""The release ladder: what an operator can give up of a suspended subaccount so that it costs less.
It proposes, the lightest step first; nothing is ever done without an operator. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.carrier.categories import within
from domain.carrier.recurring import INBOUND, RECORDINGS, CostKind, RecurringCost, a_day


class ReleaseStep(StrEnum):
    """`RETURN_SHORT_CODE` is done by a person at Twilio, whose API cannot; Tollgate records who
    decided it, and sees when the code is gone.
    """

    REMOVE_WEBHOOKS = "remove_webhooks"
    DELETE_RECORDINGS = "delete_recordings"
    RELEASE_NUMBER = "release_number"
    RETURN_SHORT_CODE = "return_short_code"


LOSES: Mapping[ReleaseStep, str] = {
    ReleaseStep.REMOVE_WEBHOOKS: (
        "messages and calls to the number reach nobody, also after a reactivation, until its "
        "webhooks are set again; what they were is recorded"
    ),
    ReleaseStep.RELEASE_NUMBER: (
        "the number itself: somebody else may get it, replies to it are lost, and its registration "
        "for a campaign ends; it cannot be undone"
    ),
    ReleaseStep.DELETE_RECORDINGS: (
        "every recording of the subaccount's calls, and their transcriptions; it cannot be undone"
    ),
    ReleaseStep.RETURN_SHORT_CODE: (
        "the short code and its approval by the carriers, which takes weeks to get again; give it "
        "back in Twilio's console, since the API cannot, and confirm the step once more"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """`number_sid` is the sid of a number or short code, or the category of what is stored.
    `saves_daily_micros` of removed webhooks are saved once the subaccount is active again: a
    suspended one receives nothing.
    """

    step: ReleaseStep
    number_sid: str
    name: str
    saves_daily_micros: int
    currency: str


_ENDS: Mapping[str, ReleaseStep] = {
    RECORDINGS: ReleaseStep.DELETE_RECORDINGS,
    CostKind.NUMBER: ReleaseStep.RELEASE_NUMBER,
    CostKind.SHORT_CODE: ReleaseStep.RETURN_SHORT_CODE,
}
"""What ends a cost, by its kind or category, the lightest step first."""


def ladder(costs: Iterable[RecurringCost], month: Mapping[tuple[str, str], int]) -> list[Proposal]:
    """First the webhooks of each number that has some, then what is stored, then each number and each
    short code, the dearest first.

    What was received in the last month is spread over the numbers with webhooks: Twilio does not
    say which number received it.
    """
    costs = list(costs)
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
    given_up = [
        Proposal(
            step=step,
            number_sid=cost.reference,
            name=cost.name,
            saves_daily_micros=a_day(cost.monthly_micros),
            currency=cost.currency,
        )
        for step in _ENDS.values()
        for cost in sorted(costs, key=lambda each: -each.monthly_micros)
        if _ENDS.get(cost.kind if cost.kind is not CostKind.USAGE else cost.reference) is step
    ]
    return webhooks + given_up


def _inbound(month: Mapping[tuple[str, str], int], currency: str) -> int:
    return a_day(
        sum(
            micros
            for (category, of), micros in month.items()
            if of == currency and any(within(category, prefix) for prefix in INBOUND)
        )
    )
