"""Finds the owner of an object at Stripe by following its references; trusts no webhook.

Source: Stripe's API 2026-10-28.endive: disputes and refunds name a payment intent, an invoice
payment leads from that to the invoice and its subscription; subscriptions, intents, invoices and
customers carry the host's metadata.
"""

from collections.abc import Awaitable
from typing import Any

from domain.billing.events import MoneyObject, MoneyReference
from providers.billing import Clues
from providers.errors import NotFound
from providers.gathering import Gathered
from providers.reading import Json, part, parts, text
from providers.stripe.calls import json_of, named
from providers.stripe.reading import amount, id_of, organization

_AMOUNTS = ("amount_paid", "amount_received", "amount_total", "amount")


class Tracing:
    """Serves one query: create a new `Tracing` for each."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._gathered = Gathered()
        self._seen: set[str] = set()

    async def trace(
        self, subscription_id: str | None, money: MoneyReference | None, payment_id: str | None
    ) -> Clues:
        """Raises `NotFound` if Stripe has none of them."""
        match money:
            case MoneyReference(kind=MoneyObject.DISPUTE, id=id_):
                await self._of_intent(
                    await self._look(self._api.disputes.retrieve_async(named(id_)))
                )
            case MoneyReference(kind=MoneyObject.REFUND, id=id_):
                await self._of_intent(
                    await self._look(self._api.refunds.retrieve_async(named(id_)))
                )
            case MoneyReference(id=id_):
                await self._payment(id_)
            case None if payment_id is not None:
                await self._payment(payment_id)
        if money is None and subscription_id is not None:
            await self._subscription(subscription_id)
        if not self._seen:
            raise NotFound("Stripe has none of the objects that the event names")
        return self._gathered.clues()

    async def _of_intent(self, back: Json) -> None:
        payment_id = id_of(back, "payment_intent") or id_of(back, "charge")
        if payment_id is not None and payment_id not in self._gathered.payment_ids:
            await self._payment(payment_id)

    async def _payment(self, id_: str) -> None:
        if id_.startswith("in_"):
            await self._invoice(await self._look(self._api.invoices.retrieve_async(named(id_))))
            return
        self._gathered.payment_ids.append(id_)
        if id_.startswith("ch_"):
            await self._of_intent(await self._look(self._api.charges.retrieve_async(named(id_))))
            return
        await self._look(self._api.payment_intents.retrieve_async(named(id_)))
        paid = {"type": "payment_intent", "payment_intent": id_}
        found = await json_of(
            self._api.invoice_payments.list_async({"payment": paid, "expand": ["data.invoice"]})
        )
        for payment in parts(found, "data"):
            await self._invoice(part(payment, "invoice"))

    async def _invoice(self, invoice: Json) -> None:
        self._note(invoice)
        details = part(part(invoice, "parent"), "subscription_details")
        self._note(details)
        subscription_id = id_of(details, "subscription") or id_of(invoice, "subscription")
        if subscription_id is not None:
            await self._subscription(subscription_id)

    async def _subscription(self, id_: str) -> None:
        if id_.startswith("cs_"):
            session = await self._look(self._api.checkout.sessions.retrieve_async(named(id_)))
            inner = id_of(session, "subscription")
            if inner is not None:
                await self._subscription(inner)
            return
        self._gathered.subscription_ids.append(id_)
        subscription = await self._look(self._api.subscriptions.retrieve_async(named(id_)))
        for item in parts(part(subscription, "items"), "data"):
            price = part(item, "price")
            self._gathered.plan_ids += [
                id_ for id_ in (text(price, "id"), id_of(price, "product")) if id_ is not None
            ]

    async def _look(self, request: Awaitable[Any]) -> Json:
        """Empty if Stripe has no such object; also reads its customer."""
        try:
            found = await json_of(request)
        except NotFound:
            return {}
        self._seen.add(text(found, "id") or "")
        self._note(found)
        customer_id = id_of(found, "customer")
        if customer_id is not None and customer_id not in self._seen:
            await self._look(self._api.customers.retrieve_async(named(customer_id)))
        return found

    def _note(self, found: Json) -> None:
        names = (organization(found), text(found, "client_reference_id"))
        self._gathered.custom_ids += [id_ for id_ in names if id_ is not None]
        texts = [
            text(found, name) for name in ("receipt_email", "customer_email", "email", "number")
        ]
        self._gathered.payer += [
            label for label in [*texts, id_of(found, "customer")] if label is not None
        ]
        amounts = (amount(found, name) for name in _AMOUNTS)
        self._gathered.amount = self._gathered.amount or next(
            (value for value in amounts if value is not None), None
        )
