"""Translates Stripe's money objects (invoice, payment intent, refund, dispute); rejects objects
without id or amount.

A subscription's payment is identified by its payment intent, which refunds and disputes name too;
an invoice paid outside Stripe has none and is identified by itself.
"""

from dataclasses import replace

from domain.billing.events import Dispute, MoneyObject, MoneyReference, Payment, PaymentStatus
from providers.errors import ProviderUnavailable
from providers.reading import Json, part, parts, text
from providers.stripe.reading import amount, id_of, organization, time

_INVOICES = {
    "paid": PaymentStatus.COMPLETED,
    "open": PaymentStatus.PENDING,
    "draft": PaymentStatus.PENDING,
    "void": PaymentStatus.DECLINED,
    "uncollectible": PaymentStatus.DECLINED,
}
_INTENTS = {
    "succeeded": PaymentStatus.COMPLETED,
    "processing": PaymentStatus.PENDING,
    "requires_action": PaymentStatus.PENDING,
    "requires_capture": PaymentStatus.PENDING,
    "requires_confirmation": PaymentStatus.PENDING,
    "requires_payment_method": PaymentStatus.DECLINED,
    "canceled": PaymentStatus.DECLINED,
}
_REFUNDS = {
    "succeeded": PaymentStatus.COMPLETED,
    "pending": PaymentStatus.PENDING,
    "requires_action": PaymentStatus.PENDING,
    "failed": PaymentStatus.DECLINED,
    "canceled": PaymentStatus.DECLINED,
}
_CLOSED = frozenset({"won", "lost", "prevented", "warning_closed"})
_WITHDRAWN = frozenset({"needs_response", "under_review", "lost"})
_NOT_WITHDRAWN = _CLOSED - _WITHDRAWN | {"warning_needs_response", "warning_under_review"}
"""An inquiry (`warning_…`) takes nothing; a dispute takes its amount immediately and returns it if
it is won.
"""


def of_invoice(invoice: Json) -> Payment:
    status = _INVOICES.get(text(invoice, "status") or "", PaymentStatus.UNKNOWN)
    intents = [
        id_of(part(payment, "payment"), "payment_intent")
        for payment in parts(part(invoice, "payments"), "data")
        if text(payment, "status") == "paid"
    ]
    details = part(part(invoice, "parent"), "subscription_details")
    amount_name = "amount_paid" if status is PaymentStatus.COMPLETED else "amount_due"
    return _payment(
        MoneyObject.SALE,
        invoice,
        amount_name,
        status,
        id_=next((intent for intent in intents if intent is not None), None),
        subscription_id=id_of(details, "subscription"),
        custom_id=organization(details) or organization(invoice),
    )


def of_intent(intent: Json) -> Payment:
    status = _INTENTS.get(text(intent, "status") or "", PaymentStatus.UNKNOWN)
    back, received = (
        amount(part(intent, "latest_charge"), "amount_refunded"),
        amount(intent, "amount_received"),
    )
    if status is PaymentStatus.COMPLETED and back is not None and back.micros > 0:
        status = PaymentStatus.REFUNDED if back == received else PaymentStatus.PARTIALLY_REFUNDED
    paid = status not in (PaymentStatus.PENDING, PaymentStatus.DECLINED, PaymentStatus.UNKNOWN)
    amount_name = "amount_received" if paid else "amount"
    return _payment(
        MoneyObject.CAPTURE, intent, amount_name, status, custom_id=organization(intent)
    )


def of_refund(source: Json, *, subscription_id: str | None, custom_id: str | None) -> Payment:
    status = _REFUNDS.get(text(source, "status") or "", PaymentStatus.UNKNOWN)
    refund = _payment(
        MoneyObject.REFUND,
        source,
        "amount",
        status,
        subscription_id=subscription_id,
        custom_id=custom_id,
    )
    return replace(refund, reverses=id_of(source, "payment_intent") or id_of(source, "charge"))


def dispute(source: Json) -> Dispute:
    id_, status = text(source, "id"), text(source, "status")
    if id_ is None or status is None:
        raise ProviderUnavailable(
            "Stripe returned a dispute without an id or a status", code="UNREADABLE"
        )
    intent = id_of(source, "payment_intent") or id_of(source, "charge")
    return Dispute(
        id=id_,
        open=status not in _CLOSED,
        lost=status == "lost",
        payment_ids=(intent,) if intent else (),
        amount=amount(source, "amount"),
        withdrawn=status in _WITHDRAWN if status in _WITHDRAWN | _NOT_WITHDRAWN else None,
        occurred_at=time(source, "created"),
    )


def _payment(
    kind: MoneyObject,
    source: Json,
    amount_name: str,
    status: PaymentStatus,
    *,
    id_: str | None = None,
    subscription_id: str | None = None,
    custom_id: str | None = None,
) -> Payment:
    named, value = id_ or text(source, "id"), amount(source, amount_name)
    if named is None or value is None:
        raise ProviderUnavailable(
            f"Stripe returned a {kind.value} without an id or a readable amount", code="UNREADABLE"
        )
    return Payment(
        reference=MoneyReference(kind=kind, id=named),
        status=status,
        amount=value,
        occurred_at=time(part(source, "status_transitions"), "paid_at") or time(source, "created"),
        subscription_id=subscription_id,
        custom_id=custom_id,
    )
