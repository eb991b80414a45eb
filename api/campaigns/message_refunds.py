"""Refunds of single messages: of those that Twilio never confirmed, and of sent ones."""

import re
from typing import Annotated

import structlog
from fastapi import APIRouter
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.campaigns.found_messages import SID
from api.campaigns.messages import MessageOut, message_out
from api.context import Here, MessageId, OrganizationId, parsed_uuid
from api.http.auth import OPERATOR, Caller
from api.http.errors import not_found
from api.http.fields import Body, Note
from api.http.idempotency import Once
from api.http.operator_notes import actor
from api.wallet.wallets import resume
from db.campaigns import messages, resends
from db.campaigns.messages import Message
from db.operations import goodwill
from domain.campaigns.campaign import MessageStatus

log = structlog.get_logger()
router = APIRouter(prefix="/v1/organizations/{organization_id}/messages", tags=["messages"])


class MessageRefundRequest(Body):
    """Why a sent message is given back."""

    reason: Annotated[
        Note | None,
        Field(
            min_length=1,
            max_length=120,
            description="In one line, for whoever looks at it later; needed of a sent message.",
            examples=["complaint 4711"],
        ),
    ] = None


@router.post(
    "/{message_id}/refund",
    dependencies=[OPERATOR],
    operation_id="refund_message",
    summary="Refund a message",
)
async def refund(
    organization_id: OrganizationId,
    message_id: MessageId,
    here: Here,
    caller: Caller,
    once: Once,
    body: MessageRefundRequest | None = None,
) -> MessageOut:
    """A message that is `accepted` without a `provider_sid`, after a person has found that Twilio
    does not have it, becomes `lost` and is refunded; it can be sent again.

    Of a sent message whose `delivery_status` is final, the price is credited to the wallet, once;
    that needs a `reason`. Such a message may be named by its `provider_sid`, too. Twilio is not
    asked for anything. One whose status is not final is refused with 409: it is refunded without
    your doing if it fails.
    """
    async with here.services.engine.begin() as conn:
        first = await once.do_once(conn, body)
        message = await _find(conn, organization_id, message_id)
        if not first:
            return MessageOut.of(message)
        if message.status is MessageStatus.LOST:
            once.replayed()
        never_confirmed = message.status is MessageStatus.ACCEPTED and message.provider_sid is None
        reason = None if body is None else body.reason
        if reason is None or never_confirmed or message.status is MessageStatus.LOST:
            await resends.give_up(conn, message)
        else:
            await goodwill.give_back(conn, message, by=actor(caller), reason=reason)
    log.warning("message_refunded", organization_id=organization_id, message_id=message_id)
    await resume(here, organization_id)
    async with here.snapshot() as conn:
        return await message_out(conn, organization_id, message.id)


async def _find(conn: AsyncConnection, organization_id: str, named: str) -> Message:
    """By its id here, or by Twilio's."""
    if re.fullmatch(SID, named):
        message = await messages.by_provider_sid(conn, organization_id, named)
    else:
        message = await messages.get(conn, organization_id, parsed_uuid(named, "message"))
    if message is None:
        raise not_found("message")
    return message
