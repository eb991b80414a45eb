"""Top-ups: checkouts that the customer pays once. The payment is credited with the id of the
payment.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.billing.fields import Address
from api.billing.subscriptions import provider_of, request_id
from api.context import Context, Here, IdempotencyKey, OrganizationId
from api.http.auth import READ, WRITE
from api.http.cursors import Cursor, Cursors, Limit, Page
from api.http.errors import Kind, Problem, invalid, not_found
from api.http.fields import Amount, Body, Currency, CurrencyOut, Decimal, Time
from api.http.idempotency import mark_replayed
from api.wallet.fields import EntryOut
from api.wallet.refusals import refusal
from db.billing import topups
from db.billing.topups import TopUpCheckout
from db.wallet import ledger, wallets
from db.wallet.ledger import Booked
from domain.billing.subscription import Provider
from domain.money import BadAmount, Money
from domain.plain_text import is_plain
from domain.wallet.ledger import WrongCurrency

router = APIRouter(prefix="/v1/organizations/{organization_id}/wallet", tags=["wallet"])
_CURSORS: Cursors[tuple[datetime, str]] = Cursors("topups", tuple[AwareDatetime, str])


class TopUpRequest(Body):
    """A payment to ask for, and where the customer returns to."""

    provider: Provider = Field(examples=["stripe"], description="The billing provider.")
    amount: Amount = Field(description="What the customer is asked to pay.")
    currency: Currency = Field(description="The currency of the wallet.")
    return_url: Address = Field(
        examples=["https://example.com/paid"],
        description="Where the customer returns to after paying.",
    )
    cancel_url: Address = Field(
        examples=["https://example.com/canceled"],
        description="Where the customer returns to after canceling.",
    )


class TopUpOut(BaseModel):
    """A checkout for one payment. The wallet is credited when the provider confirms that it has the
    money.
    """

    provider: str = Field(description="The billing provider.")
    checkout_id: str = Field(description="The provider's id of the checkout.")
    url: str = Field(
        examples=["https://checkout.stripe.com/c/pay/cs_live_a1b2c3"],
        description="Where the customer pays.",
    )
    amount: Decimal = Field(description="What the customer is asked to pay.")
    currency: CurrencyOut = Field(description="ISO 4217 code.")
    status: str = Field(examples=["open"], description="`open`, `paid` or `expired`.")
    created_at: Time | None = Field(description="When it was created.")
    entry: EntryOut | None = Field(
        description="The ledger entry that credited the payment; null while there is none, and for "
        "top-ups that earlier releases settled."
    )

    @classmethod
    def of(cls, topup: TopUpCheckout, booked: Booked | None = None) -> "TopUpOut":
        return cls(
            provider=topup.provider.value,
            checkout_id=topup.checkout_id,
            url=topup.url,
            amount=topup.amount.micros,
            currency=topup.amount.currency,
            status=topup.status,
            created_at=topup.created_at,
            entry=EntryOut.of(booked.entry, topup.amount.currency, booked) if booked else None,
        )


class TopUpPage(Page[TopUpOut]):
    pass


class TopUpStatus(StrEnum):
    OPEN = "open"
    PAID = "paid"
    EXPIRED = "expired"


@router.post(
    "/topups",
    status_code=201,
    dependencies=[WRITE],
    operation_id="create_topup",
    summary="Create a top-up checkout",
)
async def top_up(
    organization_id: OrganizationId,
    body: TopUpRequest,
    key: IdempotencyKey,
    here: Here,
    response: Response,
) -> TopUpOut:
    """Creates a checkout at a provider for one payment. The customer pays at the `url` of the
    answer. Repeating the request with the same key returns the same link with 200. The payment
    first covers what the organization owes for payments that were reversed.
    """
    wanted = Money(body.amount, body.currency)
    topup = await _topup_by_key(here, organization_id, body.provider, wanted, key)
    if topup is None:
        made = await _make(here, organization_id, body, wanted, key)
        async with here.services.engine.begin() as conn:
            added = await topups.add(conn, made, key)
        topup = await _topup_by_key(here, organization_id, body.provider, wanted, key)
        if added and topup is not None:
            return TopUpOut.of(topup)
    if topup is None:
        raise Problem(Kind.IDEMPOTENCY_KEY_REUSED)
    response.status_code = 200
    mark_replayed(response)
    async with here.snapshot() as conn:
        return await _topup_out(conn, organization_id, topup.checkout_id)


@router.get(
    "/topups", dependencies=[READ], operation_id="list_topups", summary="List top-up checkouts"
)
async def list_topups(
    organization_id: OrganizationId,
    here: Here,
    status: Annotated[TopUpStatus | None, Query(description="Only top-ups in this status.")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> TopUpPage:
    """Returns the top-ups, newest first, each with the ledger entry that credited it."""
    last = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        if await wallets.get(conn, organization_id) is None:
            raise not_found("organization")
        found = await topups.page(conn, organization_id, status=status, last=last, limit=limit + 1)
        references = [topup.reference_id for topup in found if topup.reference_id]
        booked = await ledger.by_references(conn, organization_id, references)
    shown, following = _CURSORS.cut(
        found, limit, lambda topup: (topup.created_at or datetime.now(UTC), topup.checkout_id)
    )
    data = [TopUpOut.of(topup, booked.get(topup.reference_id or "")) for topup in shown]
    return TopUpPage(data=data, next_cursor=following)


@router.get(
    "/topups/{checkout_id}",
    dependencies=[READ],
    operation_id="get_topup",
    summary="Get a top-up checkout",
)
async def get_topup(
    organization_id: OrganizationId,
    checkout_id: Annotated[
        str, Path(description="The provider's id of the checkout.", examples=["cs_live_a1b2c3"])
    ],
    here: Here,
) -> TopUpOut:
    """Returns the top-up with the ledger entry that credited it."""
    if not is_plain(checkout_id):
        raise not_found("top up")
    async with here.snapshot() as conn:
        return await _topup_out(conn, organization_id, checkout_id)


async def _topup_out(conn: AsyncConnection, organization_id: str, checkout_id: str) -> TopUpOut:
    topup = await topups.get(conn, organization_id, checkout_id)
    if topup is None:
        raise not_found("top up")
    if topup.reference_id is None:
        return TopUpOut.of(topup)
    booked = await ledger.by_references(conn, organization_id, [topup.reference_id])
    return TopUpOut.of(topup, booked.get(topup.reference_id))


async def _topup_by_key(
    here: Context, organization_id: str, provider: Provider, wanted: Money, key: str
) -> TopUpCheckout | None:
    async with here.snapshot() as conn:
        wallet = await wallets.get(conn, organization_id)
        topup = await topups.by_key(conn, organization_id, key)
    if wallet is None:
        raise not_found("organization")
    if wanted.currency != wallet.currency:
        raise refusal(WrongCurrency(wallet.currency))
    if topup is not None and (topup.provider, topup.amount) != (provider, wanted):
        raise Problem(
            Kind.IDEMPOTENCY_KEY_REUSED,
            f"the key belongs to a top-up of {topup.amount} by {topup.provider.value}",
        )
    return topup


async def _make(
    here: Context, organization_id: str, body: TopUpRequest, wanted: Money, key: str
) -> TopUpCheckout:
    try:
        made = await provider_of(here, body.provider).create_topup(
            organization_id=organization_id,
            amount=wanted,
            return_url=body.return_url,
            cancel_url=body.cancel_url,
            idempotency_key=request_id(organization_id, f"topup\n{key}"),
        )
    except BadAmount as problem:
        raise invalid("amount", str(problem)) from problem
    return TopUpCheckout(
        organization_id=organization_id,
        provider=body.provider,
        checkout_id=made.checkout_id,
        url=made.url,
        amount=wanted,
    )
