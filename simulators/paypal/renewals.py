"""The effects of time: every charge that falls due until a future time."""

from datetime import datetime

from simulators.paypal.lifecycle import Lifecycle
from simulators.paypal.state import State
from simulators.transmissions import Event


class Renewals:
    def __init__(self, state: State, lifecycle: Lifecycle) -> None:
        self.state = state
        self.lifecycle = lifecycle

    def bill_until(self, until: datetime, custom_id: str) -> list[Event]:
        """Perform a customer's charges that fall due up to `until`, each at its time; skips
        canceled and suspended subscriptions.
        """
        events: list[Event] = []
        for subscription in [
            each for each in self.state.subscriptions.values() if each.custom_id == custom_id
        ]:
            while (
                subscription.status == "ACTIVE"
                and subscription.next_billing is not None
                and subscription.next_billing <= until
            ):
                events += self.lifecycle.pay(subscription, subscription.next_billing)
        return events

    def charges(self, custom_id: str) -> list[datetime]:
        """When the customer was charged, by any subscription; oldest first."""
        return sorted(
            sale.created for sale in self.state.sales.values() if sale.custom == custom_id
        )
