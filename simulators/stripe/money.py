"""Changes of paid money: refunds and disputes, each with its events."""

from simulators.stripe.events import Events
from simulators.stripe.invoices import Impossible
from simulators.stripe.state import Json, State
from simulators.transmissions import Event

_OUTCOMES = frozenset({"won", "lost", "warning_closed", "prevented"})
TO_ANSWER = 14 * 86_400
"""Stripe says by when a dispute has to be answered, usually 7 to 21 days later
(docs.stripe.com/disputes/how-disputes-work).
"""


class MoneyMoves:
    def __init__(self, state: State, events: Events) -> None:
        self.state = state
        self.events = events

    def refund(
        self, intent: Json, amount: int | None = None, *, metadata: Json | None = None
    ) -> tuple[Json, list[Event]]:
        charge = self.state.get(intent["latest_charge"], "charge")
        back = charge["amount"] - charge["amount_refunded"] if amount is None else amount
        if back <= 0 or charge["amount_refunded"] + back > charge["amount"]:
            raise Impossible(
                "Refund amount is greater than unrefunded amount on charge",
                "charge_already_refunded",
            )
        charge["amount_refunded"] += back
        refund = self.state.add(
            "refund",
            "re",
            amount=back,
            currency=charge["currency"],
            charge=charge["id"],
            payment_intent=intent["id"],
            status="succeeded",
            metadata=metadata or {},
        )
        return refund, [
            self.events.emit("refund.created", refund),
            self.events.emit("charge.refunded", charge),
        ]

    def fail_refund(self, refund: Json) -> list[Event]:
        """The bank rejects the refund; the merchant has the money again."""
        charge = self.state.get(refund["charge"], "charge")
        charge["amount_refunded"] -= refund["amount"]
        refund["status"] = "failed"
        return [self.events.emit("refund.failed", refund)]

    def dispute(self, intent: Json, reason: str = "fraudulent") -> tuple[Json, list[Event]]:
        charge = self.state.get(intent["latest_charge"], "charge")
        dispute = self.state.add(
            "dispute",
            "dp",
            amount=charge["amount"] - charge["amount_refunded"],
            currency=charge["currency"],
            charge=charge["id"],
            payment_intent=intent["id"],
            reason=reason,
            status="needs_response",
            evidence_details={
                "due_by": self.state.now() + TO_ANSWER,
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
            },
            metadata={},
        )
        return dispute, [self._tell(dispute, "created"), self._tell(dispute, "funds_withdrawn")]

    def close(self, dispute: Json, outcome: str) -> list[Event]:
        if outcome not in _OUTCOMES:
            raise ValueError(f"outcome: one of {sorted(_OUTCOMES)}")
        dispute["status"] = outcome
        events = [self._tell(dispute, "closed")]
        return events if outcome == "lost" else [*events, self._tell(dispute, "funds_reinstated")]

    def _tell(self, dispute: Json, what: str) -> Event:
        return self.events.emit(f"charge.dispute.{what}", dispute)
