"""Stripe Billing behind the interface of `providers.billing`; only translates, never retries, logs
or decides.

Creating and charging carry the caller's idempotency key. Other commands are idempotent by state:
read, act if needed, read again. They carry no key: after a reactivation Stripe would answer a
second suspension with the first one's response and do nothing.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
import stripe

from domain.billing.events import BillingEvent, Dispute, MoneyReference, Payment
from domain.billing.subscription import Provider, Snapshot
from domain.money import Money
from providers.billing import (
    CheckoutLink,
    Clues,
    Collected,
    Later,
    Listed,
    PlanChange,
    Resumed,
    SubscriptionPage,
    TopUp,
    TopUpLink,
)
from providers.errors import ProviderUnavailable
from providers.reading import text
from providers.stripe import listing, money, subscriptions, topups, webhooks
from providers.stripe.calls import Unfit, between, json_of, pages
from providers.stripe.reading import ORGANIZATION
from providers.stripe.signatures import Signatures
from providers.stripe.subscriptions import SuspendBy, not_accepted
from providers.stripe.tracing import Tracing
from providers.stripe.wire import Wire

API_VERSION = "2026-10-28.endive"
"""The version that snapshots.py parses; the webhook endpoint at Stripe must have the same one."""


class Stripe:
    """`client` has its time limits set. Live or test mode follows from the key."""

    name: Provider = Provider.STRIPE

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        base_url: str,
        api_key: str,
        webhook_secrets: Sequence[str],
        account: str | None = None,
        suspend_by: SuspendBy = SuspendBy.PAUSE,
    ) -> None:
        sdk = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": base_url},
            max_network_retries=0,
            http_client=Wire(client),
        )
        self._api = sdk.v1
        self._signatures = Signatures(webhook_secrets, live="_live_" in api_key, account=account)
        self._suspend_by = suspend_by

    async def verify_webhook(
        self, raw: bytes, headers: Mapping[str, str], *, now: datetime
    ) -> None:
        self._signatures.verify(raw, headers, now=now)

    def parse_webhook(self, raw: bytes, headers: Mapping[str, str]) -> BillingEvent:  # noqa: ARG002 - the protocol's
        return webhooks.parse(raw, API_VERSION)

    async def get_subscription(self, subscription_id: str) -> Snapshot:
        return await subscriptions.get(self._api, subscription_id)

    async def list_subscriptions(self, page: str | None) -> SubscriptionPage:
        return await listing.page(self._api, page)

    async def get_payment(self, reference: MoneyReference) -> Payment:
        return await money.payment(self._api, reference)

    async def get_dispute(self, dispute_id: str) -> Dispute:
        return await money.dispute(self._api, dispute_id)

    async def trace(
        self, subscription_id: str | None, money: MoneyReference | None, payment_id: str | None
    ) -> Clues:
        return await Tracing(self._api).trace(subscription_id, money, payment_id)

    async def create_checkout(
        self,
        *,
        organization_id: str,
        plan_id: str,
        return_url: str,
        cancel_url: str,
        idempotency_key: str,
        later: Later | None = None,
    ) -> CheckoutLink:
        """`plan_id` is a price. The link represents the subscription until the customer completes
        it.
        """
        parameters: Any = {
            "mode": "subscription",
            "client_reference_id": organization_id,
            "line_items": [{"price": plan_id, "quantity": 1}],
            "metadata": {ORGANIZATION: organization_id},
            "subscription_data": {"metadata": {ORGANIZATION: organization_id}},
            "success_url": return_url,
            "cancel_url": cancel_url,
        }
        if later is not None:
            parameters["subscription_data"]["trial_end"] = int(later.first_charge_at.timestamp())
            parameters["payment_method_collection"] = (
                "always"  # without a mandate the customer could not be charged after the trial
            )
            parameters["expires_at"] = int(later.expires_at.timestamp())
        try:
            session = await json_of(
                self._api.checkout.sessions.create_async(
                    parameters, {"idempotency_key": idempotency_key}
                )
            )
        except Unfit as refused:
            raise not_accepted(refused) from refused
        id_, url = text(session, "id"), session.get("url")
        if id_ is None or not isinstance(url, str):
            raise ProviderUnavailable("Stripe created a checkout without an id or a link")
        return CheckoutLink(subscription_id=id_, url=url)

    async def create_topup(
        self,
        *,
        organization_id: str,
        amount: Money,
        return_url: str,
        cancel_url: str,
        idempotency_key: str,
    ) -> TopUpLink:
        return await topups.create(
            self._api,
            organization_id=organization_id,
            amount=amount,
            return_url=return_url,
            cancel_url=cancel_url,
            idempotency_key=idempotency_key,
        )

    async def settle_topup(self, checkout_id: str) -> TopUp:
        return await topups.settle(self._api, checkout_id)

    async def ensure_suspended(self, subscription_id: str, reason: str) -> Snapshot:
        return await subscriptions.suspend(self._api, subscription_id, reason, self._suspend_by)

    async def ensure_resumed(self, subscription_id: str, reason: str) -> Resumed:  # noqa: ARG002 - Stripe takes none
        return await subscriptions.resume(self._api, subscription_id)

    async def ensure_canceled(self, subscription_id: str, reason: str) -> Snapshot:
        return await subscriptions.cancel(self._api, subscription_id, reason)

    async def change_plan(self, subscription_id: str, plan_id: str) -> PlanChange:
        return await subscriptions.change_plan(self._api, subscription_id, plan_id)

    async def collect_outstanding(
        self, subscription_id: str, amount: Money, *, idempotency_key: str, since: datetime
    ) -> Collected:
        return await subscriptions.collect(
            self._api, subscription_id, amount, idempotency_key=idempotency_key, since=since
        )

    def list_payments(
        self, subscription_id: str, start: datetime, end: datetime
    ) -> AsyncIterator[Payment]:
        return money.sales(self._api, subscription_id, start, end)

    async def list_events(self, start: datetime, end: datetime) -> AsyncGenerator[Listed, None]:
        """Events at Stripe, newest first, whether delivered or not; Stripe keeps 30 days."""
        async for envelope in pages(self._api.events.list_async, {"created": between(start, end)}):
            yield Listed(
                event=webhooks.event(envelope, API_VERSION), raw=json.dumps(envelope).encode()
            )
