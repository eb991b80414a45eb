"""Translates a Stripe subscription or checkout, from a GET or from an event, into our snapshot; decides nothing.

Source: Stripe's API 2026-10-28.endive: periods are told by the items, `paused` says by its reason what it means, and
`pause_collection` leaves the status as it is. The object does not say when it last changed: the caller does.
"""

from dataclasses import replace
from datetime import datetime

from domain.subscription import Snapshot, State
from providers.reading import Json, count, part, parts, text
from providers.stripe.reading import amount, id_of, organization, time

_STATES = {
    "incomplete": State.PENDING,
    "trialing": State.TRIALING,
    "active": State.ACTIVE,
    "past_due": State.PAST_DUE,
    "unpaid": State.SUSPENDED_NONPAYMENT,
    "paused": State.PAUSED,
    "canceled": State.CANCELED,
    "incomplete_expired": State.CANCELED,
}
_PAUSED_FOR_NONPAYMENT = frozenset({"first_payment_failure", "final_payment_failure"})
_PAID_TO_THE_END = frozenset({State.ACTIVE, State.TRIALING, State.PAUSED})


def snapshot(told: Json, *, told_at: datetime | None) -> Snapshot:
    """`told_at` is when Stripe said so: the event's time, or the second in which it was asked."""
    raw_status = text(told, "status") or ""
    state = _STATES.get(raw_status, State.UNKNOWN)
    if state is State.PAUSED and _paused_by(told) in _PAUSED_FOR_NONPAYMENT:
        state = State.SUSPENDED_NONPAYMENT
    invoice = part(told, "latest_invoice")
    owes = text(invoice, "status") in ("open", "uncollectible")
    return Snapshot(
        state=state,
        raw_status=raw_status,
        as_of=told_at,
        access_until=_paid_until(told, state, invoice),
        outstanding=amount(invoice, "amount_remaining") if owes else None,
        failed_payments=count(invoice, "attempt_count") if owes else 0,
        custom_id=organization(told),
        cancels=_cancels(told),
        note=text(part(told, "cancellation_details"), "comment"),
    )


def of_checkout(told: Json, *, told_at: datetime | None) -> Snapshot:
    """A checkout stands for the subscription that it will become; completed, it names it."""
    subscription = part(told, "subscription")
    subscription_id = id_of(told, "subscription")
    status = text(told, "status") or ""
    if subscription and subscription_id is not None:
        known = snapshot(subscription, told_at=told_at)
        custom_id = known.custom_id or text(told, "client_reference_id")
        return replace(known, custom_id=custom_id, subscription_id=subscription_id)
    states = {"open": State.PENDING, "complete": State.PENDING, "expired": State.EXPIRED}
    return Snapshot(
        state=states.get(status, State.UNKNOWN),
        raw_status=status,
        as_of=told_at,
        custom_id=text(told, "client_reference_id"),
    )


def _cancels(told: Json) -> bool:
    """Under flexible billing it is told as a time, which may be a later one than the period's end."""
    at, end = time(told, "cancel_at"), _period_end(told)
    return told.get("cancel_at_period_end") is True or (at is not None and end is not None and at <= end)


def _period_end(told: Json) -> datetime | None:
    times = [time(item, "current_period_end") for item in parts(part(told, "items"), "data")]
    return max((at for at in times if at is not None), default=None)


def _paused_by(told: Json) -> str | None:
    reason = part(part(part(told, "status_details"), "paused"), "subscription")
    return text(reason, "type")


def _paid_until(told: Json, state: State, invoice: Json) -> datetime | None:
    """The period that runs counts only if it was paid: Stripe moves it on before the customer pays."""
    items = parts(part(told, "items"), "data")
    if state in _PAID_TO_THE_END or text(invoice, "status") == "paid":
        times = [time(item, "current_period_end") for item in items]
        if state is State.CANCELED:
            times.append(time(told, "trial_end") if invoice.get("amount_paid") == 0 else None)
        return max((at for at in times if at is not None), default=None)
    if state is State.CANCELED and not invoice:
        return None  # the event does not tell; what was recorded while it was paid stands
    return min((at for item in items if (at := time(item, "current_period_start")) is not None), default=None)
