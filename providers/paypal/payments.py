"""Translates PayPal's money objects (sale, capture, refund, transaction, dispute); rejects objects
without id or amount.

Sources: PayPal's OpenAPI `payments_payment_v2.json`, `billing_subscriptions_v1.json` (transaction),
`customer_disputes_v1.json`, and the v1 payments reference (sale, refund).
"""

from domain.billing.events import Dispute, MoneyObject, MoneyReference, Payment, PaymentStatus
from providers.errors import ProviderUnavailable
from providers.paypal import reading
from providers.paypal.reading import Json

_STATUSES = {
    "completed": PaymentStatus.COMPLETED,
    "pending": PaymentStatus.PENDING,
    "denied": PaymentStatus.DECLINED,
    "declined": PaymentStatus.DECLINED,
    "failed": PaymentStatus.DECLINED,
    "cancelled": PaymentStatus.DECLINED,
    "canceled": PaymentStatus.DECLINED,
    "refunded": PaymentStatus.REFUNDED,
    "reversed": PaymentStatus.REFUNDED,
    "partially_refunded": PaymentStatus.PARTIALLY_REFUNDED,
}
_LOST = frozenset({"RESOLVED_BUYER_FAVOUR", "ACCEPTED"})
_NOT_LOST = frozenset(
    {"RESOLVED_SELLER_FAVOUR", "RESOLVED_WITH_PAYOUT", "CANCELED_BY_BUYER", "DENIED", "NONE"}
)


def payment(kind: MoneyObject, document: Json, *, subscription_id: str | None = None) -> Payment:
    """Translates a sale, capture or refund in either money format, or a subscription's transaction
    (a sale).
    """
    breakdown = reading.part(document, "amount_with_breakdown")
    amount = reading.amount(document, "amount") or reading.amount(breakdown, "gross_amount")
    id_ = reading.text(document, "id")
    if id_ is None or amount is None:
        raise ProviderUnavailable(
            f"PayPal returned a {kind.value} without an id or a readable amount", code="UNREADABLE"
        )
    status = reading.text(document, "status") or reading.text(document, "state") or ""
    return Payment(
        reference=MoneyReference(kind=kind, id=id_),
        status=_STATUSES.get(status.lower(), PaymentStatus.UNKNOWN),
        amount=amount,
        occurred_at=reading.time(document, "time") or reading.time(document, "create_time"),
        subscription_id=subscription_id or reading.text(document, "billing_agreement_id"),
        custom_id=reading.text(document, "custom_id") or reading.text(document, "custom"),
        reverses=reversed_by(document) if kind is MoneyObject.REFUND else None,
    )


def reversed_by(refund: Json) -> str | None:
    """The id of the refunded payment: v1 has fields for it, v2 only a link."""
    named = reading.text(refund, "sale_id") or reading.text(refund, "capture_id")
    for rel in ("sale", "up"):
        if named is None and (path := reading.link(refund, rel)) is not None:
            before, _, id_ = path.rpartition("/")
            named = id_ if before.endswith(("/captures", "/sale")) and id_ else None
    return named


def dispute(document: Json) -> Dispute:
    id_ = reading.text(document, "dispute_id")
    status = reading.text(document, "status")
    if id_ is None or status is None:
        raise ProviderUnavailable(
            "PayPal returned a dispute without an id or a status", code="UNREADABLE"
        )
    result = reading.part(document, "dispute_outcome")
    outcome, is_open = reading.text(result, "outcome_code"), status.upper() != "RESOLVED"
    ids = (
        reading.text(disputed, "seller_transaction_id")
        for disputed in reading.parts(document, "disputed_transactions")
    )
    return Dispute(
        id=id_,
        open=is_open,
        lost=outcome in _LOST,
        payment_ids=tuple(id_ for id_ in ids if id_ is not None),
        amount=reading.amount(result, "amount_refunded")
        or reading.amount(document, "dispute_amount"),
        withdrawn=None if is_open or outcome not in _LOST | _NOT_LOST else outcome in _LOST,
        # None: reopened after it was lost, it has returned nothing
        occurred_at=reading.time(document, "create_time"),
    )
