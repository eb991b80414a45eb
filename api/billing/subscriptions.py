"""Subscriptions: link an existing one, or create one at the provider for the customer's consent."""

import hashlib
from datetime import UTC, datetime

from fastapi import APIRouter, Response
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.billing.fields import (
    CheckoutOut,
    CheckoutRequest,
    LinkRequest,
    SubscriptionOut,
    SubscriptionsOut,
)
from api.context import Context, Here, IdempotencyKey, OrganizationId
from api.http.auth import READ, WRITE
from api.http.errors import Kind, Problem, invalid, not_found
from api.http.idempotency import Once, mark_replayed
from db.billing import subscriptions
from db.inbox import owners, parking, snapshots
from db.lifecycle import organizations, standings
from domain.billing.subscription import BILLING, Provider, Snapshot, State, Subscription
from providers.billing import BillingProvider, CheckoutLink
from providers.errors import NotFound

router = APIRouter(prefix="/v1/organizations/{organization_id}/subscription", tags=["subscription"])


@router.get(
    "",
    dependencies=[READ],
    operation_id="get_subscription",
    summary="Get the subscriptions of an organization",
)
async def get(organization_id: OrganizationId, here: Here) -> SubscriptionsOut:
    """Returns the current subscription and all others."""
    async with here.snapshot() as conn:
        await _organization(conn, organization_id)
        found = await subscriptions.of_organization(conn, organization_id)
    shown = [SubscriptionOut.of(subscription) for subscription in found]
    return SubscriptionsOut(
        current=next((subscription for subscription in shown if subscription.is_current), None),
        others=[subscription for subscription in shown if not subscription.is_current],
    )


@router.post(
    "",
    status_code=201,
    dependencies=[WRITE],
    operation_id="link_subscription",
    summary="Link a subscription",
)
async def link(
    organization_id: OrganizationId, body: LinkRequest, here: Here, response: Response, once: Once
) -> SubscriptionOut:
    """Reads the subscription from its provider and makes it the current one: from now on it decides
    whether the organization may send. Idempotent: a linked subscription returns 200.

    Returns 409 if the subscription belongs to another organization, or if it does not bill and
    another one is current.
    """
    provider = provider_of(here, body.provider)
    async with here.snapshot() as conn:
        await _organization(conn, organization_id)
    if await once.begin(here, body):
        response.status_code = 200
        return await _linked_before(here, body)
    snapshot = await _fetch_snapshot(provider, body.subscription_id)
    async with here.services.engine.begin() as conn:
        await standings.lock(conn, organization_id)
        await _refuse_anothers(conn, organization_id, body, snapshot)
        before = await subscriptions.find(conn, body.provider, body.subscription_id)
        await _link(conn, organization_id, body, snapshot)
        linked = await subscriptions.find(conn, body.provider, body.subscription_id)
    if linked is None:
        raise not_found("subscription")
    await once.finish(here, body)
    here.notify(organization_id)
    response.status_code = 200 if before is not None and before.is_current else 201
    return SubscriptionOut.of(linked)


async def _linked_before(here: Context, body: LinkRequest) -> SubscriptionOut:
    async with here.snapshot() as conn:
        linked = await subscriptions.find(conn, body.provider, body.subscription_id)
    if linked is None:
        raise not_found("subscription")
    return SubscriptionOut.of(linked)


@router.post(
    "/checkout",
    status_code=201,
    dependencies=[WRITE],
    operation_id="create_checkout",
    summary="Create a subscription checkout",
)
async def checkout(
    organization_id: OrganizationId,
    body: CheckoutRequest,
    key: IdempotencyKey,
    here: Here,
    response: Response,
) -> CheckoutOut:
    """Creates a subscription at a provider. The customer consents at the `url` of the answer.
    Repeating the request with the same key returns the same link with 200.
    """
    provider = provider_of(here, body.provider)
    async with here.snapshot() as conn:
        await _organization(conn, organization_id)
        before = await subscriptions.by_checkout_key(conn, organization_id, key)
    if before is None:
        made = await provider.create_checkout(
            organization_id=organization_id,
            plan_id=body.plan_id,
            return_url=body.return_url,
            cancel_url=body.cancel_url,
            idempotency_key=request_id(organization_id, key),
        )
        try:
            async with here.services.engine.begin() as conn:
                await _note(conn, organization_id, body, made, key)
            return CheckoutOut(
                provider=body.provider.value, subscription_id=made.subscription_id, url=made.url
            )
        except (
            IntegrityError
        ):  # two requests with the same key arrived together, and the provider created two
            async with here.snapshot() as conn:
                before = await subscriptions.by_checkout_key(conn, organization_id, key)
    if before is None or before.checkout_url is None:
        raise Problem(Kind.IDEMPOTENCY_KEY_REUSED)
    if before.provider is not body.provider or before.checkout_plan_id not in (
        None,
        body.plan_id,
    ):
        earlier_checkout = f"{before.checkout_plan_id} at {before.provider.value}"
        raise Problem(
            Kind.IDEMPOTENCY_KEY_REUSED, f"the key belongs to a checkout of {earlier_checkout}"
        )
    response.status_code = 200
    mark_replayed(response)
    return CheckoutOut(
        provider=before.provider.value, subscription_id=before.id, url=before.checkout_url
    )


async def _organization(conn: AsyncConnection, organization_id: str) -> None:
    if await organizations.get(conn, organization_id) is None:
        raise not_found("organization")


def provider_of(here: Context, name: Provider) -> BillingProvider:
    provider = here.services.providers.get(name)
    if provider is None:
        raise invalid("provider", f"{name.value} is not configured")
    return provider


async def paid_for(here: Context, conn: AsyncConnection, organization_id: str) -> Subscription:
    """The current subscription; 409 if there is none or its provider is not set up."""
    subscription = await subscriptions.current(conn, organization_id)
    if subscription is None:
        raise Problem(Kind.NO_CURRENT_SUBSCRIPTION, "the organization has no current subscription")
    if subscription.provider not in here.services.providers:
        raise Problem(
            Kind.PROVIDER_NOT_CONFIGURED,
            f"its provider {subscription.provider.value} is not configured",
        )
    return subscription


async def _fetch_snapshot(provider: BillingProvider, subscription_id: str) -> Snapshot:
    try:
        snapshot = await provider.get_subscription(subscription_id)
    except NotFound as problem:
        raise invalid("subscription_id", f"{provider.name.value} does not know it") from problem
    if snapshot.state is State.UNKNOWN:
        raise invalid(
            "subscription_id",
            f"{provider.name.value} reports the unknown status {snapshot.raw_status!r}",
        )
    return snapshot


async def _refuse_anothers(
    conn: AsyncConnection, organization_id: str, body: LinkRequest, snapshot: Snapshot
) -> None:
    subscription = await subscriptions.find(conn, body.provider, body.subscription_id)
    if subscription is not None and subscription.organization_id != organization_id:
        raise Problem(Kind.SUBSCRIPTION_TAKEN, "the subscription is linked to another organization")
    named = owners.organization_named(snapshot.custom_id)
    if named != organization_id and named and await organizations.get(conn, named) is not None:
        raise Problem(Kind.SUBSCRIPTION_TAKEN, f"the provider reports that it belongs to {named}")
    current = await subscriptions.current(conn, organization_id)
    if current is None or (current.provider, current.id) == (body.provider, body.subscription_id):
        return
    if snapshot.state not in BILLING:
        raise Problem(
            Kind.SUBSCRIPTION_NOT_BILLING,
            f"it is {snapshot.state.value}, and {current.id} is the current one",
        )


async def _link(
    conn: AsyncConnection, organization_id: str, body: LinkRequest, snapshot: Snapshot
) -> None:
    now = datetime.now(UTC)
    await subscriptions.add(conn, organization_id, body.provider, body.subscription_id)
    subscription = await subscriptions.find(conn, body.provider, body.subscription_id)
    if subscription is None or subscription.organization_id != organization_id:
        raise Problem(Kind.SUBSCRIPTION_TAKEN, "the subscription is linked to another organization")
    if not subscription.is_current:
        await snapshots.link(conn, subscription, snapshot, now=now)
        return
    cause = f"subscription {subscription.id} linked again"
    await snapshots.confirm(conn, subscription, snapshot, now=now, cause=cause, may_open=True)


async def _note(
    conn: AsyncConnection, organization_id: str, body: CheckoutRequest, made: CheckoutLink, key: str
) -> None:
    """Store it as the provider created it; if there is no current subscription yet, it becomes the
    current one.
    """
    provider = body.provider
    await standings.lock(conn, organization_id)
    await subscriptions.add(
        conn,
        organization_id,
        provider,
        made.subscription_id,
        checkout_url=made.url,
        checkout_key=key,
        checkout_plan_id=body.plan_id,
    )
    subscription: Subscription | None = await subscriptions.find(
        conn, provider, made.subscription_id
    )
    await parking.adopt_subscription(conn, provider, made.subscription_id, datetime.now(UTC))
    if subscription is None or await subscriptions.current(conn, organization_id) is not None:
        return
    await subscriptions.make_current(conn, subscription)
    await subscriptions.note_pending(conn, subscription)


def request_id(organization_id: str, key: str) -> str:
    """A key of a length that every provider accepts, and never the same for two organizations."""
    return hashlib.sha256(f"{organization_id}\n{key}".encode()).hexdigest()
