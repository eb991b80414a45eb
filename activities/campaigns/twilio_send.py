"""Sends a window of paid messages to Twilio, one POST each, and interprets each answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import structlog

from activities.campaigns.pauses import Pause
from db.campaigns.messages import Message
from db.campaigns.send_results import Reply
from db.lifecycle.organizations import Organization
from domain.campaigns import delivery_failure, send_refusal, validity
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.delivery_failure import SEVERAL, About
from domain.campaigns.send_refusal import Answer, Verdict, judge
from domain.campaigns.telephony import (
    Accepted,
    NotProcessed,
    OutboundMessage,
    Refused,
    SendOutcome,
    Unknown,
)
from domain.campaigns.waits import Waits
from providers.errors import ProviderRefused
from providers.twilio import Twilio, callback_url

log = structlog.get_logger()
CREDENTIALS_RETRY = 60.0
UNANSWERED_RETRY = 15.0
"""Seconds until the next attempt when Twilio confirmed no message of a window: later POSTs may be
lost, too.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What every message is posted with: where Twilio reaches our webhooks, and how long it may
    keep the message.
    """

    public_url: str
    validity: timedelta = validity.DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The result of a window. `pause`: set if Twilio requested one. `verdict`: what rejections say
    about the remaining messages.
    """

    replies: tuple[Reply, ...] = ()
    pause: Pause | None = None
    verdict: Verdict = field(default_factory=lambda: Verdict(stop=None))
    account_suspended: bool = False


async def hand_over(
    twilio: Twilio,
    organization: Organization,
    window: Sequence[Message],
    terms: Terms,
    *,
    in_a_row: int = 0,
    several: int = SEVERAL,
) -> Tally:
    """Post each message of a window that is committed as being sent; never twice, whatever the
    answer.

    `in_a_row` messages were rejected just before; `domain.campaigns.send_refusal` has the rule
    about `several`.
    """
    outcomes = await asyncio.gather(
        *(_send(twilio, _outbound(organization, message, terms)) for message in window)
    )
    verdict = judge([_answer(outcome) for outcome in outcomes], in_a_row=in_a_row, several=several)
    return Tally(
        replies=tuple(
            _not_now(reply) if index in verdict.blameless else reply
            for index, reply in enumerate(map(_reply, window, outcomes))
        ),
        pause=_pause(outcomes),
        verdict=verdict,
        account_suspended=any(
            isinstance(outcome, Refused) and outcome.account_suspended for outcome in outcomes
        ),
    )


def _answer(outcome: SendOutcome) -> Answer:
    """What the outcome implies for the following messages; a suspended account is handled
    elsewhere.
    """
    match outcome:
        case Accepted():
            return send_refusal.Taken()
        case Refused(account_suspended=False, code=code):
            return send_refusal.Refused(code)
    return None


def _pause(outcomes: Sequence[SendOutcome]) -> Pause | None:
    """The longest pause that any outcome requests."""
    pauses = [pause for outcome in outcomes if (pause := _asks_to_wait(outcome)) is not None]
    if not pauses and outcomes and all(isinstance(outcome, Unknown) for outcome in outcomes):
        return Pause(reason=Waits.TWILIO_UNREACHABLE, seconds=UNANSWERED_RETRY)
    return max(pauses, key=lambda pause: pause.seconds, default=None)


def _asks_to_wait(outcome: SendOutcome) -> Pause | None:
    match outcome:
        case NotProcessed(refused_us=True):
            return Pause(reason=Waits.TWILIO_CREDENTIALS, seconds=CREDENTIALS_RETRY)
        case NotProcessed(unreachable=True, retry_after=seconds):
            return Pause(reason=Waits.TWILIO_UNREACHABLE, seconds=seconds or 1.0)
        case NotProcessed(retry_after=seconds, code=code):
            return _limit(code, seconds or delivery_failure.wait(code))
        case Refused(code=code) if delivery_failure.about(code) is About.WAIT:
            return _limit(code, delivery_failure.wait(code))
    return None


def _limit(code: int | None, seconds: float) -> Pause:
    detail = f"Twilio asked to wait (error {code}, https://www.twilio.com/docs/api/errors/{code})"
    return Pause(reason=Waits.TWILIO_LIMIT, seconds=seconds, detail=detail)


async def _send(twilio: Twilio, outbound: OutboundMessage) -> SendOutcome:
    try:
        return await twilio.send(outbound)
    except (
        ProviderRefused
    ) as problem:  # our credentials: nothing was accepted, and an operator has to act
        log.error("twilio_auth_rejected", code=problem.code, reason=str(problem))
        return NotProcessed(reason=f"Twilio rejected our credentials: {problem}", refused_us=True)


def _outbound(organization: Organization, message: Message, terms: Terms) -> OutboundMessage:
    return OutboundMessage(
        account_sid=organization.twilio_account_sid,
        sender=message.sender or organization.sender,
        to=message.recipient,
        body=message.body,
        status_callback=callback_url(terms.public_url, message.attempt_id),
        validity_seconds=validity.seconds(terms.validity, message.not_after, datetime.now(UTC)),
    )


def _reply(message: Message, outcome: SendOutcome) -> Reply:
    match outcome:
        case Accepted(sid=sid, status=status):
            return Reply(
                message=message,
                status=MessageStatus.ACCEPTED,
                provider_sid=sid,
                delivery_status=status.value,
            )
        case Refused(account_suspended=True, code=code):
            problem = "the account was suspended before it was sent"
            again = MessageStatus.REFUSED if message.campaign_id is None else MessageStatus.PENDING
            return Reply(message=message, status=again, error_code=code, problem=problem)
        case Refused(code=code, message=text) if delivery_failure.about(code) is About.WAIT:
            return Reply(
                message=message, status=MessageStatus.RESERVED, error_code=code, problem=text
            )
        case Refused(code=code, message=text):
            return Reply(
                message=message, status=MessageStatus.REFUSED, error_code=code, problem=text
            )
        case NotProcessed(reason=reason):
            return Reply(message=message, status=MessageStatus.RESERVED, problem=reason)
        case Unknown(reason=reason):
            return Reply(message=message, status=MessageStatus.UNKNOWN, problem=reason)


def _not_now(reply: Reply) -> Reply:
    """The rejection was not the message's fault: a campaign's message waits for its next turn,
    unpaid.
    """
    return (
        reply if reply.message.campaign_id is None else replace(reply, status=MessageStatus.PENDING)
    )
