"""Messages that Twilio sent after their refund: listed, and charged by an operator."""

from datetime import datetime
from uuid import UUID

import structlog
from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from api.campaigns.messages import MessageOut, message_out
from api.context import Here, MessageId, OrganizationId, parsed_uuid
from api.http.auth import OPERATOR, READ
from api.http.cursors import Cursor, Cursors, Limit, Number, Page
from api.http.errors import not_found
from api.http.fields import Uuid
from api.http.idempotency import Once
from api.wallet.refusals import refusal
from db.audit import explanations
from db.campaigns import unpaid_sends
from db.campaigns.unpaid_sends import UnpaidSend
from db.lifecycle import organizations
from domain.wallet.ledger import Debited

log = structlog.get_logger()
router = APIRouter(prefix="/v1/organizations/{organization_id}/messages", tags=["messages"])

_UNPAID_CURSORS: Cursors[tuple[datetime, UUID, int]] = Cursors(
    "unpaid", tuple[AwareDatetime, UUID, Number]
)


class UnpaidSendOut(BaseModel):
    """A message that was sent although it had been refunded."""

    message_id: Uuid = Field(description="The id of the message.")
    attempt: int = Field(description="Which attempt was sent, counted from 1.")
    provider_sid: str = Field(description="Twilio's id of the message.")
    delivery_status: str = Field(
        examples=["delivered"], description="The status that Twilio last reported."
    )
    found_at: datetime = Field(description="When Tollgate found it.")

    @classmethod
    def of(cls, send: UnpaidSend) -> "UnpaidSendOut":
        return cls(
            message_id=str(send.message_id),
            attempt=send.attempt,
            provider_sid=send.message_sid,
            delivery_status=send.delivery_status,
            found_at=send.found_at,
        )


class UnpaidSendPage(Page[UnpaidSendOut]):
    pass


@router.get(
    "/unpaid",
    dependencies=[READ],
    operation_id="list_unpaid_messages",
    summary="List messages that were sent after their refund",
)
async def unpaid(
    organization_id: OrganizationId, here: Here, cursor: Cursor = None, limit: Limit = 100
) -> UnpaidSendPage:
    """Returns messages that Twilio reports as sent although they were refunded, oldest first,
    without those that an operator charged.
    """
    after = _UNPAID_CURSORS.read(cursor)
    async with here.snapshot() as conn:
        if await organizations.get(conn, organization_id) is None:
            raise not_found("organization")
        found = await unpaid_sends.open_ones(conn, organization_id, after=after, limit=limit + 1)
    shown, following = _UNPAID_CURSORS.cut(
        found, limit, lambda send: (send.found_at, send.message_id, send.attempt)
    )
    return UnpaidSendPage(data=[UnpaidSendOut.of(send) for send in shown], next_cursor=following)


@router.post(
    "/{message_id}/charge",
    dependencies=[OPERATOR],
    operation_id="charge_message",
    summary="Charge a message that was sent after its refund",
)
async def charge(
    organization_id: OrganizationId, message_id: MessageId, here: Here, once: Once
) -> MessageOut:
    """Debits the price again, once for each attempt that Twilio reports as sent. Refused as any
    other debit would be.
    """
    wanted = parsed_uuid(message_id, "message")
    async with here.services.engine.begin() as conn:
        if not await once.do_once(conn):
            return await message_out(conn, organization_id, wanted)
        message, outcome = await unpaid_sends.charge(conn, organization_id, wanted)
        if message is None:
            raise not_found("message")
        if not isinstance(outcome, Debited):
            raise refusal(outcome, await explanations.why_not(conn, organization_id) or ())
    if outcome.replayed:
        once.replayed()
        return MessageOut.of(message)
    log.warning("message_charged", organization_id=organization_id, message_id=message_id)
    return MessageOut.of(message)
