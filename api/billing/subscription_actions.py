"""Changes of the current subscription at its provider. The provider's answer then decides the
standing.
"""

from dataclasses import replace
from datetime import UTC, datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.billing.fields import SubscriptionOut, Token
from api.billing.subscriptions import paid_for, request_id
from api.context import Context, Here, IdempotencyKey, OrganizationId
from api.http.auth import OPERATOR, WRITE
from api.http.errors import Kind, Problem, not_found
from api.http.fields import Amount, Body, Currency, CurrencyOut, Decimal, ReasonRequest
from api.http.idempotency import Once, mark_replayed
from db.billing import collections, subscriptions
from db.billing.collections import Collection
from db.inbox import snapshots
from db.lifecycle import organizations
from domain.billing.events import PaymentStatus
from domain.billing.subscription import Snapshot, State, Subscription
from domain.money import Money
from providers.billing import BillingProvider, Resumed

router = APIRouter(prefix="/v1/organizations/{organization_id}/subscription", tags=["subscription"])
_NOT_BEGUN = (State.NONE, State.PENDING)


class ResumptionOut(BaseModel):
    """The result of resuming a subscription."""

    outcome: Resumed = Field(
        description=(
            "`needs_payment`: the unpaid amount must be paid first; `needs_new_consent`: only"
            " a new checkout helps."
        )
    )
    subscription: SubscriptionOut


class _Outcome(BaseModel):
    """What a replay cannot read again."""

    outcome: Resumed


class PlanRequest(Body):
    """The plan to change to."""

    plan_id: Token = Field(
        examples=["P-5ML4271244454362WXNWU5NQ"],
        description="The provider's id of the plan or price.",
    )


class PlanOut(BaseModel):
    """The result of changing a plan."""

    approve_url: str | None = Field(
        description="Where the customer must approve the change; null if the change is in force."
    )


class CollectionRequest(Body):
    """The amount to collect; it must equal `outstanding` of the subscription."""

    amount: Amount = Field(description="The outstanding amount.")
    currency: Currency = Field(description="ISO 4217 code.")


class CollectedOut(BaseModel):
    """The result of an attempt to collect."""

    payment_id: str | None = Field(
        description="The provider's id of the payment; null if it has not named one, or made none."
    )
    status: str = Field(
        examples=["completed"],
        description="`completed`, `pending` (repeat the request with the same key) or `declined`.",
    )
    amount: Decimal = Field(description="The amount of the attempt.")
    currency: CurrencyOut = Field(description="ISO 4217 code.")


@router.post(
    "/suspend",
    dependencies=[OPERATOR],
    operation_id="suspend_subscription",
    summary="Suspend the subscription at its provider",
)
async def suspend(
    organization_id: OrganizationId, body: ReasonRequest, here: Here, once: Once
) -> SubscriptionOut:
    """The provider charges nothing until the subscription is resumed. The state that the provider
    reports is enforced before the response. With `TOLLGATE_STRIPE_SUSPEND_BY=collection` Stripe
    only stops charging, and service continues. Idempotent. Returns 409 if there is no subscription,
    if it has not begun, or if it has ended.
    """
    provider, subscription = await _current(here, organization_id)
    if await once.begin(here, body):
        return SubscriptionOut.of(subscription)
    snapshot = await provider.ensure_suspended(subscription.id, body.reason)
    answer = await _followed(here, subscription, snapshot)
    await once.finish(here, body)
    return answer


@router.post(
    "/resume",
    dependencies=[OPERATOR],
    operation_id="resume_subscription",
    summary="Resume the subscription at its provider",
)
async def resume(
    organization_id: OrganizationId, body: ReasonRequest, here: Here, once: Once
) -> ResumptionOut:
    """If the provider reports that the subscription bills again, the organization is reactivated.
    Idempotent.
    """
    provider, subscription = await _current(here, organization_id)
    if (earlier := await once.begin(here, body)) and earlier.answer:
        return ResumptionOut(
            outcome=_Outcome.model_validate_json(earlier.answer).outcome,
            subscription=SubscriptionOut.of(subscription),
        )
    outcome = await provider.ensure_resumed(subscription.id, body.reason)
    snapshot = await provider.get_subscription(subscription.id)
    followed = await _followed(here, subscription, snapshot)
    await once.finish(here, body, _Outcome(outcome=outcome))
    return ResumptionOut(outcome=outcome, subscription=followed)


@router.post(
    "/cancel",
    dependencies=[WRITE],
    operation_id="cancel_subscription",
    summary="Cancel the subscription at its provider",
)
async def cancel(
    organization_id: OrganizationId, body: ReasonRequest, here: Here, once: Once
) -> SubscriptionOut:
    """Cancels at once and for good; the period that was paid for is served to its end. Expires the
    link of an open checkout. Idempotent.
    """
    provider, subscription = await _current(here, organization_id, begun=False)
    if await once.begin(here, body):
        return SubscriptionOut.of(subscription)
    snapshot = await provider.ensure_canceled(subscription.id, body.reason)
    answer = await _followed(here, subscription, snapshot)
    await once.finish(here, body)
    return answer


@router.post(
    "/plan",
    dependencies=[WRITE],
    operation_id="change_plan",
    summary="Change the plan of the subscription at its provider",
)
async def plan(
    organization_id: OrganizationId, body: PlanRequest, here: Here, once: Once
) -> PlanOut:
    """Returns the link at which the customer approves the change, if the provider requires one."""
    provider, subscription = await _current(here, organization_id)
    if (earlier := await once.begin(here, body)) and earlier.answer:
        return PlanOut.model_validate_json(earlier.answer)
    changed = await provider.change_plan(subscription.id, body.plan_id)
    answer = PlanOut(approve_url=changed.approve_url)
    await once.finish(here, body, answer)
    here.notify(organization_id)
    return answer


@router.post(
    "/collect",
    dependencies=[WRITE],
    operation_id="collect_payment",
    summary="Collect the outstanding amount",
)
async def collect(
    organization_id: OrganizationId,
    body: CollectionRequest,
    key: IdempotencyKey,
    here: Here,
    response: Response,
) -> CollectedOut:
    """Asks the provider to charge now. The amount must equal `outstanding` of the subscription. One
    key is one attempt, and its result stays; use a new key for another attempt after `declined`.
    Returns 409 if nothing is outstanding, or another amount.
    """
    provider, subscription = await _current(here, organization_id)
    amount, now = Money(body.amount, body.currency), datetime.now(UTC)
    begun = Collection(
        organization_id=organization_id,
        key=key,
        subscription_id=subscription.id,
        amount=amount,
        started_at=now,
    )
    async with here.services.engine.begin() as conn:
        attempt = await collections.begin(conn, begun)
    if (attempt.subscription_id, attempt.amount) != (subscription.id, amount):
        raise Problem(
            Kind.IDEMPOTENCY_KEY_REUSED,
            f"the key belongs to a collection of {attempt.amount} of {attempt.subscription_id}",
        )
    if attempt.status is PaymentStatus.PENDING:
        attempt = await _collect(here, provider, attempt)
    else:
        mark_replayed(response)
    return CollectedOut(
        payment_id=attempt.payment_id,
        status=attempt.status.value,
        amount=attempt.amount.micros,
        currency=attempt.amount.currency,
    )


async def _collect(here: Context, provider: BillingProvider, attempt: Collection) -> Collection:
    key = request_id(attempt.organization_id, f"collect\n{attempt.key}")
    collected = await provider.collect_outstanding(
        attempt.subscription_id, attempt.amount, idempotency_key=key, since=attempt.started_at
    )
    status = (
        PaymentStatus.PENDING if collected.status is PaymentStatus.UNKNOWN else collected.status
    )
    if status is not PaymentStatus.PENDING:
        async with here.services.engine.begin() as conn:
            await collections.settle(conn, attempt, status, collected.payment_id)
    here.notify(attempt.organization_id)
    return replace(attempt, status=status, payment_id=collected.payment_id)


async def _current(
    here: Context, organization_id: str, *, begun: bool = True
) -> tuple[BillingProvider, Subscription]:
    async with here.snapshot() as conn:
        if await organizations.get(conn, organization_id) is None:
            raise not_found("organization")
        subscription = await paid_for(here, conn, organization_id)
    if begun and subscription.snapshot.state in _NOT_BEGUN:
        raise Problem(
            Kind.SUBSCRIPTION_NOT_STARTED,
            f"the subscription is {subscription.snapshot.state.value}:"
            " the customer has not consented to it",
        )
    return here.services.providers[subscription.provider], subscription


async def _followed(
    here: Context, subscription: Subscription, snapshot: Snapshot
) -> SubscriptionOut:
    """Applies what the provider reports now, which may shut the gate. The lifecycle reads it again,
    and may open the gate.
    """
    cause = (
        f"{subscription.provider.value} says {snapshot.raw_status} of {subscription.id},"
        " as the application requested"
    )
    async with here.services.engine.begin() as conn:
        await snapshots.confirm(
            conn, subscription, snapshot, now=datetime.now(UTC), cause=cause, may_open=False
        )
        found = await subscriptions.find(
            conn, subscription.provider, snapshot.subscription_id or subscription.id
        )
    here.notify(subscription.organization_id)
    return SubscriptionOut.of(found or subscription)
