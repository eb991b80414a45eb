"""Requests and answers about subscriptions."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from api.http.fields import Body, CurrencyOut, Decimal, Time, options
from domain.billing.subscription import Provider, State, Subscription
from domain.plain_text import is_token


def _token(text: str) -> str:
    if not is_token(text):
        raise ValueError("only printable ASCII characters without a space")
    return text


Token = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_token)]
Address = Annotated[str, Field(pattern=r"^https?://\S+$", max_length=2000), AfterValidator(_token)]


class LinkRequest(Body):
    """A subscription that exists at a provider."""

    provider: Provider = Field(examples=["paypal"], description="The billing provider.")
    subscription_id: Token = Field(
        examples=["I-BW452GLLEP1G"], description="The provider's id of the subscription."
    )


class CheckoutRequest(Body):
    """A subscription to create, and where the customer returns to."""

    provider: Provider = Field(examples=["paypal"], description="The billing provider.")
    plan_id: Token = Field(
        examples=["P-5ML4271244454362WXNWU5NQ"],
        description="The provider's id of the plan or price.",
    )
    return_url: Address = Field(
        examples=["https://example.com/paid"],
        description="Where the customer returns to after consenting.",
    )
    cancel_url: Address = Field(
        examples=["https://example.com/canceled"],
        description="Where the customer returns to after canceling.",
    )


class CheckoutOut(BaseModel):
    """The link at which the customer consents. The subscription charges nothing before that."""

    provider: str = Field(description="The billing provider.")
    subscription_id: str = Field(description="The provider's id of the subscription or checkout.")
    url: str = Field(
        examples=[
            "https://www.paypal.com/webapps/billing/subscriptions?ba_token=BA-2M539689T3856352J"
        ],
        description="Where the customer consents.",
    )


class OutstandingOut(BaseModel):
    """An unpaid amount."""

    amount: Decimal = Field(description="What is unpaid.")
    currency: CurrencyOut = Field(description="ISO 4217 code.")


class SubscriptionOut(BaseModel):
    """A subscription as its provider last reported it."""

    provider: str = Field(description="The billing provider.")
    subscription_id: str = Field(description="The provider's id of the subscription.")
    is_current: bool = Field(description="Whether it decides if the organization may send.")
    status: str = Field(
        examples=["active"],
        description=(
            "The status of the subscription, the same for every provider; a webhook may have "
            "reported it after `confirmed_at`."
        ),
        json_schema_extra=options(State),
    )
    raw_status: str = Field(
        examples=["ACTIVE"], description="The provider's own word for the status."
    )
    as_of: Time | None = Field(description="The provider's time of the status.")
    confirmed_at: Time | None = Field(description="When Tollgate last read it from the provider.")
    access_until: Time | None = Field(description="When the provider charges next.")
    paid_until: Time | None = Field(description="The end of the period that was paid for.")
    past_due_since: Time | None = Field(
        description="When the first payment failed that is still unpaid."
    )
    outstanding: OutstandingOut | None = Field(description="What is unpaid; null if nothing is.")
    alert: str | None = Field(description="What a person has to look at; null if nothing.")
    checkout_url: str | None = Field(
        description="Where the customer consents; null if it was not created by Tollgate."
    )

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
    """The current subscription decides whether the organization may send."""

    current: SubscriptionOut | None = Field(
        description="The current subscription; null without one."
    )
    others: list[SubscriptionOut] = Field(
        description="All other subscriptions, such as replaced ones."
    )
