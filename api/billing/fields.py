"""What subscriptions look like on the wire."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from api.http.fields import Body, Decimal, Time
from domain.billing.subscription import Provider, Subscription
from domain.plain_text import is_token


def _token(text: str) -> str:
    if not is_token(text):
        raise ValueError("only printable ASCII characters without a space")
    return text


Token = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_token)]
Address = Annotated[str, Field(pattern=r"^https?://\S+$", max_length=2000), AfterValidator(_token)]


class LinkRequest(Body):
    provider: Provider = Field(examples=["paypal"])
    subscription_id: Token = Field(examples=["I-BW452GLLEP1G"])


class CheckoutRequest(Body):
    provider: Provider = Field(examples=["paypal"])
    plan_id: Token = Field(examples=["P-5ML4271244454362WXNWU5NQ"])
    return_url: Address = Field(examples=["https://example.com/paid"])
    cancel_url: Address = Field(examples=["https://example.com/canceled"])


class CheckoutOut(BaseModel):
    """Where the customer consents. The subscription bills nobody before that."""

    provider: str
    subscription_id: str
    url: str = Field(
        examples=[
            "https://www.paypal.com/webapps/billing/subscriptions?ba_token=BA-2M539689T3856352J"
        ]
    )


class OutstandingOut(BaseModel):
    amount: Decimal
    currency: str


class SubscriptionOut(BaseModel):
    """As its provider last told it; `confirmed_at` is when the provider itself was last asked.

    `state` may be what only a webhook has told since. `access_until` is when it charges next,
    `paid_until` the end of the time that was really paid for, `past_due_since` when the first
    payment failed that is unpaid.
    """

    provider: str
    subscription_id: str
    is_current: bool
    status: str = Field(examples=["active"])
    raw_status: str = Field(examples=["ACTIVE"])
    as_of: Time | None
    confirmed_at: Time | None
    access_until: Time | None
    paid_until: Time | None
    past_due_since: Time | None
    outstanding: OutstandingOut | None
    alert: str | None
    checkout_url: str | None

    @classmethod
    def of(cls, subscription: Subscription) -> "SubscriptionOut":
        owed = subscription.snapshot.outstanding
        return cls(
            provider=subscription.provider.value,
            subscription_id=subscription.id,
            is_current=subscription.is_current,
            status=(subscription.word or subscription.snapshot).state.value,
            raw_status=subscription.snapshot.raw_status,
            as_of=subscription.snapshot.as_of,
            confirmed_at=subscription.confirmed_at,
            access_until=subscription.snapshot.access_until,
            paid_until=subscription.record.paid_until,
            past_due_since=subscription.debt.since if subscription.debt else None,
            outstanding=OutstandingOut(amount=owed.micros, currency=owed.currency)
            if owed
            else None,
            alert=subscription.alert,
            checkout_url=subscription.checkout_url,
        )


class SubscriptionsOut(BaseModel):
    """The current one decides whether the organization may send."""

    current: SubscriptionOut | None
    others: list[SubscriptionOut]
