"""Single messages: debited under the same gate as every debit, then handed to Twilio."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.campaigns import numbers
from api.context import Context, Here, IdempotencyKey, MessageId, OrganizationId, parsed_uuid
from api.http.auth import OPERATOR, READ, WRITE
from api.http.errors import Kind, Problem, invalid, not_found
from api.http.fields import Body, CountryOut, CurrencyOut, Decimal, SmsBody, Uuid
from api.http.idempotency import Once, mark_replayed
from api.wallet.refusals import refusal
from db.audit import explanations
from db.campaigns import messages, rates, resends, reservations
from db.campaigns.messages import Message
from db.lifecycle import organizations
from db.lifecycle.organizations import Organization
from db.wallet import wallets
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.rate_card import missing
from domain.campaigns.segments import count_segments
from domain.wallet.ledger import cannot_pay

log = structlog.get_logger()
router = APIRouter(prefix="/v1/organizations/{organization_id}/messages", tags=["messages"])
PENDING = (MessageStatus.PENDING, MessageStatus.RESERVED, MessageStatus.SENDING)


def _number(text: str) -> str:
    problem = numbers.problem_with(text)
    if problem is not None:
        raise ValueError(problem)
    return text


class MessageRequest(Body):
    """A message to send."""

    to: Annotated[str, AfterValidator(_number), Field(examples=["+14155550100"])] = Field(
        description="The phone number of the recipient in E.164 form."
    )
    body: SmsBody = Field(description="The text of the message.")


class MessageOut(BaseModel):
    """A message with its price and status."""

    id: Uuid = Field(description="The id of the message.")
    campaign_id: Uuid | None = Field(
        description="The id of its campaign; null for a single message."
    )
    to: str = Field(description="The phone number of the recipient.")
    status: str = Field(
        examples=["accepted"],
        description=(
            "`pending`: not handed to Twilio yet; `accepted`: Twilio has it; `refused`: not "
            "sent, refunded; `unknown`: possibly sent, the outcome is being determined; "
            "`lost`: given up, refunded; `skipped`: the recipient has opted out."
        ),
    )
    delivery_status: str | None = Field(
        description="The status that Twilio last reported.", examples=["delivered"]
    )
    provider_sid: str | None = Field(description="Twilio's id of the message.")
    segments: int = Field(description="How many segments it has.")
    price: Decimal = Field(description="What the organization was charged.")
    currency: CurrencyOut = Field(description="ISO 4217 code.")
    country: CountryOut | None = Field(
        examples=["US"], description="ISO 3166 code of the recipient's country."
    )
    provider_price: Decimal | None = Field(
        description="What Twilio charged; known up to a day later."
    )
    provider_currency: CurrencyOut | None = Field(description="The currency of `provider_price`.")
    error_code: int | None = Field(description="Twilio's error code.")
    problem: str | None = Field(description="Why it was not sent or not delivered.")
    created_at: datetime | None = Field(description="When it was created.")

    @classmethod
    def of(cls, message: Message) -> "MessageOut":
        return cls(
            id=str(message.id),
            campaign_id=str(message.campaign_id) if message.campaign_id else None,
            to=message.recipient,
            status="pending" if message.status in PENDING else message.status.value,
            delivery_status=message.delivery_status,
            provider_sid=message.provider_sid,
            segments=message.segments,
            price=message.price.micros,
            currency=message.price.currency,
            country=message.country,
            provider_price=message.provider_price and message.provider_price.micros,
            provider_currency=message.provider_price and message.provider_price.currency,
            error_code=message.error_code,
            problem=message.problem,
            created_at=message.created_at,
        )


@router.post(
    "", status_code=201, dependencies=[WRITE], operation_id="send_message", summary="Send a message"
)
async def send(
    organization_id: OrganizationId,
    new_message: MessageRequest,
    key: IdempotencyKey,
    here: Here,
    response: Response,
) -> MessageOut:
    """Debits the price of the message, then hands it to Twilio. Repeating the request with the same
    key and the same message sends nothing and returns 200.
    """
    async with here.services.engine.begin() as conn:
        organization = await organizations.get(conn, organization_id)
        if organization is None:
            raise not_found("organization")
        country = numbers.country_of(new_message.to)
        segments = count_segments(new_message.body).count
        price = (await rates.card(conn, organization)).price(country, segments)
        if price is None or organization.sender_problem:
            before = await messages.by_key(conn, organization_id, key)
            if before is None:
                await _refuse_unless_it_pays(conn, organization_id)
                raise _not_now(organization, country)
            price = before.price  # it was paid when it could be sent, and is not paid again
        message, outcome = await reservations.pay_for_one(
            conn,
            organization_id,
            recipient=new_message.to,
            country=country,
            body=new_message.body,
            segments=segments,
            price=price,
            key=key,
        )
    if message is None:
        async with here.snapshot() as conn:
            raise refusal(outcome, await explanations.why_not(conn, organization_id) or ())
    if outcome is None:
        response.status_code = 200
        mark_replayed(response)
        return MessageOut.of(message)
    return MessageOut.of(await _hand_over(here, organization, message))


@router.get(
    "/{message_id}", dependencies=[READ], operation_id="get_message", summary="Get a message"
)
async def get(organization_id: OrganizationId, message_id: MessageId, here: Here) -> MessageOut:
    """Returns the message with its status."""
    async with here.snapshot() as conn:
        return await message_out(conn, organization_id, parsed_uuid(message_id, "message"))


async def message_out(conn: AsyncConnection, organization_id: str, message_id: UUID) -> MessageOut:
    message = await messages.get(conn, organization_id, message_id)
    if message is None:
        raise not_found("message")
    return MessageOut.of(message)


@router.post(
    "/{message_id}/resend",
    dependencies=[OPERATOR],
    operation_id="resend_message",
    summary="Send a lost message again",
)
async def resend(
    organization_id: OrganizationId, message_id: MessageId, here: Here, once: Once
) -> MessageOut:
    """Debits the price again and sends a message that is `lost`, which was refunded. The recipient
    gets it twice if Twilio had accepted the first one after all.
    """
    wanted = parsed_uuid(message_id, "message")
    async with here.services.engine.begin() as conn:
        if not await once.do_once(conn):
            return await message_out(conn, organization_id, wanted)
        message = await messages.get(conn, organization_id, wanted)
        organization = await organizations.get(conn, organization_id)
        if message is None or organization is None:
            raise not_found("message")
        if message.campaign_id is not None:
            await resends.in_its_campaign(conn, message, message.campaign_id)
            paid, outcome = None, None
        else:
            paid, outcome = await resends.by_itself(conn, message)
    log.warning("message_resent", organization_id=organization_id, message_id=message_id)
    if message.campaign_id is not None:
        here.notify_campaigns(organization_id, message.campaign_id)
    elif paid is None:
        async with here.snapshot() as conn:
            raise refusal(outcome, await explanations.why_not(conn, organization_id) or ())
    else:
        return MessageOut.of(await _hand_over(here, organization, paid))
    async with here.snapshot() as conn:
        return MessageOut.of(await messages.get(conn, organization_id, wanted) or message)


def _not_now(organization: Organization, country: str | None) -> Problem:
    if organization.sender_problem:
        return Problem(Kind.SENDER_COSTS_MORE, organization.sender_problem)
    return invalid("to", missing(country))


async def _refuse_unless_it_pays(conn: AsyncConnection, organization_id: str) -> None:
    """What is answered first, whatever else is wrong with a message."""
    wallet = await wallets.get(conn, organization_id)
    outcome = None if wallet is None else cannot_pay(wallet, wallet.balance_micros, 0)
    if outcome is not None:
        raise refusal(outcome, await explanations.why_not(conn, organization_id) or ())


async def _hand_over(here: Context, organization: Organization, message: Message) -> Message:
    """The message is paid for. Whatever happens now, the answer is its current state; the status
    checks settle it later.
    """
    try:
        return await here.sending.send_one(organization, message)
    except Exception as problem:  # noqa: BLE001 - what it was is logged; the message's row says what is certain
        log.warning(
            "hand_over_failed",
            organization_id=organization.id,
            message_id=str(message.id),
            problem=f"{type(problem).__name__}: {problem}"[:300],
        )
    async with here.snapshot() as conn:
        return await messages.get(conn, organization.id, message.id) or message
