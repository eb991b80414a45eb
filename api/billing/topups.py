"""Top-ups: checkouts that the customer pays once. The payment is credited with the id of the
payment.
"""

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.billing.fields import Address
from api.billing.subscriptions import provider_of, request_id
from api.context import Context, Here, IdempotencyKey, OrganizationId
from api.http.auth import WRITE
from api.http.errors import Kind, Problem, invalid, not_found
from api.http.fields import Amount, Body, Currency, CurrencyOut, Decimal
from api.http.idempotency import mark_replayed
from api.wallet.refusals import refusal
from db.billing import topups
from db.billing.topups import TopUpCheckout
from db.wallet import wallets
from domain.billing.subscription import Provider
from domain.money import BadAmount, Money
from domain.wallet.ledger import WrongCurrency

router = APIRouter(prefix="/v1/organizations/{organization_id}/wallet", tags=["wallet"])


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

    @classmethod
    def of(cls, topup: TopUpCheckout) -> "TopUpOut":
        return cls(
            provider=topup.provider.value,
            checkout_id=topup.checkout_id,
            url=topup.url,
            amount=topup.amount.micros,
            currency=topup.amount.currency,
            status=topup.status,
        )


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
        if added:
            return TopUpOut.of(made)
        # two requests had the same key at once
        topup = await _topup_by_key(here, organization_id, body.provider, wanted, key)
    if topup is None:
        raise Problem(Kind.IDEMPOTENCY_KEY_REUSED)
    response.status_code = 200
    mark_replayed(response)
    return TopUpOut.of(topup)


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
            f"the key stands for {topup.amount} by {topup.provider.value}",
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
