"""Reads a verified Stripe webhook into a billing event; never raises and never trusts the event
about money.

Sources: Stripe's event types and objects of API 2026-10-28.endive. Event times are whole seconds
and events arrive in any order. Of several events for one change only one counts: `invoice.paid`,
not `invoice.payment_succeeded`; `refund.created`, not `charge.refunded`, whose amount is the sum of
all refunds. A thin event only names an object.
"""

import hashlib
from datetime import datetime

from domain.billing.events import BillingEvent, EventKind, MoneyObject, MoneyReference
from domain.billing.subscription import Provider, Snapshot
from providers.reading import Json, NotJson, document, part, text
from providers.stripe.reading import id_of, organization, time
from providers.stripe.snapshots import is_status, of_status, snapshot

_SUBSCRIPTION = "customer.subscription."
_KINDS = {
    "customer.subscription.created": EventKind.SUBSCRIPTION_CREATED,
    "customer.subscription.updated": EventKind.CHANGED,
    "customer.subscription.deleted": EventKind.CANCELED,
    "customer.subscription.paused": EventKind.PAUSED,
    "customer.subscription.resumed": EventKind.RESUMED,
    "customer.deleted": EventKind.CANCELED,
    "checkout.session.completed": EventKind.CHECKOUT_COMPLETED,
    "checkout.session.expired": EventKind.CHANGED,
    "checkout.session.async_payment_succeeded": EventKind.PAYMENT_SUCCEEDED,
    "checkout.session.async_payment_failed": EventKind.PAYMENT_FAILED,
    "invoice.paid": EventKind.PAYMENT_SUCCEEDED,
    "invoice.payment_failed": EventKind.PAYMENT_FAILED,
    "invoice.overdue": EventKind.PAYMENT_FAILED,
    "invoice.payment_action_required": EventKind.PAYMENT_ACTION_REQUIRED,
    "invoice.payment_attempt_required": EventKind.PAYMENT_ACTION_REQUIRED,
    "invoice.marked_uncollectible": EventKind.SUSPENDED,
    "refund.created": EventKind.REFUNDED,
    "refund.updated": EventKind.REFUNDED,
    "refund.failed": EventKind.REFUNDED,
    "charge.dispute.created": EventKind.DISPUTE_OPENED,
    "charge.dispute.updated": EventKind.DISPUTE_OPENED,
    "charge.dispute.closed": EventKind.DISPUTE_CLOSED,
    "charge.dispute.funds_withdrawn": EventKind.REVERSED,
    "charge.dispute.funds_reinstated": EventKind.DISPUTE_CLOSED,
    "radar.early_fraud_warning.created": EventKind.FRAUD_WARNING,
}
_STATUS_BY_NAME = {"deleted": "canceled"}
"""Events whose name differs from the status that they report."""
_PAST_DUE = frozenset({"invoice.payment_failed", "invoice.overdue"})
"""A subscription invoice failed: the subscription is past due. A failed first payment makes nothing
past due and closes nothing: only a subscription that was paid before can lapse.
"""


def parse(raw: bytes, version: str) -> BillingEvent:
    """`problem` is set if something required is missing; all readable fields are filled in."""
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    try:
        return event(document(raw), version, fallback_id=digest)
    except NotJson as error:
        return BillingEvent(
            provider=Provider.STRIPE,
            event_id=digest,
            event_type="",
            kind=EventKind.IGNORED,
            problem=str(error)[:200],
        )


def event(envelope: Json, version: str, *, fallback_id: str = "") -> BillingEvent:
    """A delivered or listed event. For another API version or a thin event only the ids and the
    status are trusted: enough to close, and for nothing else.
    """
    thin = text(envelope, "object") == "v2.core.event"
    event_type = (text(envelope, "type") or "").removeprefix("v1.")
    subject = part(envelope, "related_object") if thin else part(part(envelope, "data"), "object")
    occurred_at = time(envelope, "created") or (_iso(envelope) if thin else None)
    event_id = text(envelope, "id")
    kind = kind_of(event_type, subject)
    money = _money(event_type, kind, subject)
    rendered = text(envelope, "api_version")
    same = thin or rendered == version
    subscription_id = _subscription_id(event_type, subject)
    return BillingEvent(
        provider=Provider.STRIPE,
        event_id=event_id or fallback_id,
        event_type=event_type,
        kind=kind,
        occurred_at=occurred_at,
        subscription_id=subscription_id,
        custom_id=_custom_id(subject),
        snapshot=_snapshot(event_type, subject, occurred_at, whole=same and not thin),
        money=money,
        payment_id=_payment_id(event_type, subject),
        problem=_problems(
            id=event_id is None,
            type=not event_type,
            subscription=event_type.startswith(_SUBSCRIPTION) and subscription_id is None,
        ),
        concern=None if same or rendered is None else _another_version(rendered, version),
    )


def _another_version(rendered: str, version: str) -> str:
    return f"events are of API version {rendered}: the webhook endpoint has to be of {version}"


def _snapshot(
    event_type: str, subject: Json, occurred_at: datetime | None, *, whole: bool
) -> Snapshot | None:
    """The subscription's state by the event's object or, if that is missing, by the event's name."""
    if event_type.startswith(_SUBSCRIPTION):
        if whole:
            return snapshot(subject, reported_at=occurred_at) if subject else None
        named = event_type.removeprefix(_SUBSCRIPTION)
        status = text(subject, "status") or _STATUS_BY_NAME.get(named, named)
        has_status = text(subject, "status") is not None or is_status(status)
        return (
            of_status(status, reported_at=occurred_at, custom_id=organization(subject))
            if has_status
            else None
        )
    if event_type in _PAST_DUE and _subscription_id(event_type, subject) is not None:
        return of_status("past_due", reported_at=occurred_at, custom_id=_custom_id(subject))
    return None


def kind_of(event_type: str, subject: Json) -> EventKind:
    """A subscription event with an unknown name means: query the subscription."""
    if text(subject, "mode") == "payment" and event_type == "checkout.session.completed":
        paid = text(subject, "payment_status") == "paid"
        return EventKind.PAYMENT_SUCCEEDED if paid else EventKind.PAYMENT_PENDING
    if event_type.startswith(_SUBSCRIPTION):
        return _KINDS.get(event_type, EventKind.CHANGED)
    return _KINDS.get(event_type, EventKind.IGNORED)


def _subscription_id(event_type: str, subject: Json) -> str | None:
    if event_type.startswith(_SUBSCRIPTION):
        return text(subject, "id")
    if event_type in ("checkout.session.completed", "checkout.session.expired"):
        return text(subject, "id") if text(subject, "mode") == "subscription" else None
    details = part(part(subject, "parent"), "subscription_details")
    return id_of(details, "subscription") or id_of(subject, "subscription")


def _money(event_type: str, kind: EventKind, subject: Json) -> MoneyReference | None:
    id_, named = text(subject, "id"), None
    if event_type == "invoice.paid":
        # a trial's first invoice is not a payment
        named = MoneyObject.SALE if subject.get("amount_paid") != 0 else None
    elif event_type.startswith("checkout.session.") and text(subject, "mode") == "payment":
        named, id_ = MoneyObject.CAPTURE, id_of(subject, "payment_intent")
    elif event_type.startswith("charge.dispute."):
        # for withdrawn funds, too: a dispute is one fact, whichever event reports it
        named = MoneyObject.DISPUTE
    elif kind is EventKind.REFUNDED:
        named = MoneyObject.REFUND
    return MoneyReference(kind=named, id=id_) if named is not None and id_ is not None else None


def _payment_id(event_type: str, subject: Json) -> str | None:
    if event_type.startswith(("refund.", "charge.dispute.", "radar.")):
        return id_of(subject, "payment_intent") or id_of(subject, "charge")
    return None


def _custom_id(subject: Json) -> str | None:
    details = part(part(subject, "parent"), "subscription_details")
    return organization(subject) or organization(details) or text(subject, "client_reference_id")


def _iso(envelope: Json) -> datetime | None:
    try:
        created = datetime.fromisoformat(text(envelope, "created") or "")
    except ValueError:
        return None
    return created if created.tzinfo is not None else None


def _problems(**missing: bool) -> str | None:
    names = [name for name, is_missing in missing.items() if is_missing]
    return f"missing or unreadable: {', '.join(names)}" if names else None
