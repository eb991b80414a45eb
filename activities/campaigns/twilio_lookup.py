"""Looks up messages that Twilio did not confirm in its list, and decides when to give up.

A message missing from the list may be given up; one that might be in it is neither refunded nor
resent: an operator decides.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.campaigns.twilio_send import CREDENTIALS_RETRY
from db.campaigns import messages as stored
from db.campaigns import send_results
from db.campaigns.messages import Message
from db.campaigns.send_results import Reply
from db.lifecycle.organizations import Organization
from domain.campaigns import delivery_failure
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.matching import Handed, match
from domain.campaigns.telephony import CLOCKS_DIFFER, SentMessage, SentSince
from providers.errors import NotFound, ProviderRefused, ProviderUnavailable
from providers.twilio import Twilio

log = structlog.get_logger()
LOOK_UP_AFTER = timedelta(seconds=60)
MOST_PAGES = 20
"""Pages of a thousand messages; for an account that sent more since, each recipient is queried
separately.
"""
NOTHING_TO_READ = SentSince(messages=(), complete=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`replies` give the messages' outcomes; `unsure` names those that cannot be decided, and why."""

    replies: tuple[Reply, ...] = ()
    unsure: tuple[str, ...] = ()


async def look_up(
    engine: AsyncEngine,
    twilio: Twilio,
    organization: Organization,
    waiting: Sequence[Message],
    *,
    now: datetime,
    lost_after: timedelta,
) -> Found:
    """Find messages of one organization in Twilio's list; omits those that may still appear in it.

    Raises `ProviderUnavailable`, also where our credentials are rejected. No lock is held
    meanwhile.
    """
    if not waiting:
        return Found()
    listed = await _list(twilio, organization, waiting)
    unknown = await _unknown(engine, organization.id, waiting, listed.messages)
    alone = Counter(message.recipient for message in waiting)
    replies: list[Reply] = []
    unsure: list[str] = []
    for message in sorted(waiting, key=lambda waiter: (waiter.sending_at or now, waiter.id)):
        found = match(
            _handed(organization, message, now), unknown, waiting=alone[message.recipient]
        )
        over = now - (message.sending_at or now) >= lost_after
        if found.sent is not None:
            replies.append(reply_to(message, found.sent))
            unknown.remove(found.sent)
            alone[message.recipient] -= 1
        elif over and listed.complete and not found.possible:
            log.warning("message_lost", organization_id=organization.id, message_id=str(message.id))
            problem = "Twilio does not list it: counted as lost and refunded"
            replies.append(Reply(message=message, status=MessageStatus.LOST, problem=problem))
        elif over:
            why = _why(found.possible)
            unsure.append(f"message {message.id}: {why}")
            replies.append(
                Reply(
                    message=message, status=MessageStatus.ACCEPTED, problem=f"not confirmed: {why}"
                )
            )
    return Found(replies=tuple(replies), unsure=tuple(unsure))


def _why(possible: Sequence[SentMessage]) -> str:
    if not possible:
        return "Twilio's list could not be read completely"
    return "it may be " + ", ".join(f"{sent.sid} ({sent.status})" for sent in possible[:5])


async def _list(
    twilio: Twilio, organization: Organization, waiting: Sequence[Message]
) -> SentSince:
    """All messages that the account sent since; if there are too many, those to these recipients."""
    since = min(message.sending_at for message in waiting if message.sending_at is not None)
    sid = organization.twilio_account_sid
    try:
        listed = await twilio.sent_since(sid, since, most_pages=MOST_PAGES)
        if listed.complete or any(
            not message.to.lstrip("+").isdigit() for message in listed.messages
        ):
            return listed  # where numbers are masked, a query by number finds nothing
        found = {message.sid: message for message in listed.messages}
        complete = True
        for recipient in {message.recipient for message in waiting}:
            theirs = await twilio.sent_since(sid, since, to=recipient, most_pages=MOST_PAGES)
            found |= {message.sid: message for message in theirs.messages}
            complete = complete and theirs.complete
        return SentSince(messages=tuple(found.values()), complete=complete)
    except NotFound:  # the subaccount is gone, and every proof with it
        return NOTHING_TO_READ
    except ProviderRefused as problem:  # as when sending: an operator has to act, then it continues
        raise ProviderUnavailable(
            str(problem), code=problem.code, retry_after=CREDENTIALS_RETRY
        ) from problem


async def _unknown(
    engine: AsyncEngine,
    organization_id: str,
    waiting: Sequence[Message],
    listed: Sequence[SentMessage],
) -> list[SentMessage]:
    """Messages in Twilio's list that match no other message of ours.

    A match named only by a callback counts if it fits: anybody who can sign callbacks could name
    any message.
    """
    by_sid = {sent.sid: sent for sent in listed}
    looked_for = {message.id for message in waiting}
    async with engine.connect() as conn:
        named = await stored.named_by(conn, organization_id, list(by_sid))
    for owner in named:
        sent = by_sid.get(owner.sid)
        if sent is None or (owner.message_id in looked_for and not owner.confirmed):
            continue
        if owner.confirmed or _fits(sent, owner.recipient, owner.sending_at):
            del by_sid[owner.sid]
    return list(by_sid.values())


def _fits(sent: SentMessage, recipient: str, sending_at: datetime | None) -> bool:
    if sending_at is None or sent.created_at is None:
        return False
    return sent.may_be_to(recipient) and sent.created_at >= sending_at - CLOCKS_DIFFER


def _handed(organization: Organization, message: Message, now: datetime) -> Handed:
    return Handed(
        recipient=message.recipient,
        body=message.body,
        sender=message.sender or organization.sender,
        since=(message.sending_at or now) - CLOCKS_DIFFER,
    )


def reply_to(message: Message, sent: SentMessage) -> Reply:
    """The reply for a message found in the list; its callbacks may be lost, so a failure may be
    known only from here.
    """
    status, code = sent.status, sent.error_code
    if status is not None and delivery_failure.refunded(status, code):
        return send_results.never_left(message, sent.sid, status, code, after_acceptance=False)
    return Reply(
        message=message,
        status=MessageStatus.ACCEPTED,
        provider_sid=sent.sid,
        delivery_status=status.value if status else None,
        error_code=code,
    )
