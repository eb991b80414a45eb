"""Translates a Stripe subscription or checkout, from a GET or an event, into a snapshot; decides
nothing.

Source: Stripe's API 2026-10-28.endive: the items hold the periods, the reason of `paused` defines
its meaning, and `pause_collection` does not change the status.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from domain.billing.subscription import OWING, PAID, Snapshot, State
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
_CLOCKS_APART = timedelta(minutes=5)


def snapshot(
    subscription: Json,
    *,
    reported_at: datetime | None = None,
    queried_at: datetime | None = None,
    failed: Sequence[Json] | None = None,
) -> Snapshot:
    """`reported_at` is an event's time, `asked_at` the second of our request: its response may be
    older. `failed` are the open invoices that failed, oldest first; None if they were not queried.
    Stripe calls a subscription active once its newest invoice is paid; here it is past due while
    any failed invoice is open.
    """
    raw_status = text(subscription, "status") or ""
    status = _STATES.get(raw_status, State.UNKNOWN)
    if status is State.PAUSED and _paused_by(subscription) in _PAUSED_FOR_NONPAYMENT:
        status = State.SUSPENDED_NONPAYMENT
    invoice, due = part(subscription, "latest_invoice"), due_invoice(subscription, failed)
    open_ = text(due, "status") in ("open", "uncollectible")
    attempts = count(due, "attempt_count") if open_ else 0
    paid = text(invoice, "status") == "paid" and invoice.get("amount_paid") != 0
    return Snapshot(
        state=State.PAST_DUE if failed and status in PAID else status,
        raw_status=raw_status,
        as_of=reported_at or _changed_at(subscription, queried_at),
        access_until=_period_end(subscription),
        paid_until=_paid_until(subscription, status, invoice, failed or ()),
        paid_from=_period_begin(subscription),
        paid_at=time(part(invoice, "status_transitions"), "paid_at") if paid else None,
        owes=_owes(status, invoice, attempts, failed),
        failed_at=_failed_at(status, invoice, attempts, failed or (), queried_at),
        outstanding=amount(due, "amount_remaining") if open_ else None,
        failed_payments=attempts,
        custom_id=organization(subscription),
        cancels=_cancels(subscription),
        note=text(part(subscription, "cancellation_details"), "comment"),
    )


def due_invoice(subscription: Json, failed: Sequence[Json] | None) -> Json:
    """The newest invoice; if that is closed, the oldest failed one."""
    newest = part(subscription, "latest_invoice")
    return (
        newest if text(newest, "status") in ("open", "uncollectible") or not failed else failed[0]
    )


def of_status(status: str, *, reported_at: datetime | None, custom_id: str | None) -> Snapshot:
    """Builds a snapshot from a status alone."""
    state = _STATES.get(status, State.UNKNOWN)
    return Snapshot(state=state, raw_status=status, as_of=reported_at, custom_id=custom_id)


def is_status(name: str) -> bool:
    return name in _STATES


def _owes(state: State, invoice: Json, attempts: int, failed: Sequence[Json] | None) -> bool | None:
    """Whether something is owed. Stripe treats a paid, voided or written-off invoice as closed. If
    the open invoices are known and the subscription is in good standing, no failed one proves that
    nothing is owed; an invoice of zero alone does not.

    An invoice that could not be charged and counts as paid with an amount of zero was forgiven:
    credit notes covered all of it. Source: Stripe's pages on subscription statuses, on the
    transitions of invoices, and on credit notes.
    """
    if state in OWING or failed:
        return True
    if failed is not None and state in PAID:
        return False
    settled = text(invoice, "status") in ("paid", "void", "uncollectible")
    if settled and (state in PAID or text(invoice, "status") == "paid"):
        forgiven = count(invoice, "attempt_count") > 0 and count(invoice, "total") > 0
        nothing = text(invoice, "status") == "paid" and not invoice.get("amount_paid")
        return None if nothing and not forgiven else False
    return True if attempts and failed is None and state not in (*PAID, State.PENDING) else None


def _failed_at(
    state: State, invoice: Json, attempts: int, failed: Sequence[Json], queried_at: datetime | None
) -> datetime | None:
    """When the oldest open invoice failed. If Stripe reports the subscription as active but an
    older invoice is unpaid, that is now: an invoice that the merchant left open does not suspend
    immediately.
    """
    newest_failed = any(text(unpaid, "id") == text(invoice, "id") for unpaid in failed)
    if failed and state not in OWING and not newest_failed:
        return queried_at
    oldest = failed[0] if failed else invoice if attempts else {}
    return time(part(oldest, "status_transitions"), "finalized_at") or time(oldest, "created")


def _changed_at(subscription: Json, queried_at: datetime | None) -> datetime | None:
    """The newest time in the object, which has no time of its last change."""
    invoice = part(subscription, "latest_invoice")
    transitions = part(invoice, "status_transitions")
    times = [
        time(subscription, name) for name in ("created", "start_date", "canceled_at", "ended_at")
    ]
    times += [
        time(item, "current_period_start") for item in parts(part(subscription, "items"), "data")
    ]
    times += [time(invoice, "created"), *(time(transitions, name) for name in transitions)]
    times.append(time(part(part(subscription, "status_details"), "paused"), "transitioned_at"))
    # a period may be reported before it begins
    latest = None if queried_at is None else queried_at + _CLOCKS_APART
    return max(
        (at for at in times if at is not None and (latest is None or at <= latest)), default=None
    )


def of_checkout(
    session: Json,
    *,
    reported_at: datetime | None = None,
    queried_at: datetime | None = None,
    failed: Sequence[Json] | None = None,
) -> Snapshot:
    """A checkout represents the subscription that it will become; once completed, it names it."""
    subscription = part(session, "subscription")
    subscription_id = id_of(session, "subscription")
    status = text(session, "status") or ""
    if subscription and subscription_id is not None:
        subscribed = snapshot(
            subscription, reported_at=reported_at, queried_at=queried_at, failed=failed
        )
        custom_id = subscribed.custom_id or text(session, "client_reference_id")
        return replace(subscribed, custom_id=custom_id, subscription_id=subscription_id)
    states = {"open": State.PENDING, "complete": State.PENDING, "expired": State.EXPIRED}
    return Snapshot(
        state=states.get(status, State.UNKNOWN),
        raw_status=status,
        as_of=reported_at or time(session, "created"),
        custom_id=text(session, "client_reference_id"),
    )


def _cancels(subscription: Json) -> bool:
    """Flexible billing gives a time, which may be later than the period's end."""
    at, end = time(subscription, "cancel_at"), _period_end(subscription)
    return subscription.get("cancel_at_period_end") is True or (
        at is not None and end is not None and at <= end
    )


def _period_end(subscription: Json) -> datetime | None:
    return max(_item_times(subscription, "current_period_end"), default=None)


def _period_begin(subscription: Json) -> datetime | None:
    return min(_item_times(subscription, "current_period_start"), default=None)


def _item_times(subscription: Json, name: str) -> list[datetime]:
    times = [time(item, name) for item in parts(part(subscription, "items"), "data")]
    return [at for at in times if at is not None]


def _paused_by(subscription: Json) -> str | None:
    reason = part(part(part(subscription, "status_details"), "paused"), "subscription")
    return text(reason, "type")


def _paid_until(
    subscription: Json, state: State, invoice: Json, failed: Sequence[Json]
) -> datetime | None:
    """The end of the current period if its invoice was paid: Stripe advances the period before the
    customer pays.

    None if it was not paid: the recorded time stands. None, too, if another invoice of the period
    failed: the newest may be a small one. A trial lasts as agreed.
    """
    if text(invoice, "status") != "paid":
        return time(subscription, "trial_end") if state is State.TRIALING else None
    begin = _period_begin(subscription)
    ends = [
        time(part(line, "period"), "end")
        for unpaid in failed
        for line in parts(part(unpaid, "lines"), "data")
    ]
    if any(at is None or begin is None or at > begin for at in ends):
        return None
    times = [
        _period_end(subscription),
        time(subscription, "trial_end") if invoice.get("amount_paid") == 0 else None,
    ]
    return max((at for at in times if at is not None), default=None)
