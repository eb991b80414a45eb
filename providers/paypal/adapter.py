"""PayPal Subscriptions behind the interface of `providers.billing`; only translates, never retries,
logs or decides.

Source: PayPal's OpenAPI `billing_subscriptions_v1.json`. Only create and capture honor
`PayPal-Request-Id`, so the other commands are idempotent by state: act, and if PayPal reports a
wrong state, read.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import datetime

import httpx

from domain.billing.events import BillingEvent, Dispute, MoneyObject, MoneyReference, Payment
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
    TopUp,
    TopUpLink,
)
from providers.errors import NotFound
from providers.paypal import collecting, payments, reading, subscriptions, topups, webhooks
from providers.paypal.calls import Calls, between, segment
from providers.paypal.certificates import Certificates
from providers.paypal.oauth import Tokens
from providers.paypal.reading import Json
from providers.paypal.signatures import Signatures
from providers.paypal.subscriptions import path
from providers.paypal.tracing import Tracing

_EVENTS = "/v1/notifications/webhooks-events"
_EVENTS_PER_PAGE = "100"


class PayPal:
    """`client` has PayPal's base URL and time limits. `online_fallback`: ask PayPal to verify a
    signature if its certificate is unavailable or not under our roots; costs one call per event.
    """

    name: Provider = Provider.PAYPAL

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        client_id: str,
        client_secret: str,
        webhook_ids: Sequence[str],
        certificates: Certificates,
        online_fallback: bool = False,
    ) -> None:
        self._calls = Calls(client, Tokens(client, client_id, client_secret))
        self._signatures = Signatures(
            certificates, webhook_ids, self._calls if online_fallback else None
        )

    async def verify_webhook(
        self, raw: bytes, headers: Mapping[str, str], *, now: datetime
    ) -> None:
        await self._signatures.verify(raw, headers, now=now)

    def parse_webhook(self, raw: bytes, headers: Mapping[str, str]) -> BillingEvent:
        return webhooks.parse(raw, headers)

    async def get_subscription(self, subscription_id: str) -> Snapshot:
        return await subscriptions.get(self._calls, subscription_id)

    async def get_payment(self, reference: MoneyReference) -> Payment:
        match reference.kind:
            case MoneyObject.SALE:
                sale = await self._calls.get(f"/v1/payments/sale/{segment(reference.id)}")
                return payments.payment(reference.kind, sale)
            case MoneyObject.CAPTURE:
                return await topups.get(self._calls, reference.id)
            case MoneyObject.REFUND:
                return await self._get_refund(reference.id)
            case MoneyObject.DISPUTE | MoneyObject.CHECKOUT:
                raise ValueError("that is not a payment: use get_dispute or settle_topup")

    async def get_dispute(self, dispute_id: str) -> Dispute:
        return payments.dispute(
            await self._calls.get(f"/v1/customer/disputes/{segment(dispute_id)}")
        )

    async def trace(
        self, subscription_id: str | None, money: MoneyReference | None, payment_id: str | None
    ) -> Clues:
        return await Tracing(self._calls).trace(subscription_id, money, payment_id)

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
        return await subscriptions.create(
            self._calls,
            organization_id=organization_id,
            plan_id=plan_id,
            return_url=return_url,
            cancel_url=cancel_url,
            idempotency_key=idempotency_key,
            later=later,
        )

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
            self._calls,
            organization_id=organization_id,
            amount=amount,
            return_url=return_url,
            cancel_url=cancel_url,
            idempotency_key=idempotency_key,
        )

    async def settle_topup(self, checkout_id: str) -> TopUp:
        return await topups.settle(self._calls, checkout_id)

    async def ensure_suspended(self, subscription_id: str, reason: str) -> Snapshot:
        return await subscriptions.suspend(self._calls, subscription_id, reason)

    async def ensure_canceled(self, subscription_id: str, reason: str) -> Snapshot:
        return await subscriptions.cancel(self._calls, subscription_id, reason)

    async def ensure_resumed(self, subscription_id: str, reason: str) -> Resumed:
        return await subscriptions.resume(self._calls, subscription_id, reason)

    async def change_plan(self, subscription_id: str, plan_id: str) -> PlanChange:
        return await subscriptions.change_plan(self._calls, subscription_id, plan_id)

    async def collect_outstanding(
        self, subscription_id: str, amount: Money, *, idempotency_key: str, since: datetime
    ) -> Collected:
        return await collecting.collect(
            self._calls,
            path(subscription_id),
            amount,
            idempotency_key=idempotency_key,
            since=since,
        )

    async def list_payments(
        self, subscription_id: str, start: datetime, end: datetime
    ) -> AsyncIterator[Payment]:
        answer = await self._calls.get(f"{path(subscription_id)}/transactions", between(start, end))
        for transaction in reading.parts(answer, "transactions"):
            yield payments.payment(MoneyObject.SALE, transaction, subscription_id=subscription_id)

    async def list_events(self, start: datetime, end: datetime) -> AsyncGenerator[Listed, None]:
        """Events that PayPal sent, for recovery after an outage; read over TLS, so without a
        signature.
        """
        page: Json = await self._calls.get(
            _EVENTS, {**between(start, end), "page_size": _EVENTS_PER_PAGE}
        )
        seen: set[str] = set()
        while True:
            envelopes = reading.parts(page, "events")
            for envelope in envelopes:
                yield Listed(event=webhooks.event(envelope), raw=json.dumps(envelope).encode())
            following = reading.link(page, "next")
            if not envelopes or following is None or following in seen:
                return
            seen.add(following)
            # its host is ignored: the call carries our token
            page = await self._calls.get(_EVENTS, dict(httpx.URL(following).params))

    async def resend_event(self, event_id: str) -> None:
        """Have PayPal deliver an event again, with a new signature."""
        await self._calls.post(f"{_EVENTS}/{segment(event_id)}/resend", {})

    async def _get_refund(self, id_: str) -> Payment:
        """Refunds of sales are in API v1, those of captures in v2; the id does not show which."""
        try:
            refund = await self._calls.get(f"/v1/payments/refund/{segment(id_)}")
        except NotFound:
            refund = await self._calls.get(f"/v2/payments/refunds/{segment(id_)}")
            return payments.payment(MoneyObject.REFUND, refund)
        sale_id = reading.text(refund, "sale_id")
        if sale_id is None or reading.text(refund, "billing_agreement_id") is not None:
            return payments.payment(MoneyObject.REFUND, refund)
        sale = await self.get_payment(MoneyReference(kind=MoneyObject.SALE, id=sale_id))
        return payments.payment(MoneyObject.REFUND, refund, subscription_id=sale.subscription_id)
