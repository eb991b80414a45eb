"""Handing a window of paid messages over to Twilio: one POST each, and what its answer means for the message."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from db.messages import Message
from db.organizations import Organization
from db.settlements import Reply
from domain.campaign import MessageStatus
from domain.telephony import Accepted, NotProcessed, OutboundMessage, Refused, SendOutcome, Unknown
from providers.errors import ProviderRefused
from providers.twilio import Twilio, callback_url

log = structlog.get_logger()
CREDENTIALS_RETRY = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What became of a window. `retry_after` is in seconds; None: nothing asked us to wait."""

    replies: tuple[Reply, ...] = ()
    retry_after: float | None = None
    account_suspended: bool = False


async def hand_over(twilio: Twilio, organization: Organization, window: Sequence[Message], public_url: str) -> Tally:
    """Post each message of a window that is marked as being sent and committed; never twice, whatever comes back."""
    outcomes = await asyncio.gather(*(_send(twilio, _outbound(organization, one, public_url)) for one in window))
    waits = [outcome.retry_after or 1.0 for outcome in outcomes if isinstance(outcome, NotProcessed)]
    return Tally(
        replies=tuple(_reply(message, outcome) for message, outcome in zip(window, outcomes, strict=True)),
        retry_after=max(waits) if waits else None,
        account_suspended=any(isinstance(outcome, Refused) and outcome.account_suspended for outcome in outcomes),
    )


async def _send(twilio: Twilio, outbound: OutboundMessage) -> SendOutcome:
    try:
        return await twilio.send(outbound)
    except ProviderRefused as problem:  # our credentials: nothing was taken, and a person has to act
        log.error("twilio_refuses_us", code=problem.code, reason=str(problem))
        return NotProcessed(reason=f"Twilio refuses our credentials: {problem}", retry_after=CREDENTIALS_RETRY)


def _outbound(organization: Organization, message: Message, public_url: str) -> OutboundMessage:
    return OutboundMessage(
        account_sid=organization.twilio_account_sid,
        sender=organization.sender,
        to=message.recipient,
        body=message.body,
        status_callback=callback_url(public_url, message.attempt_id),
    )


def _reply(message: Message, outcome: SendOutcome) -> Reply:
    match outcome:
        case Accepted(sid=sid, status=status):
            return Reply(message=message, status=MessageStatus.ACCEPTED, provider_sid=sid, delivery_status=status.value)
        case Refused(account_suspended=True, code=code):
            problem = "the account was suspended before it was sent"
            again = MessageStatus.REFUSED if message.campaign_id is None else MessageStatus.PENDING
            return Reply(message=message, status=again, error_code=code, problem=problem)
        case Refused(code=code, message=text):
            return Reply(message=message, status=MessageStatus.REFUSED, error_code=code, problem=text)
        case NotProcessed(reason=reason):
            return Reply(message=message, status=MessageStatus.RESERVED, problem=reason)
        case Unknown(reason=reason):
            return Reply(message=message, status=MessageStatus.UNKNOWN, problem=reason)
