"""Subscriptions at PayPal: read, created, suspended, resumed, canceled, moved to another plan.

Source: PayPal's OpenAPI `billing_subscriptions_v1.json`. A command is idempotent by state: act, and
if PayPal reports a wrong state, read.
"""

from contextlib import suppress
from typing import Any

from domain.billing.subscription import BILLING, Snapshot, State
from providers.billing import CheckoutLink, Later, PlanChange, Resumed
from providers.errors import (
    AlreadyTerminal,
    NotAccepted,
    NotFound,
    ProviderRefused,
    ProviderUnavailable,
    WrongState,
)
from providers.paypal import reading
from providers.paypal.calls import Calls, rfc3339, segment
from providers.paypal.snapshots import snapshot

_SUBSCRIPTIONS = "/v1/billing/subscriptions"
_PLANS = "/v1/billing/plans"
_NOT_IN_THIS_STATE = "SUBSCRIPTION_STATUS_INVALID"
_CANNOT_BE_ACTIVATED = "SUBSCRIPTION_CANNOT_BE_ACTIVATED"
_SUSPENDED = frozenset({State.SUSPENDED_NONPAYMENT, State.PAUSED})
_ENDED = frozenset({State.CANCELED, State.EXPIRED})
_PLAN_REFUSED = frozenset(
    {
        "PLAN_STATUS_INVALID",
        "PLAN_PRODUCT_NOT_COMPATIBLE",
        "CURRENCY_MISMATCH",
        "INVALID_PRICING_SCHEME",
    }
)
_LONGEST_REASON = 128


async def get(calls: Calls, subscription_id: str) -> Snapshot:
    """Includes the plan, which defines how long a payment lasts; reads it separately if the
    response omits it.
    """
    subscription = await calls.get(path(subscription_id), {"fields": "last_failed_payment,plan"})
    plan_id = reading.text(subscription, "plan_id")
    if (
        plan_id is not None
        and not reading.part(subscription, "plan")
        and reading.part(subscription, "billing_info")
    ):
        with suppress(NotFound):
            subscription = {
                **subscription,
                "plan": await calls.get(f"{_PLANS}/{segment(plan_id)}"),
            }
    return snapshot(subscription)


async def create(
    calls: Calls,
    *,
    organization_id: str,
    plan_id: str,
    return_url: str,
    cancel_url: str,
    idempotency_key: str,
    later: Later | None = None,
) -> CheckoutLink:
    """PayPal's link cannot expire: a late approval has to be canceled."""
    context = {
        "return_url": return_url,
        "cancel_url": cancel_url,
        "user_action": "SUBSCRIBE_NOW",
        "shipping_preference": "NO_SHIPPING",
    }
    body: dict[str, Any] = {
        "plan_id": plan_id,
        "custom_id": organization_id,
        "application_context": context,
    }
    if later is not None:
        body["start_time"] = rfc3339(later.first_charge_at)
    try:
        subscription = await calls.post(_SUBSCRIPTIONS, body, idempotency_key=idempotency_key)
    except ProviderRefused as refused:
        if isinstance(refused, NotFound) or refused.code in _PLAN_REFUSED:
            raise _plan_not_accepted(plan_id, refused) from refused
        raise
    id_, url = reading.text(subscription, "id"), reading.link(subscription, "approve")
    if id_ is None or url is None:
        raise ProviderUnavailable("PayPal created a subscription without an id or an approve link")
    return CheckoutLink(subscription_id=id_, url=url)


async def suspend(calls: Calls, subscription_id: str, reason: str) -> Snapshot:
    return await _ensure(calls, subscription_id, "suspend", reason, _SUSPENDED)


async def cancel(calls: Calls, subscription_id: str, reason: str) -> Snapshot:
    return await _ensure(calls, subscription_id, "cancel", reason, _ENDED)


async def resume(calls: Calls, subscription_id: str, reason: str) -> Resumed:
    """Activates once. PayPal usually refuses for a subscription suspended for non-payment; the
    result says what is needed.
    """
    refusal: ProviderRefused | None = None
    try:
        await calls.post(f"{path(subscription_id)}/activate", _because(reason))
    except ProviderRefused as refused:
        if refused.code not in (_NOT_IN_THIS_STATE, _CANNOT_BE_ACTIVATED):
            raise
        refusal = refused
    now = await get(calls, subscription_id)
    if now.state in BILLING:
        return Resumed.RESUMED
    if now.state in _ENDED or now.state is State.PENDING:
        return Resumed.NEEDS_NEW_CONSENT
    if refusal is None:
        raise _not_seen_yet("activate", now)
    if refusal.code == _CANNOT_BE_ACTIVATED:
        owes = now.state is State.SUSPENDED_NONPAYMENT
        return Resumed.NEEDS_PAYMENT if owes else Resumed.NEEDS_NEW_CONSENT
    raise _wrong_state("activate", now, refusal) from refusal


async def change_plan(calls: Calls, subscription_id: str, plan_id: str) -> PlanChange:
    try:
        revision = await calls.post(f"{path(subscription_id)}/revise", {"plan_id": plan_id})
    except ProviderRefused as refused:
        # a 404 may also mean the subscription
        now = await get(calls, subscription_id)
        if now.state not in BILLING | _SUSPENDED:
            raise _wrong_state("revise", now, refused) from refused
        if isinstance(refused, NotFound) or refused.code in _PLAN_REFUSED:
            raise _plan_not_accepted(plan_id, refused) from refused
        raise
    return PlanChange(approve_url=reading.link(revision, "approve"))


async def _ensure(
    calls: Calls, subscription_id: str, act: str, reason: str, wanted: frozenset[State]
) -> Snapshot:
    refusal: ProviderRefused | None = None
    try:
        await calls.post(f"{path(subscription_id)}/{act}", _because(reason))
    except ProviderRefused as refused:
        if refused.code != _NOT_IN_THIS_STATE:
            raise
        refusal = refused
    now = await get(calls, subscription_id)
    if now.state in wanted:
        return now
    if refusal is None:
        raise _not_seen_yet(act, now)
    raise _wrong_state(act, now, refusal) from refusal


def path(subscription_id: str) -> str:
    return f"{_SUBSCRIPTIONS}/{segment(subscription_id)}"


def _because(reason: str) -> dict[str, str]:
    return {"reason": reason[:_LONGEST_REASON] or "Tollgate"}


def _wrong_state(act: str, now: Snapshot, refused: ProviderRefused) -> WrongState:
    error = AlreadyTerminal if now.state in _ENDED else WrongState
    problem = f"the subscription is {now.state.value}: PayPal does not {act} it"
    return error(problem, code=refused.code, reference=refused.reference)


def _plan_not_accepted(plan_id: str, refused: ProviderRefused) -> NotAccepted:
    problem = f"PayPal does not accept the plan {plan_id}: {refused.code}"
    return NotAccepted(problem, code=refused.code, reference=refused.reference)


def _not_seen_yet(act: str, now: Snapshot) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"PayPal accepted the {act}, but still reports {now.raw_status}", code="NOT_YET"
    )
