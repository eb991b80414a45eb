"""Reads a verified PayPal webhook into a billing event; never raises and never trusts the event
about money.

Sources: PayPal's webhook event names, its signed samples (month 19 in `create_time`, v1 `Agreement`
resources, hyphenated RE-ACTIVATED), and `notifications_webhooks_v1.json` for the envelope.
"""

import hashlib
from collections.abc import Mapping

from domain.billing.events import BillingEvent, EventKind, MoneyObject, MoneyReference
from domain.billing.subscription import Provider
from providers.paypal import reading
from providers.paypal.payments import reversed_by
from providers.paypal.reading import Json
from providers.paypal.snapshots import snapshot

_SUBSCRIPTION = "BILLING.SUBSCRIPTION."
_SUBSCRIPTION_KINDS = {
    "CREATED": EventKind.SUBSCRIPTION_CREATED,
    "ACTIVATED": EventKind.ACTIVATED,
    "RE-ACTIVATED": EventKind.ACTIVATED,
    "REACTIVATED": EventKind.ACTIVATED,
    "SUSPENDED": EventKind.SUSPENDED,
    "CANCELLED": EventKind.CANCELED,
    "EXPIRED": EventKind.EXPIRED,
    "PAYMENT.FAILED": EventKind.PAYMENT_FAILED,
}
_PAYMENT_KINDS = {
    "COMPLETED": EventKind.PAYMENT_SUCCEEDED,
    "PENDING": EventKind.PAYMENT_PENDING,
    "DENIED": EventKind.PAYMENT_FAILED,
    "DECLINED": EventKind.PAYMENT_FAILED,
    "REFUNDED": EventKind.REFUNDED,
    "REVERSED": EventKind.REVERSED,
}
_DISPUTE = "CUSTOMER.DISPUTE."
_DISPUTE_KINDS = {
    "CREATED": EventKind.DISPUTE_OPENED,
    "UPDATED": EventKind.DISPUTE_OPENED,
    "RESOLVED": EventKind.DISPUTE_CLOSED,
}
_MONEY = {
    "PAYMENT.SALE.": MoneyObject.SALE,
    "PAYMENT.CAPTURE.": MoneyObject.CAPTURE,
    _DISPUTE: MoneyObject.DISPUTE,
}


def parse(raw: bytes, headers: Mapping[str, str]) -> BillingEvent:
    """`problem` is set if something required is missing; all readable fields are filled in."""
    transmission_id = reading.text(headers, "paypal-transmission-id")
    try:
        return event(reading.document(raw), transmission_id, fallback_id=_digest(raw))
    except reading.NotJson as error:
        return BillingEvent(
            provider=Provider.PAYPAL,
            event_id=transmission_id or _digest(raw),
            event_type="",
            kind=EventKind.IGNORED,
            transmission_id=transmission_id,
            problem=str(error)[:200],
        )


def event(
    envelope: Json, transmission_id: str | None = None, *, fallback_id: str = ""
) -> BillingEvent:
    """A delivered or listed envelope. Genuinely signed ones contain month 19 as their time: it is
    omitted, so that an event that would close causes a query.
    """
    resource = reading.part(envelope, "resource")
    event_type = reading.text(envelope, "event_type") or ""
    event_id = reading.text(envelope, "id")
    occurred_at = reading.time(envelope, "create_time")
    kind = kind_of(event_type)
    about_subscription = event_type.startswith(_SUBSCRIPTION)
    subscription_id = reading.text(resource, "id" if about_subscription else "billing_agreement_id")
    money = _money(event_type, kind, resource)
    problems = _problems(
        event_id=event_id is None,
        event_type=not event_type,
        resource_id=about_subscription and subscription_id is None,
        money_id=money is None
        and event_type.startswith(tuple(_MONEY))
        and kind is not EventKind.IGNORED,
    )
    return BillingEvent(
        provider=Provider.PAYPAL,
        event_id=event_id or transmission_id or fallback_id,
        event_type=event_type,
        kind=kind,
        transmission_id=transmission_id,
        occurred_at=occurred_at,
        subscription_id=subscription_id,
        custom_id=_custom_id(resource),
        snapshot=snapshot(resource, reported_at=occurred_at)
        if about_subscription and resource
        else None,
        money=money,
        payment_id=_payment_id(resource),
        problem=problems,
    )


def kind_of(event_type: str) -> EventKind:
    """A subscription event with an unknown name means: query the subscription."""
    if event_type.startswith(_SUBSCRIPTION):
        return _SUBSCRIPTION_KINDS.get(event_type.removeprefix(_SUBSCRIPTION), EventKind.CHANGED)
    if event_type.startswith(("PAYMENT.SALE.", "PAYMENT.CAPTURE.")):
        return _PAYMENT_KINDS.get(event_type.split(".", 2)[2], EventKind.IGNORED)
    if event_type.startswith(_DISPUTE):
        return _DISPUTE_KINDS.get(event_type.removeprefix(_DISPUTE), EventKind.IGNORED)
    return (
        EventKind.CHECKOUT_COMPLETED
        if event_type == "CHECKOUT.ORDER.APPROVED"
        else EventKind.IGNORED
    )


def _money(event_type: str, kind: EventKind, resource: Json) -> MoneyReference | None:
    if kind is EventKind.CHECKOUT_COMPLETED:
        order_id = reading.text(resource, "id")
        return (
            MoneyReference(kind=MoneyObject.CHECKOUT, id=order_id) if order_id is not None else None
        )
    named = next(
        (
            kind_of_money
            for prefix, kind_of_money in _MONEY.items()
            if event_type.startswith(prefix)
        ),
        None,
    )
    if named is None or kind is EventKind.IGNORED:
        return None
    if kind in (EventKind.REFUNDED, EventKind.REVERSED):
        # the resource is the refund or the reversal, not the reversed payment
        named = MoneyObject.REFUND
    id_ = reading.text(resource, "id")
    if named is MoneyObject.DISPUTE:
        id_ = reading.text(resource, "dispute_id") or id_
    return MoneyReference(kind=named, id=id_) if id_ is not None else None


def _custom_id(resource: Json) -> str | None:
    disputed = reading.parts(resource, "disputed_transactions")[:1]
    ordered = reading.parts(resource, "purchase_units")[:1]
    for holder in (resource, *disputed, *ordered):
        custom = reading.text(holder, "custom_id") or reading.text(holder, "custom")
        if custom is not None:
            return custom
    return None


def _payment_id(resource: Json) -> str | None:
    disputed = reading.parts(resource, "disputed_transactions")[:1]
    taken_back = reading.text(disputed[0], "seller_transaction_id") if disputed else None
    return taken_back or reversed_by(resource)


def _problems(**missing: bool) -> str | None:
    names = [name for name, is_missing in missing.items() if is_missing]
    return f"missing or unreadable: {', '.join(names)}" if names else None


def _digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"
