"""Finds the owner of an object at PayPal by following its references; trusts no webhook.

Sources: PayPal's OpenAPI `customer_disputes_v1.json` (disputed_transactions),
`payments_payment_v2.json` (custom_id, invoice_id), `checkout_orders_v2.json`,
`billing_subscriptions_v1.json`, and the v1 payments reference (sale, refund).
"""

from domain.billing.events import MoneyObject, MoneyReference
from providers.billing import Clues
from providers.errors import NotFound
from providers.gathering import Gathered
from providers.paypal import reading
from providers.paypal.calls import Calls, segment
from providers.paypal.payments import reversed_by
from providers.paypal.reading import Json


class Tracing:
    """Serves one query: create a new `Tracing` for each."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._gathered = Gathered()
        self._found = False

    async def trace(
        self, subscription_id: str | None, money: MoneyReference | None, payment_id: str | None
    ) -> Clues:
        """Raises `NotFound` if PayPal has none of them."""
        match money:
            case MoneyReference(kind=MoneyObject.DISPUTE, id=id_):
                await self._dispute(id_)
            case MoneyReference(kind=MoneyObject.REFUND, id=id_):
                await self._refund(id_)
            case MoneyReference(kind=MoneyObject.CHECKOUT, id=id_):
                await self._look(f"/v2/checkout/orders/{segment(id_)}")
            case MoneyReference(id=id_):
                await self._payment(id_)
            case None if payment_id is not None:
                await self._payment(payment_id)
        if money is None and subscription_id is not None:
            await self._subscription(subscription_id)
        if not self._found:
            raise NotFound("PayPal has none of the objects that the event names")
        return self._gathered.clues()

    async def _dispute(self, id_: str) -> None:
        dispute = await self._look(f"/v1/customer/disputes/{segment(id_)}")
        self._gathered.amount = reading.amount(dispute, "dispute_amount")
        for disputed in reading.parts(dispute, "disputed_transactions"):
            self._note(disputed)
            payment_id = reading.text(disputed, "seller_transaction_id")
            if payment_id is not None:
                await self._payment(payment_id)

    async def _refund(self, id_: str) -> None:
        refund = await self._look(f"/v1/payments/refund/{segment(id_)}")
        if not refund:
            refund = await self._look(f"/v2/payments/refunds/{segment(id_)}")
        payment_id = reversed_by(refund)
        if payment_id is not None:
            await self._payment(payment_id)

    async def _payment(self, id_: str) -> None:
        """A sale or a capture: the id does not show which."""
        self._gathered.payment_ids.append(id_)
        sale = await self._look(f"/v1/payments/sale/{segment(id_)}")
        if not sale:
            await self._look(f"/v2/payments/captures/{segment(id_)}")
        agreement_id = reading.text(sale, "billing_agreement_id")
        if agreement_id is not None:
            await self._subscription(agreement_id)

    async def _subscription(self, id_: str) -> None:
        self._gathered.subscription_ids.append(id_)
        subscription = await self._look(f"/v1/billing/subscriptions/{segment(id_)}")
        plan_id = reading.text(subscription, "plan_id")
        if plan_id is not None:
            self._gathered.plan_ids.append(plan_id)

    async def _look(self, path: str) -> Json:
        """Empty if PayPal has no such object."""
        try:
            document = await self._calls.get(path)
        except NotFound:
            return {}
        self._found = True
        self._note(document)
        for unit in reading.parts(document, "purchase_units"):
            self._note(unit)
        self._gathered.amount = self._gathered.amount or reading.amount(document, "amount")
        return document

    def _note(self, document: Json) -> None:
        custom = (reading.text(document, name) for name in ("custom_id", "custom"))
        self._gathered.custom_ids += [id_ for id_ in custom if id_ is not None]
        holders = [reading.part(document, name) for name in ("buyer", "payer", "subscriber")]
        texts = [reading.text(document, name) for name in ("invoice_id", "invoice_number")]
        texts += [
            reading.text(holder, "email_address") or reading.text(holder, "email")
            for holder in holders
        ]
        texts += [reading.text(holder, "name") for holder in holders]
        self._gathered.payer += [label for label in texts if label is not None]
