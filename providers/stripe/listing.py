"""Lists the account's subscriptions page by page, and then those with an unpaid invoice.

Source: Stripe's pages on listing subscriptions and invoices: newest first, at most 100 on a page;
"by default, returns a list of subscriptions that have not been canceled".
"""

from typing import Any

from domain.billing.subscription import Snapshot
from providers.billing import SubscriptionPage
from providers.reading import Json, count, part, parts, text
from providers.stripe.calls import MOST_ON_A_PAGE, json_and_time_of
from providers.stripe.reading import id_of, time
from providers.stripe.snapshots import snapshot

_SUBSCRIPTIONS, _INVOICES = "subscriptions", "invoices"


async def page(api: Any, at: str | None) -> SubscriptionPage:
    """One call. `at` is the `next` of the page before."""
    what, _, after = (at or _SUBSCRIPTIONS).partition(":")
    parameters: dict[str, Any] = {"limit": MOST_ON_A_PAGE}
    if after:
        parameters["starting_after"] = after
    if what == _SUBSCRIPTIONS:
        parameters["expand"] = ["data.latest_invoice"]
        found, queried_at = await json_and_time_of(api.subscriptions.list_async(parameters))
        snapshots: dict[str, Snapshot] = {
            id_: snapshot(subscription, queried_at=queried_at)
            for subscription in parts(found, "data")
            if (id_ := text(subscription, "id")) is not None
        }
        return SubscriptionPage(snapshots=snapshots, next=_next(found, _SUBSCRIPTIONS) or _INVOICES)
    parameters["status"] = "open"
    found, queried_at = await json_and_time_of(api.invoices.list_async(parameters))
    unpaid = {
        id_
        for invoice in parts(found, "data")
        if count(invoice, "attempt_count") > 0
        or ((due_at := time(invoice, "due_date")) and queried_at and due_at <= queried_at)
        if (id_ := _subscription_of(invoice)) is not None
    }
    return SubscriptionPage(unpaid=frozenset(unpaid), next=_next(found, _INVOICES))


def _next(found: Json, what: str) -> str | None:
    listed = parts(found, "data")
    last = text(listed[-1], "id") if listed else None
    return f"{what}:{last}" if last is not None and found.get("has_more") is True else None


def _subscription_of(invoice: Json) -> str | None:
    return id_of(part(part(invoice, "parent"), "subscription_details"), "subscription")
