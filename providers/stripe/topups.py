"""One-time payments by Stripe Checkout; Stripe captures the money when the customer completes the
session.

Source: Stripe's checkout sessions (`mode=payment`); a session's metadata is not copied to its
payment.
"""

from typing import Any

from domain.money import BadAmount, Money
from providers.billing import TopUp, TopUpLink
from providers.errors import NotFound, ProviderRefused, ProviderUnavailable
from providers.reading import text
from providers.stripe import payments
from providers.stripe.calls import json_of
from providers.stripe.reading import ORGANIZATION, finest, id_of, smallest

_OUT_OF_RANGE = frozenset({"amount_too_small", "amount_too_large"})


def minor(amount: Money) -> int:
    """In the currency's smallest unit."""
    if amount.micros % finest(amount.currency):
        raise BadAmount(f"Stripe does not accept so many decimals: {amount}")
    return amount.micros // smallest(amount.currency)


async def create(
    api: Any,
    *,
    organization_id: str,
    amount: Money,
    return_url: str,
    cancel_url: str,
    idempotency_key: str,
) -> TopUpLink:
    price = {
        "currency": amount.currency.lower(),
        "unit_amount": minor(amount),
        "product_data": {"name": "Top-up"},
    }
    parameters = {
        "mode": "payment",
        "client_reference_id": organization_id,
        "line_items": [{"price_data": price, "quantity": 1}],
        "metadata": {ORGANIZATION: organization_id},
        "payment_intent_data": {"metadata": {ORGANIZATION: organization_id}},
        "success_url": return_url,
        "cancel_url": cancel_url,
    }
    try:
        session = await json_of(
            api.checkout.sessions.create_async(parameters, {"idempotency_key": idempotency_key})
        )
    except ProviderRefused as refused:
        if refused.code in _OUT_OF_RANGE:
            raise BadAmount(
                f"Stripe does not accept a payment of {amount}: {refused.code}"
            ) from refused
        raise
    id_, url = text(session, "id"), session.get("url")
    if id_ is None or not isinstance(url, str):
        raise ProviderUnavailable("Stripe created a checkout without an id or a link")
    return TopUpLink(checkout_id=id_, url=url)


async def settle(api: Any, session_id: str) -> TopUp:
    try:
        session = await json_of(api.checkout.sessions.retrieve_async(session_id))
    except NotFound:
        return TopUp(open=False)
    intent_id, status = id_of(session, "payment_intent"), text(session, "status")
    if status == "complete" and intent_id is not None:
        expand = {"expand": ["latest_charge"]}
        payment = payments.of_intent(
            await json_of(api.payment_intents.retrieve_async(intent_id, expand))
        )
        return TopUp(open=False, payment=payment)
    return TopUp(open=status not in ("complete", "expired"))
