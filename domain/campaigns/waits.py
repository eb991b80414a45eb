"""Why an unfinished campaign does not move: one answer for the API, explain, logs, metrics
and alerts. Pure.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from domain.campaigns import send_refusal
from domain.campaigns.campaign import CampaignStatus, Park
from domain.money import Money

SILENCE = timedelta(minutes=2)
"""A run that has not reported for this long was lost by Temporal or by a worker."""
LONG = timedelta(minutes=5)
"""A campaign that waits this long for Twilio or for a worker needs a person."""
LONGEST_PAID = timedelta(minutes=5)
"""Reserved messages stay paid during a shorter pause requested by Twilio; in a longer one they are
refunded, and paid again afterwards.
"""


class Waits(StrEnum):
    """What a campaign waits for. A parked campaign waits for the cause of its park, named as in
    `Park`.
    """

    PACE = "pace"
    TWILIO_LIMIT = "twilio_limit"
    TWILIO_UNREACHABLE = "twilio_unreachable"
    TWILIO_CREDENTIALS = "twilio_credentials"
    ACCOUNT_NOT_ACTIVE = "account_not_active"
    QUIET_HOURS = "quiet_hours"
    UNCONFIRMED = "unconfirmed"
    NOT_HEARD = "not_heard"
    SCHEDULED = "scheduled"
    PAUSED = "paused"


NEEDS_A_PERSON = frozenset(
    {
        Waits.TWILIO_LIMIT,
        Waits.TWILIO_UNREACHABLE,
        Waits.TWILIO_CREDENTIALS,
        Waits.ACCOUNT_NOT_ACTIVE,
        Waits.NOT_HEARD,
    }
)
"""They need a person if they last `LONG`; quiet hours, a pace and a scheduled time are intended."""
OUTLASTS_A_PARK = frozenset({Waits.TWILIO_LIMIT, Waits.TWILIO_UNREACHABLE})
"""A wait that Twilio requested outlasts every change here; only a person can skip it."""
_IN_WORDS: dict[str, str] = {
    Waits.PACE: "the pace: other campaigns of the account have their turn first",
    Waits.TWILIO_LIMIT: "Twilio asked to wait",
    Waits.TWILIO_UNREACHABLE: "Twilio does not answer",
    Waits.TWILIO_CREDENTIALS: "Twilio refuses the credentials of the parent account",
    Waits.ACCOUNT_NOT_ACTIVE: "Twilio refuses the subaccount but reports it as active; its parent "
    "may be suspended",
    Waits.QUIET_HOURS: "quiet hours in every country that still has messages to send",
    Waits.UNCONFIRMED: "Twilio has not confirmed messages that were handed over",
    Waits.NOT_HEARD: "its workflow does not report: Temporal or a worker is down",
    Waits.SCHEDULED: "its scheduled time has not come",
    Waits.PAUSED: "a person paused it",
    Park.RECOVERY: "the database may have been restored: what was sent since is looked up",
    Park.SENDER_COSTS_MORE: "the messaging service may send RCS, which the customer does not pay for",
    Park.SUSPENDED: "the organization is suspended",
    Park.FROZEN: "the wallet is frozen",
    Park.INSUFFICIENT_FUNDS: "the wallet cannot pay for the next message",
} | {park.value: words for park, words in send_refusal.IN_WORDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The recorded facts of a campaign. `waits_for` is the last wait that its run recorded,
    `heard_at` the time of that run's last report.

    `heard_at` may lie in the future if the run announced how long it would be silent.
    """

    status: CampaignStatus
    reason: str
    waits_for: str
    until: datetime | None
    since: datetime | None
    detail: str
    heard_at: datetime | None
    scheduled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """`until` is the time of the next attempt, None if unknown; `since` is when the wait began."""

    code: str
    text: str
    until: datetime | None = None
    since: datetime | None = None


def why(facts: Facts, *, unconfirmed: int, now: datetime) -> Wait | None:
    """Why a campaign does not move. None: it moves, is over, or was never started."""
    match facts.status:
        case CampaignStatus.PAUSED:
            return _wait(facts, Waits.PAUSED)
        case CampaignStatus.PARKED:
            # `until` applies only once it may run
            return _wait(replace(facts, until=None), facts.reason)
        case CampaignStatus.SCHEDULED:
            due = facts.scheduled_at
            if silent(due, now):
                return Wait(code=Waits.NOT_HEARD, text=_IN_WORDS[Waits.NOT_HEARD], since=due)
            return Wait(
                code=Waits.SCHEDULED, text=_IN_WORDS[Waits.SCHEDULED], until=due, since=facts.since
            )
        case CampaignStatus.RUNNING:
            return _running(facts, unconfirmed, now)
        case _:
            return None


def not_sent(facts: Facts) -> str:
    """Why paid messages are refunded before they were handed over."""
    match facts.status:
        case CampaignStatus.CANCELED:
            return "not sent: the campaign was canceled"
        case CampaignStatus.PAUSED:
            return f"not sent: {in_words(Waits.PAUSED)}"
        case CampaignStatus.PARKED:
            return f"not sent: {in_words(facts.reason)}"
        case _ if facts.waits_for:
            return f"not sent: {in_words(facts.waits_for)}"
        case _:
            return "not sent: the gate shut"


def in_words(code: str) -> str:
    return _IN_WORDS.get(code, code)


def too_dear(available: Money, costs: Money) -> str:
    return f"the wallet has {available} available, and the next message costs {costs}"


def silent(heard_at: datetime | None, now: datetime) -> bool:
    return heard_at is not None and now - heard_at > SILENCE


def _running(facts: Facts, unconfirmed: int, now: datetime) -> Wait | None:
    heard_at = facts.heard_at or facts.since
    if silent(heard_at, now):
        return Wait(code=Waits.NOT_HEARD, text=_IN_WORDS[Waits.NOT_HEARD], since=heard_at)
    if not facts.waits_for:
        return None
    if facts.waits_for == Waits.UNCONFIRMED:
        many = f"{unconfirmed} messages" if unconfirmed != 1 else "1 message"
        text = f"Twilio has not confirmed {many} that were handed over"
        return Wait(code=Waits.UNCONFIRMED, text=text, since=facts.since)
    return _wait(facts, facts.waits_for)


def _wait(facts: Facts, code: str) -> Wait:
    return Wait(
        code=code, text=facts.detail or in_words(code), until=facts.until, since=facts.since
    )
