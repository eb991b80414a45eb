"""The changes of checkout sessions: a customer completes one, which creates a subscription or a
payment, or it expires.
"""

from simulators.stripe.events import Events
from simulators.stripe.invoices import Impossible
from simulators.stripe.lifecycle import Lifecycle
from simulators.stripe.state import Json, State
from simulators.transmissions import Event


class Checkouts:
    def __init__(self, state: State, events: Events, lifecycle: Lifecycle) -> None:
        self.state = state
        self.events = events
        self.lifecycle = lifecycle

    def complete(self, session: Json) -> list[Event]:
        """The customer went through the checkout and paid."""
        if session["status"] != "open" or session["expires_at"] < self.state.now():
            raise Impossible(f"the session is {session['status']}, or over")
        session["status"], session["payment_status"] = "complete", "paid"
        organization_id = session["client_reference_id"]
        if session["mode"] == "payment":
            return self._complete_payment(session)
        data = session["_subscription_data"]
        trial_end = int(data.get("trial_end", 0))
        customer = session["customer"] or self.lifecycle.customer(organization_id)["id"]
        subscription, events = self.lifecycle.subscribe(
            session["_price"],
            organization_id=data.get("metadata", {}).get("organization_id"),
            customer=customer,
            trial_end=trial_end if trial_end > self.state.now() else None,
        )
        session |= {"subscription": subscription["id"], "customer": customer}
        return [*events, self.events.emit("checkout.session.completed", seen(session))]

    def expire(self, session: Json) -> list[Event]:
        if session["status"] != "open":
            raise Impossible(f"the session is {session['status']}")
        session["status"] = "expired"
        return [self.events.emit("checkout.session.expired", seen(session))]

    def _complete_payment(self, session: Json) -> list[Event]:
        metadata = session["_payment_intent_data"].get("metadata", {})
        intent = self.lifecycle.payment_intent(
            session["amount_total"], session["currency"], metadata=metadata
        )
        session["payment_intent"] = intent["id"]
        paid = self.events.emit("payment_intent.succeeded", intent)
        return [paid, self.events.emit("checkout.session.completed", seen(session))]


def seen(session: Json) -> Json:
    """An object without the simulator's internal fields."""
    return {name: value for name, value in session.items() if not name.startswith("_")}
