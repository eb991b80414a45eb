"""Looking up a message whose hand-over Twilio did not confirm: what its list says, and when nobody waits any longer."""

from collections.abc import Collection
from datetime import datetime, timedelta

import structlog

from activities.handing_over import CREDENTIALS_RETRY
from db import settlements
from db.messages import Message
from db.organizations import Organization
from db.settlements import Reply
from domain import failure
from domain.campaign import MessageStatus
from domain.telephony import SentMessage
from providers.errors import NotFound, ProviderRefused, ProviderUnavailable
from providers.twilio import Twilio

log = structlog.get_logger()


async def look_up(
    twilio: Twilio,
    organization: Organization,
    message: Message,
    taken: Collection[str],
    *,
    now: datetime,
    lost_after: timedelta,
) -> Reply | None:
    """How the message came out, lost if Twilio does not list it for so long; None: it may still turn up.

    `taken` are the sids of others. Raises `ProviderUnavailable`, also where our credentials are refused.
    """
    since = message.sending_at or now
    try:
        listed = await twilio.find_sent(
            organization.twilio_account_sid,
            to=message.recipient,
            body=message.body,
            sender=organization.sender,
            since=since,
            taken=taken,
        )
    except NotFound:  # the subaccount is gone, and its list with it
        listed = None
    except ProviderRefused as problem:  # as when sending: a person has to act, and then it goes on by itself
        raise ProviderUnavailable(str(problem), code=problem.code, retry_after=CREDENTIALS_RETRY) from problem
    if listed is not None:
        return heard(message, listed)
    if now - since < lost_after:
        return None
    log.warning("message_lost", organization_id=organization.id, message_id=str(message.id))
    return Reply(message=message, status=MessageStatus.LOST, problem="Twilio does not list it: given up, refunded")


def heard(message: Message, listed: SentMessage) -> Reply:
    """Its callbacks may be lost: then that it failed is heard here only."""
    status, code = listed.status, listed.error_code
    if status is not None and failure.refunded(status, code):
        return settlements.never_left(message, listed.sid, status, code, after_acceptance=False)
    return Reply(
        message=message,
        status=MessageStatus.ACCEPTED,
        provider_sid=listed.sid,
        delivery_status=status.value if status else None,
        error_code=code,
    )
