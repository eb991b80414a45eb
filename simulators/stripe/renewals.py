"""The effects of time: subscriptions that began earlier, and every charge that falls due until a
future time.
"""

from simulators.stripe.lifecycle import Lifecycle
from simulators.stripe.state import MONTH, Json, State, metadata_of, subscription_of
from simulators.transmissions import Event

_CHARGED = frozenset({"active", "trialing"})


class Renewals:
    def __init__(self, state: State, lifecycle: Lifecycle) -> None:
        self.state = state
        self.lifecycle = lifecycle

    def began(self, subscription: Json, at: int) -> None:
        """Backdates the subscription: created, and first paid, at `at`."""
        subscription["created"] = at
        subscription["items"]["data"][0] |= {
            "current_period_start": at,
            "current_period_end": at + MONTH,
        }
        for invoice in self._invoices(subscription):
            self._dated(invoice, at)

    def bill_until(self, until: int, organization_id: str) -> list[Event]:
        """Perform a customer's charges that fall due up to `until`, each at its time; skips
        canceled subscriptions.
        """
        events: list[Event] = []
        for subscription in list(
            self.state.all("subscription", metadata={"organization_id": organization_id})
        ):
            while (due := self._due(subscription)) is not None and due <= until:
                events += self.lifecycle.pay(subscription)
                self._dated(self.state.get(subscription["latest_invoice"], "invoice"), due)
        return events

    def charges(self, organization_id: str) -> list[int]:
        """When the customer was charged, by any subscription; oldest first."""
        return sorted(
            invoice["created"]
            for invoice in self.state.all("invoice")
            if invoice["amount_paid"]
            and metadata_of(invoice).get("organization_id") == organization_id
        )

    def _due(self, subscription: Json) -> int | None:
        if subscription["status"] not in _CHARGED or subscription["cancel_at_period_end"]:
            return None
        return int(subscription["items"]["data"][0]["current_period_end"])

    def _invoices(self, subscription: Json) -> list[Json]:
        return [
            invoice
            for invoice in self.state.all("invoice")
            if subscription_of(invoice) == subscription["id"]
        ]

    def _dated(self, invoice: Json, at: int) -> None:
        invoice["created"] = at
        invoice["status_transitions"] = {"finalized_at": at, "paid_at": at}
