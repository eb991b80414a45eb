"""Reads a subscription's open invoices that failed: its status covers only the newest invoice.

Source: Stripe's page on subscription statuses. `active` does not mean that all invoices are paid: a
past-due subscription becomes active when its newest invoice is paid or written off, and others may
stay open.
"""

from datetime import datetime
from typing import Any

from providers.reading import Json, count, part, parts, text
from providers.stripe.calls import json_of, pages
from providers.stripe.reading import time

_OWING = frozenset({"past_due", "unpaid"})
_NOT_BILLED_YET = frozenset({"incomplete", "incomplete_expired"})
_UNDER_WAY = frozenset({"processing", "succeeded", "requires_capture"})


async def failed(api: Any, subscription: Json, at: datetime | None) -> list[Json] | None:
    """Oldest first; None if there can be none. One call, and one more for each open invoice with an
    attempt while the subscription is active: a bank debit is in progress for days, and has not
    failed.
    """
    status, id_ = text(subscription, "status"), text(subscription, "id")
    if id_ is None or status in _NOT_BILLED_YET or not subscription.get("latest_invoice"):
        return None
    newest_first = [
        invoice
        async for invoice in pages(api.invoices.list_async, {"subscription": id_, "status": "open"})
    ]
    tried = [
        invoice
        for invoice in reversed(newest_first)
        if count(invoice, "attempt_count") > 0 or _is_overdue(invoice, at)
    ]
    if status in _OWING:
        return tried
    return [invoice for invoice in tried if not await _is_under_way(api, invoice)]


def _is_overdue(invoice: Json, at: datetime | None) -> bool:
    """For an invoice sent to the customer, which Stripe does not try to charge."""
    due_at = time(invoice, "due_date")
    return due_at is not None and at is not None and due_at <= at


async def _is_under_way(api: Any, invoice: Json) -> bool:
    parameters = {"invoice": text(invoice, "id"), "expand": ["data.payment.payment_intent"]}
    found = await json_of(api.invoice_payments.list_async(parameters))
    intents = [part(part(payment, "payment"), "payment_intent") for payment in parts(found, "data")]
    return any(text(intent, "status") in _UNDER_WAY for intent in intents)
