"""Stripe Billing behind the interface of `providers.billing`; only translates, never retries, logs
or decides.

Creating and charging carry the caller's idempotency key. Other commands are idempotent by state:
read, act if needed, read again. They carry no key: after a reactivation Stripe would answer a
second suspension with the first one's response and do nothing.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import httpx
import stripe

from domain.billing.events import BillingEvent, Dispute, MoneyReference, Payment, PaymentStatus
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
from providers.reading import Json, part, parts, text
from providers.stripe import invoices, money, topups, webhooks
from providers.stripe.calls import Declined, Unfit, between, json_and_time_of, json_of, named, pages
from providers.stripe.reading import ORGANIZATION
from providers.stripe.signatures import Signatures
from providers.stripe.snapshots import due_invoice, of_checkout, snapshot
from providers.stripe.tracing import Tracing
from providers.stripe.wire import Wire

API_VERSION = "2026-10-28.endive"
"""The version that snapshots.py parses; the webhook endpoint at Stripe must have the same one."""
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
        """Reads a subscription, or the checkout that will become one."""
        if subscription_id.startswith(_CHECKOUT):
            expand = ["subscription", "subscription.latest_invoice"]
            session, at = await json_and_time_of(
                self._api.checkout.sessions.retrieve_async(
                    named(subscription_id), {"expand": expand}
                )
            )
            failed = await invoices.failed(self._api, part(session, "subscription"), at)
            return of_checkout(session, queried_at=at, failed=failed)
        return (await self._look(subscription_id))[1]

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
            made = await json_of(
                self._api.checkout.sessions.create_async(
                    parameters, {"idempotency_key": idempotency_key}
                )
            )
        except Unfit as refused:
            raise _not_accepted(refused) from refused
        id_, url = text(made, "id"), made.get("url")
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
        """With `SuspendBy.COLLECTION` the state does not change; `reason` is stored in the
        metadata.
        """
        subscription, now, _ = await self._look(subscription_id)
        collects = not subscription.get("pause_collection")
        if now.state in _ENDED:
            raise AlreadyTerminal(f"the subscription is {now.state.value}")
        if self._suspend_by is SuspendBy.COLLECTION:
            if collects:
                parameters: Any = {
                    "pause_collection": {"behavior": "void"},
                    "metadata": {"suspended_for": reason[:500]},
                }
                try:
                    await json_of(self._api.subscriptions.update_async(subscription_id, parameters))
                except Unfit as refused:
                    raise _wrong_state("stop charging for", now, refused) from refused
            return (await self._look(subscription_id))[1]
        if now.state in _SUSPENDED:
            return now
        refusal: ProviderRefused | None = None
        try:
            await json_of(
                self._api.subscriptions.pause_async(subscription_id, {"type": "subscription"})
            )
        except ProviderRefused as refused:
            refusal = (
                refused  # also Stripe's answer if it was paused meanwhile; the read below decides
            )
        now = await self.get_subscription(subscription_id)
        if now.state not in _SUSPENDED:
            raise (
                _not_seen_yet("pause", now)
                if refusal is None
                else _wrong_state("pause", now, refusal)
            )
        return now

    async def ensure_resumed(self, subscription_id: str, reason: str) -> Resumed:  # noqa: ARG002 - Stripe takes none
        """Resumes a paused subscription that owes nothing; a payment alone does not resume it."""
        subscription, now, _ = await self._look(subscription_id)
        if now.state in _ENDED or now.state is State.PENDING:
            return Resumed.NEEDS_NEW_CONSENT
        if subscription.get("pause_collection"):
            await json_of(
                self._api.subscriptions.update_async(subscription_id, {"pause_collection": ""})
            )
        if now.raw_status == _PAUSED and now.outstanding is None:
            how: Any = {"payment_behavior": "resume_on_payment_success"}
            try:
                await json_of(self._api.subscriptions.resume_async(subscription_id, how))
            except Declined:
                return Resumed.NEEDS_PAYMENT
            except Unfit:
                pass  # also Stripe's answer if it was resumed or canceled meanwhile; the read below decides
            now = await self.get_subscription(subscription_id)
        if now.state in BILLING:
            return Resumed.RESUMED
        if now.state in _ENDED:
            return Resumed.NEEDS_NEW_CONSENT
        if now.outstanding is not None or now.raw_status == _UNPAID:
            return Resumed.NEEDS_PAYMENT
        raise _not_seen_yet("resume", now)

    async def ensure_canceled(self, subscription_id: str, reason: str) -> Snapshot:
        """Cancels immediately. `reason` can be read back from `cancellation_details.comment`."""
        if subscription_id.startswith(_CHECKOUT):
            return await self._expire(subscription_id, reason)
        _, now, _ = await self._look(subscription_id)
        if now.state in _ENDED:
            return now
        try:
            parameters: Any = {"cancellation_details": {"comment": reason[:500]}}
            await json_of(self._api.subscriptions.cancel_async(subscription_id, parameters))
            refusal: ProviderRefused | None = None
        except (NotFound, Unfit) as refused:
            refusal = (
                refused  # also Stripe's answer if it was canceled meanwhile; the read below decides
            )
        now = await self.get_subscription(subscription_id)
        if now.state not in _ENDED:
            raise (
                _not_seen_yet("cancel", now)
                if refusal is None
                else _wrong_state("cancel", now, refusal)
            )
        return now

    async def change_plan(self, subscription_id: str, plan_id: str) -> PlanChange:
        """Takes effect immediately: the card's mandate covers it."""
        subscription, now, _ = await self._look(subscription_id)
        if now.state in _ENDED or now.state is State.PENDING:
            raise _wrong_state("change the plan of", now)
        items = parts(part(subscription, "items"), "data")
        if len(items) != 1:
            raise WrongState(
                f"the subscription has {len(items)} prices, not one", code="NOT_ONE_PRICE"
            )
        item_id = text(items[0], "id") or ""
        parameters: Any = {"items": [{"id": item_id, "price": plan_id}]}
        try:
            await json_of(self._api.subscriptions.update_async(subscription_id, parameters))
        except Unfit as refused:
            raise _not_accepted(refused) from refused
        return PlanChange()

    async def collect_outstanding(
        self, subscription_id: str, amount: Money, *, idempotency_key: str, since: datetime
    ) -> Collected:
        """Pays the newest invoice if it is open, otherwise the oldest that failed. Returns a
        payment made since without charging again.
        """
        _, now, invoice_id = await self._look(subscription_id)
        if invoice_id is None:
            raise WrongState("the subscription has no invoice", code="NO_INVOICE")
        if now.outstanding is None:
            sale = await money.sale(self._api, invoice_id)
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
            await json_of(
                self._api.invoices.pay_async(invoice_id, {}, {"idempotency_key": idempotency_key})
            )
        except ProviderRefused as refused:
            sale = await money.sale(self._api, invoice_id)  # it may have been paid meanwhile
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
        return Collected.by(await money.sale(self._api, invoice_id))

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

    async def _look(self, subscription_id: str) -> tuple[Json, Snapshot, str | None]:
        """The subscription, its snapshot, and the id of the next invoice to pay."""
        request = self._api.subscriptions.retrieve_async(
            named(subscription_id), {"expand": ["latest_invoice"]}
        )
        subscription, at = await json_and_time_of(request)
        failed = await invoices.failed(self._api, subscription, at)
        due_id = text(due_invoice(subscription, failed), "id")
        return subscription, snapshot(subscription, queried_at=at, failed=failed), due_id

    async def _expire(self, session_id: str, reason: str) -> Snapshot:
        now = await self.get_subscription(session_id)
        if now.subscription_id is None and now.state not in _ENDED:
            # also Stripe's answer if it was completed meanwhile; the read below decides
            with suppress(ProviderRefused):
                await json_of(self._api.checkout.sessions.expire_async(session_id))
            now = await self.get_subscription(session_id)
        if now.subscription_id is not None:
            return await self.ensure_canceled(now.subscription_id, reason)
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


def _not_accepted(refused: Unfit) -> NotAccepted:
    """Only parameters that the caller named can be wrong: a price, an address."""
    return NotAccepted(str(refused), code=refused.code, reference=refused.reference)


def _not_seen_yet(act: str, now: Snapshot) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"Stripe accepted the {act}, but still reports {now.raw_status}", code="NOT_YET"
    )
