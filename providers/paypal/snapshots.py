"""Translates a PayPal subscription, from a GET or from an event, into our snapshot; decides nothing about access.

Source: PayPal's OpenAPI `billing_subscriptions_v1.json` (schemas subscription, billing_info, cycle_execution). Events
of API v1 carry an `Agreement` with `state` and `agreement_details` instead.
"""

from datetime import datetime

from domain.money import Money
from domain.subscription import Snapshot, State
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
_NOT_THE_CUSTOMERS_FAULT = frozenset({"INTERNAL_SERVER_ERROR", "TRANSACTION_RECEIVING_LIMIT_EXCEEDED"})


def snapshot(resource: Json, *, told_at: datetime | None = None) -> Snapshot:
    """`told_at` is the time of the envelope, for an event whose resource does not say when it last changed."""
    raw_status = reading.text(resource, "status") or reading.text(resource, "state") or ""
    billing = reading.part(resource, "billing_info") or reading.part(resource, "agreement_details")
    outstanding = reading.amount(billing, "outstanding_balance")
    failed = reading.count(billing, "failed_payments_count") or reading.count(billing, "failed_payment_count")
    state = _STATES.get(raw_status.upper(), State.UNKNOWN)
    if state is State.ACTIVE:
        state = _while_active(billing, failed, outstanding)
    elif state is State.PAUSED and _owes(failed, outstanding):
        state = State.SUSPENDED_NONPAYMENT
    return Snapshot(
        state=state,
        raw_status=raw_status,
        as_of=_changed_at(resource, billing) or told_at or reading.time(resource, "create_time"),
        access_until=reading.time(billing, "next_billing_time") or reading.time(billing, "next_billing_date"),
        outstanding=outstanding,
        failed_payments=failed,
        custom_id=reading.text(resource, "custom_id"),
        note=reading.text(resource, "status_change_note"),
    )


def _while_active(billing: Json, failed: int, outstanding: Money | None) -> State:
    if _payment_is_missing(billing, failed, outstanding):
        return State.PAST_DUE
    cycles = reading.parts(billing, "cycle_executions")
    trial = any(cycle.get("tenure_type") == "TRIAL" for cycle in cycles)
    billed = any(
        cycle.get("tenure_type") == "REGULAR" and reading.count(cycle, "cycles_completed") > 0 for cycle in cycles
    )
    return State.TRIALING if trial and not billed else State.ACTIVE


def _payment_is_missing(billing: Json, failed: int, outstanding: Money | None) -> bool:
    failure = reading.part(billing, "last_failed_payment")
    reason = (reading.text(failure, "reason_code") or "").upper()
    if reason.startswith("PAYEE_") or reason in _NOT_THE_CUSTOMERS_FAULT:
        return False  # our account or PayPal failed: cutting off the customer would punish the wrong side
    failed_at = reading.time(failure, "time")
    paid_at = reading.time(reading.part(billing, "last_payment"), "time")
    return _owes(failed, outstanding) or (failed_at is not None and (paid_at is None or failed_at > paid_at))


def _owes(failed: int, outstanding: Money | None) -> bool:
    return failed > 0 or (outstanding is not None and outstanding.micros > 0)


def _changed_at(resource: Json, billing: Json) -> datetime | None:
    times = (
        reading.time(resource, "status_update_time"),
        reading.time(resource, "update_time"),
        reading.time(reading.part(billing, "last_payment"), "time"),
        reading.time(reading.part(billing, "last_failed_payment"), "time"),
    )
    return max((at for at in times if at is not None), default=None)
