"""PayPal Subscriptions behind the interface of `providers.billing`; only translates, never retries,
logs or decides.

Source: PayPal's OpenAPI `billing_subscriptions_v1.json`. Only create and capture honor
`PayPal-Request-Id`, so the other commands are idempotent by state: act, and if PayPal reports a
wrong state, read.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import httpx

from domain.billing.events import BillingEvent, Dispute, MoneyObject, MoneyReference, Payment
from domain.billing.subscription import BILLING, Provider, Snapshot, State
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
from providers.errors import (
    AlreadyTerminal,
    NotAccepted,
    NotFound,
    ProviderRefused,
    ProviderUnavailable,
    WrongState,
)
from providers.paypal import collecting, payments, reading, topups, webhooks
from providers.paypal.calls import Calls, between, rfc3339, segment
from providers.paypal.certificates import Certificates
from providers.paypal.oauth import Tokens
from providers.paypal.reading import Json
from providers.paypal.signatures import Signatures
from providers.paypal.snapshots import snapshot
from providers.paypal.tracing import Tracing

_SUBSCRIPTIONS = "/v1/billing/subscriptions"
_PLANS = "/v1/billing/plans"
_EVENTS = "/v1/notifications/webhooks-events"
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
        """Includes the plan, which defines how long a payment lasts; reads it separately if the
        response omits it.
        """
        subscription = await self._calls.get(
            _path(subscription_id), {"fields": "last_failed_payment,plan"}
        )
        plan_id = reading.text(subscription, "plan_id")
        if (
            plan_id is not None
            and not reading.part(subscription, "plan")
            and reading.part(subscription, "billing_info")
        ):
            with suppress(NotFound):
                subscription = {
                    **subscription,
                    "plan": await self._calls.get(f"{_PLANS}/{segment(plan_id)}"),
                }
        return snapshot(subscription)

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
            subscription = await self._calls.post(
                _SUBSCRIPTIONS, body, idempotency_key=idempotency_key
            )
        except ProviderRefused as refused:
            if isinstance(refused, NotFound) or refused.code in _PLAN_REFUSED:
                raise _plan_not_accepted(plan_id, refused) from refused
            raise
        id_, url = reading.text(subscription, "id"), reading.link(subscription, "approve")
        if id_ is None or url is None:
            raise ProviderUnavailable(
                "PayPal created a subscription without an id or an approve link"
            )
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
        return await self._ensure(subscription_id, "suspend", reason, _SUSPENDED)

    async def ensure_canceled(self, subscription_id: str, reason: str) -> Snapshot:
        return await self._ensure(subscription_id, "cancel", reason, _ENDED)

    async def ensure_resumed(self, subscription_id: str, reason: str) -> Resumed:
        """Activates once. PayPal usually refuses for a subscription suspended for non-payment; the
        result says what is needed.
        """
        refusal: ProviderRefused | None = None
        try:
            await self._calls.post(f"{_path(subscription_id)}/activate", _because(reason))
        except ProviderRefused as refused:
            if refused.code not in (_NOT_IN_THIS_STATE, _CANNOT_BE_ACTIVATED):
                raise
            refusal = refused
        now = await self.get_subscription(subscription_id)
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

    async def change_plan(self, subscription_id: str, plan_id: str) -> PlanChange:
        try:
            revision = await self._calls.post(
                f"{_path(subscription_id)}/revise", {"plan_id": plan_id}
            )
        except ProviderRefused as refused:
            # a 404 may also mean the subscription
            now = await self.get_subscription(subscription_id)
            if now.state not in BILLING | _SUSPENDED:
                raise _wrong_state("revise", now, refused) from refused
            if isinstance(refused, NotFound) or refused.code in _PLAN_REFUSED:
                raise _plan_not_accepted(plan_id, refused) from refused
            raise
        return PlanChange(approve_url=reading.link(revision, "approve"))

    async def collect_outstanding(
        self, subscription_id: str, amount: Money, *, idempotency_key: str, since: datetime
    ) -> Collected:
        return await collecting.collect(
            self._calls,
            _path(subscription_id),
            amount,
            idempotency_key=idempotency_key,
            since=since,
        )

    async def list_payments(
        self, subscription_id: str, start: datetime, end: datetime
    ) -> AsyncIterator[Payment]:
        answer = await self._calls.get(
            f"{_path(subscription_id)}/transactions", between(start, end)
        )
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

    async def _ensure(
        self, subscription_id: str, act: str, reason: str, wanted: frozenset[State]
    ) -> Snapshot:
        refusal: ProviderRefused | None = None
        try:
            await self._calls.post(f"{_path(subscription_id)}/{act}", _because(reason))
        except ProviderRefused as refused:
            if refused.code != _NOT_IN_THIS_STATE:
                raise
            refusal = refused
        now = await self.get_subscription(subscription_id)
        if now.state in wanted:
            return now
        if refusal is None:
            raise _not_seen_yet(act, now)
        raise _wrong_state(act, now, refusal) from refusal

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


def _path(subscription_id: str) -> str:
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
