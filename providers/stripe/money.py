"""Reads money objects from Stripe by their ids; payments.py translates them."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from domain.billing.events import Dispute, MoneyObject, MoneyReference, Payment
from providers.reading import Json, part, parts, text
from providers.stripe import payments
from providers.stripe.calls import between, json_of, pages
from providers.stripe.reading import id_of, organization


async def payment(api: Any, reference: MoneyReference) -> Payment:
    match reference.kind:
        case MoneyObject.SALE:
            return await sale(api, reference.id)
        case MoneyObject.CAPTURE:
            return await _capture(api, reference.id)
        case MoneyObject.REFUND:
            return await _refund(api, reference.id)
        case MoneyObject.DISPUTE | MoneyObject.CHECKOUT:
            raise ValueError("that is not a payment: use get_dispute or settle_topup")


async def sale(api: Any, id_: str) -> Payment:
    """Reads a payment by its invoice or its payment intent."""
    if id_.startswith("pi_"):
        invoice_id = text(await _invoice_of(api, id_), "id")
        if invoice_id is None:
            return await _capture(api, id_)
        id_ = invoice_id
    return payments.of_invoice(
        await json_of(api.invoices.retrieve_async(id_, {"expand": ["payments"]}))
    )


async def dispute(api: Any, id_: str) -> Dispute:
    return payments.dispute(await json_of(api.disputes.retrieve_async(id_)))


async def sales(
    api: Any, subscription_id: str, start: datetime, end: datetime
) -> AsyncIterator[Payment]:
    parameters = {
        "subscription": subscription_id,
        "status": "paid",
        "created": between(start, end),
        "expand": ["data.payments"],
    }
    async for invoice in pages(api.invoices.list_async, parameters):
        if invoice.get("amount_paid") != 0:
            yield payments.of_invoice(invoice)


async def _capture(api: Any, id_: str) -> Payment:
    return payments.of_intent(
        await json_of(api.payment_intents.retrieve_async(id_, {"expand": ["latest_charge"]}))
    )


async def _refund(api: Any, id_: str) -> Payment:
    back = await json_of(api.refunds.retrieve_async(id_))
    intent_id = id_of(back, "payment_intent")
    if intent_id is None:
        return payments.of_refund(back, subscription_id=None, custom_id=organization(back))
    details = part(part(await _invoice_of(api, intent_id), "parent"), "subscription_details")
    subscription_id, custom_id = id_of(details, "subscription"), organization(details)
    if custom_id is None:
        custom_id = organization(await json_of(api.payment_intents.retrieve_async(intent_id)))
    return payments.of_refund(back, subscription_id=subscription_id, custom_id=custom_id)


async def _invoice_of(api: Any, intent_id: str) -> Json:
    """Empty for a payment without an invoice: a top-up."""
    paid = {"type": "payment_intent", "payment_intent": intent_id}
    found = await json_of(
        api.invoice_payments.list_async({"payment": paid, "expand": ["data.invoice"]})
    )
    return next((part(invoice_payment, "invoice") for invoice_payment in parts(found, "data")), {})
