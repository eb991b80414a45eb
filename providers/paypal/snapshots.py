"""Translates a PayPal subscription, from a GET or an event, into a snapshot; decides nothing about
access.

Source: PayPal's OpenAPI `billing_subscriptions_v1.json` (schemas subscription, billing_info,
cycle_execution). API v1 events carry an `Agreement` with `state` and `agreement_details` instead.
"""

from dataclasses import dataclass
from datetime import datetime

from domain.billing import intervals
from domain.billing.subscription import Snapshot, State
from providers.paypal import reading
from providers.paypal.reading import Json

_STATES = {
    "APPROVAL_PENDING": State.PENDING,
    "APPROVED": State.PENDING,
    "PENDING": State.PENDING,
    "ACTIVE": State.ACTIVE,
    "REACTIVATE": State.ACTIVE,
    "SUSPENDED": State.PAUSED,
    "SUSPEND": State.PAUSED,
    "CANCELLED": State.CANCELED,
    "CANCELED": State.CANCELED,
    "CANCEL": State.CANCELED,
    "EXPIRED": State.EXPIRED,
}
_NOT_THE_CUSTOMERS_FAULT = frozenset(
    {"INTERNAL_SERVER_ERROR", "TRANSACTION_RECEIVING_LIMIT_EXCEEDED"}
)


def snapshot(resource: Json, *, reported_at: datetime | None = None) -> Snapshot:
    """`reported_at` is the envelope's time, for an event whose resource lacks its time of change."""
    raw_status = reading.text(resource, "status") or reading.text(resource, "state") or ""
    billing = reading.part(resource, "billing_info") or reading.part(resource, "agreement_details")
    outstanding = reading.amount(billing, "outstanding_balance")
    failed = reading.count(billing, "failed_payments_count") or reading.count(
        billing, "failed_payment_count"
    )
    missing = failed > 0 if outstanding is None else outstanding.micros > 0
    owes = _owes(resource, billing, missing=missing, counted=failed > 0)
    state = _STATES.get(raw_status.upper(), State.UNKNOWN)
    if state is State.ACTIVE:
        state = State.PAST_DUE if owes else State.TRIALING if _in_trial(billing) else State.ACTIVE
    elif state is State.PAUSED and missing:
        state = State.SUSPENDED_NONPAYMENT
    next_billing = reading.time(billing, "next_billing_time") or reading.time(
        billing, "next_billing_date"
    )
    period = _paid_period(resource, billing, state, next_billing)
    return Snapshot(
        state=state,
        raw_status=raw_status,
        as_of=_changed_at(resource, billing)
        or reported_at
        or reading.time(resource, "create_time"),
        access_until=next_billing,
        paid_until=period.until,
        paid_from=period.begins,
        reckoned=period.reckoned,
        paid_at=reading.time(reading.part(billing, "last_payment"), "time"),
        owes=owes,
        failed_at=reading.time(reading.part(billing, "last_failed_payment"), "time"),
        outstanding=outstanding,
        failed_payments=failed,
        custom_id=reading.text(resource, "custom_id"),
        note=reading.text(resource, "status_change_note"),
    )


def _owes(resource: Json, billing: Json, *, missing: bool, counted: bool) -> bool | None:
    """Whether a payment of the customer is missing; None: the answer does not show it, or the
    customer did not cause it.

    PayPal retries a charge twice, every five days, before it counts the failure and adds the amount
    to the balance. Until then the balance is zero although nothing was forgiven: neither a manual
    suspension nor an activation pays for it. A balance of zero after a failure was counted means
    that it was forgiven, although the count remains until the next payment. Source: PayPal's page
    on payment failures and retries.
    """
    failure = reading.part(billing, "last_failed_payment")
    failed_at, paid_at = (
        reading.time(failure, "time"),
        reading.time(reading.part(billing, "last_payment"), "time"),
    )
    unpaid = failed_at is not None and (paid_at is None or failed_at > paid_at)
    retry_at = reading.time(failure, "next_payment_retry_time") or reading.time(
        failure, "next_payment_retry_date"
    )
    changed_at = _changed_at(resource, billing)
    is_retried = retry_at is not None and (changed_at is None or retry_at > changed_at)
    failing = missing or (unpaid and (is_retried or not counted))
    reason = (reading.text(failure, "reason_code") or "").upper()
    if failing and (reason.startswith("PAYEE_") or reason in _NOT_THE_CUSTOMERS_FAULT):
        return None  # our account or PayPal failed: suspending the customer would punish the wrong side
    return failing if billing else None


def _in_trial(billing: Json) -> bool:
    cycles = reading.parts(billing, "cycle_executions")
    return any(cycle.get("tenure_type") == "TRIAL" for cycle in cycles) and not _begun(
        billing, "REGULAR"
    )


def _begun(billing: Json, tenure: str) -> bool:
    return any(
        cycle.get("tenure_type") == tenure and reading.count(cycle, "cycles_completed") > 0
        for cycle in reading.parts(billing, "cycle_executions")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Period:
    """The paid period. `reckoned`: its end is computed from the current plan, as PayPal does not
    report it.
    """

    begins: datetime | None = None
    until: datetime | None = None
    reckoned: bool = False


def _paid_period(
    resource: Json, billing: Json, state: State, next_billing: datetime | None
) -> _Period:
    """The time of the next charge, or one interval after the last payment if PayPal does not report
    that time, or has moved it before the payment. PayPal's own date handles the ends of months.

    If nothing was paid yet, a trial, or a subscription with a later start, is free until its first
    charge.
    """
    paid_at = reading.time(reading.part(billing, "last_payment"), "time")
    begins = reading.time(resource, "start_time")
    if state is State.TRIALING:
        return _Period(until=next_billing)
    if paid_at is None:
        agreed = next_billing is not None and begins is not None and next_billing <= begins
        return _Period(until=next_billing if agreed and state is State.ACTIVE else None)
    tells = state is State.ACTIVE and next_billing is not None and next_billing > paid_at
    interval = _interval(
        resource,
        "REGULAR" if _begun(billing, "REGULAR") or not _begun(billing, "TRIAL") else "TRIAL",
    )
    paid_until = None if interval is None else intervals.after(paid_at, *interval)
    if interval is None or paid_until is None:
        return _Period(until=next_billing if tells else None)
    if (
        tells
        and next_billing is not None
        and next_billing < paid_until + (paid_until - paid_at) / 2
    ):
        return _Period(
            begins=intervals.after(next_billing, interval[0], -interval[1]), until=next_billing
        )
    return _Period(begins=paid_at, until=paid_until, reckoned=True)


def _interval(resource: Json, tenure: str) -> tuple[str, int] | None:
    """The plan's billing interval, if the response includes the plan."""
    for cycle in reading.parts(reading.part(resource, "plan"), "billing_cycles"):
        frequency = reading.part(cycle, "frequency")
        unit = reading.text(frequency, "interval_unit")
        if cycle.get("tenure_type") == tenure and unit is not None:
            return unit, reading.count(frequency, "interval_count") or 1
    return None


def _changed_at(resource: Json, billing: Json) -> datetime | None:
    times = (
        reading.time(resource, "status_update_time"),
        reading.time(resource, "update_time"),
        reading.time(reading.part(billing, "last_payment"), "time"),
        reading.time(reading.part(billing, "last_failed_payment"), "time"),
    )
    return max((at for at in times if at is not None), default=None)
