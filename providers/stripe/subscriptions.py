"""Subscriptions at Stripe: read, suspended, resumed, canceled, moved to another plan, collected for.

A command is idempotent by state: read, act if needed, read again. It carries no key: after a
reactivation Stripe would answer a second suspension with the first one's response and do nothing.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from domain.billing.events import PaymentStatus
from domain.billing.subscription import BILLING, Snapshot, State
from domain.money import Money
from providers.billing import Collected, PlanChange, Resumed
from providers.errors import (
    AlreadyTerminal,
    NotAccepted,
    NotFound,
    ProviderRefused,
    ProviderUnavailable,
    WrongState,
)
from providers.reading import Json, part, parts, text
from providers.stripe import invoices, money
from providers.stripe.calls import Declined, Unfit, json_and_time_of, json_of, named
from providers.stripe.snapshots import due_invoice, of_checkout, snapshot

_CHECKOUT = "cs_"
_PAUSED = "paused"
_UNPAID = "unpaid"
_SUSPENDED = frozenset({State.SUSPENDED_NONPAYMENT, State.PAUSED})
_ENDED = frozenset({State.CANCELED, State.EXPIRED})
_CLOCKS_DIFFER = timedelta(minutes=1)
_KEY_KEPT_FOR = timedelta(hours=23)
"""Stripe forgets an idempotency key after a day; the same key would then charge again."""


class SuspendBy(StrEnum):
    """`PAUSE` stops the subscription; `COLLECTION` leaves it active and only stops charging."""

    PAUSE = "pause"
    COLLECTION = "collection"


async def get(api: Any, subscription_id: str) -> Snapshot:
    """Reads a subscription, or the checkout that will become one."""
    if subscription_id.startswith(_CHECKOUT):
        expand = ["subscription", "subscription.latest_invoice"]
        session, at = await json_and_time_of(
            api.checkout.sessions.retrieve_async(named(subscription_id), {"expand": expand})
        )
        failed = await invoices.failed(api, part(session, "subscription"), at)
        return of_checkout(session, queried_at=at, failed=failed)
    return (await _look(api, subscription_id))[1]


async def suspend(api: Any, subscription_id: str, reason: str, by: SuspendBy) -> Snapshot:
    """With `SuspendBy.COLLECTION` the state does not change; `reason` is stored in the
    metadata.
    """
    subscription, now, _ = await _look(api, subscription_id)
    collects = not subscription.get("pause_collection")
    if now.state in _ENDED:
        raise AlreadyTerminal(f"the subscription is {now.state.value}")
    if by is SuspendBy.COLLECTION:
        if collects:
            parameters: Any = {
                "pause_collection": {"behavior": "void"},
                "metadata": {"suspended_for": reason[:500]},
            }
            try:
                await json_of(api.subscriptions.update_async(subscription_id, parameters))
            except Unfit as refused:
                raise _wrong_state("stop charging for", now, refused) from refused
        return (await _look(api, subscription_id))[1]
    if now.state in _SUSPENDED:
        return now
    refusal: ProviderRefused | None = None
    try:
        await json_of(api.subscriptions.pause_async(subscription_id, {"type": "subscription"}))
    except ProviderRefused as refused:
        refusal = refused  # also Stripe's answer if it was paused meanwhile; the read below decides
    now = await get(api, subscription_id)
    if now.state not in _SUSPENDED:
        raise (
            _not_seen_yet("pause", now) if refusal is None else _wrong_state("pause", now, refusal)
        )
    return now


async def resume(api: Any, subscription_id: str) -> Resumed:
    """Resumes a paused subscription that owes nothing; a payment alone does not resume it."""
    subscription, now, _ = await _look(api, subscription_id)
    if now.state in _ENDED or now.state is State.PENDING:
        return Resumed.NEEDS_NEW_CONSENT
    if subscription.get("pause_collection"):
        await json_of(api.subscriptions.update_async(subscription_id, {"pause_collection": ""}))
    if now.raw_status == _PAUSED and now.outstanding is None:
        how: Any = {"payment_behavior": "resume_on_payment_success"}
        try:
            await json_of(api.subscriptions.resume_async(subscription_id, how))
        except Declined:
            return Resumed.NEEDS_PAYMENT
        except Unfit:
            pass  # also Stripe's answer if it was resumed or canceled meanwhile; the read below decides
        now = await get(api, subscription_id)
    if now.state in BILLING:
        return Resumed.RESUMED
    if now.state in _ENDED:
        return Resumed.NEEDS_NEW_CONSENT
    if now.outstanding is not None or now.raw_status == _UNPAID:
        return Resumed.NEEDS_PAYMENT
    raise _not_seen_yet("resume", now)


async def cancel(api: Any, subscription_id: str, reason: str) -> Snapshot:
    """Cancels immediately. `reason` can be read back from `cancellation_details.comment`."""
    if subscription_id.startswith(_CHECKOUT):
        return await _expire(api, subscription_id, reason)
    _, now, _ = await _look(api, subscription_id)
    if now.state in _ENDED:
        return now
    try:
        parameters: Any = {"cancellation_details": {"comment": reason[:500]}}
        await json_of(api.subscriptions.cancel_async(subscription_id, parameters))
        refusal: ProviderRefused | None = None
    except (NotFound, Unfit) as refused:
        refusal = (
            refused  # also Stripe's answer if it was canceled meanwhile; the read below decides
        )
    now = await get(api, subscription_id)
    if now.state not in _ENDED:
        raise (
            _not_seen_yet("cancel", now)
            if refusal is None
            else _wrong_state("cancel", now, refusal)
        )
    return now


async def change_plan(api: Any, subscription_id: str, plan_id: str) -> PlanChange:
    """Takes effect immediately: the card's mandate covers it."""
    subscription, now, _ = await _look(api, subscription_id)
    if now.state in _ENDED or now.state is State.PENDING:
        raise _wrong_state("change the plan of", now)
    items = parts(part(subscription, "items"), "data")
    if len(items) != 1:
        raise WrongState(f"the subscription has {len(items)} prices, not one", code="NOT_ONE_PRICE")
    item_id = text(items[0], "id") or ""
    parameters: Any = {"items": [{"id": item_id, "price": plan_id}]}
    try:
        await json_of(api.subscriptions.update_async(subscription_id, parameters))
    except Unfit as refused:
        raise not_accepted(refused) from refused
    return PlanChange()


async def collect(
    api: Any, subscription_id: str, amount: Money, *, idempotency_key: str, since: datetime
) -> Collected:
    """Pays the newest invoice if it is open, otherwise the oldest that failed. Returns a
    payment made since without charging again.
    """
    _, now, invoice_id = await _look(api, subscription_id)
    if invoice_id is None:
        raise WrongState("the subscription has no invoice", code="NO_INVOICE")
    if now.outstanding is None:
        sale = await money.sale(api, invoice_id)
        recent = (sale.occurred_at or since) >= since - _CLOCKS_DIFFER
        if sale.status is PaymentStatus.COMPLETED and sale.amount == amount and recent:
            return Collected.by(sale)
        raise WrongState("nothing is outstanding", code="NOTHING_OUTSTANDING")
    if datetime.now(UTC) - since > _KEY_KEPT_FOR:
        raise WrongState(
            "the key was first used a day ago, and Stripe no longer keeps it: use a new one"
        )
    if now.outstanding != amount:
        raise WrongState(f"{now.outstanding} is open, not {amount}", code="ANOTHER_AMOUNT")
    try:
        await json_of(api.invoices.pay_async(invoice_id, {}, {"idempotency_key": idempotency_key}))
    except ProviderRefused as refused:
        sale = await money.sale(api, invoice_id)  # it may have been paid meanwhile
        if sale.status is PaymentStatus.COMPLETED:
            return Collected.by(sale)
        if isinstance(refused, Declined):
            return Collected(
                status=PaymentStatus.DECLINED, amount=amount, payment_id=sale.reference.id
            )
        if isinstance(refused, Unfit):
            raise WrongState(
                str(refused), code=refused.code, reference=refused.reference
            ) from refused
        raise
    return Collected.by(await money.sale(api, invoice_id))


async def _look(api: Any, subscription_id: str) -> tuple[Json, Snapshot, str | None]:
    """The subscription, its snapshot, and the id of the next invoice to pay."""
    request = api.subscriptions.retrieve_async(
        named(subscription_id), {"expand": ["latest_invoice"]}
    )
    subscription, at = await json_and_time_of(request)
    failed = await invoices.failed(api, subscription, at)
    due_id = text(due_invoice(subscription, failed), "id")
    return subscription, snapshot(subscription, queried_at=at, failed=failed), due_id


async def _expire(api: Any, session_id: str, reason: str) -> Snapshot:
    now = await get(api, session_id)
    if now.subscription_id is None and now.state not in _ENDED:
        # also Stripe's answer if it was completed meanwhile; the read below decides
        with suppress(ProviderRefused):
            await json_of(api.checkout.sessions.expire_async(session_id))
        now = await get(api, session_id)
    if now.subscription_id is not None:
        return await cancel(api, now.subscription_id, reason)
    if now.state not in _ENDED:
        raise _not_seen_yet("expiry", now)
    return now


def _wrong_state(act: str, now: Snapshot, refused: ProviderRefused | None = None) -> WrongState:
    error = AlreadyTerminal if now.state in _ENDED else WrongState
    problem = f"the subscription is {now.state.value}: Stripe does not {act} it"
    return error(
        problem,
        code=refused.code if refused else "",
        reference=refused.reference if refused else "",
    )


def not_accepted(refused: Unfit) -> NotAccepted:
    """Only parameters that the caller named can be wrong: a price, an address."""
    return NotAccepted(str(refused), code=refused.code, reference=refused.reference)


def _not_seen_yet(act: str, now: Snapshot) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"Stripe accepted the {act}, but still reports {now.raw_status}", code="NOT_YET"
    )
