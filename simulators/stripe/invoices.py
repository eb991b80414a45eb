"""The invoices of subscriptions: billed, paid, failed, let go; each change returns its events."""

from typing import Any

from simulators.stripe.events import Events
from simulators.stripe.state import MONTH, Json, State, subscription_of
from simulators.transmissions import Event

ENDED = frozenset({"canceled", "incomplete_expired"})


class Impossible(Exception):
    """Stripe refuses this action in the object's state; `code` is Stripe's name for the reason."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Declined(Impossible):
    """The customer's bank, not Stripe, declined."""


class Invoices:
    def __init__(self, state: State, events: Events) -> None:
        self.state = state
        self.events = events
        self.declines: dict[str, str] = {}
        """The codes with which customers' cards are declined, by subscription."""

    def fail_payment(self, subscription: Json) -> list[Event]:
        """The renewal, or another attempt to charge it, failed: past due."""
        invoice = self._open_invoice(subscription)
        if invoice is None:
            self._next_period(subscription)
            invoice = self._bill(subscription, self._price(subscription)["unit_amount"])
        invoice["attempt_count"] += 1
        invoice["attempted"] = True
        subscription["status"] = "past_due"
        return [self.events.emit("invoice.payment_failed", invoice), self._tell(subscription)]

    def pay(self, subscription: Json) -> list[Event]:
        """The open invoice is paid; without one, the next period is billed and paid."""
        self._must_live(subscription)
        invoice = self._open_invoice(subscription)
        if invoice is None:
            self._next_period(subscription)
            invoice = self._bill(subscription, self._price(subscription)["unit_amount"])
        return self.pay_invoice(invoice)

    def pay_invoice(self, invoice: Json, *, out_of_band: bool = False) -> list[Event]:
        """A paused subscription stays paused, unless this invoice is the one that its resumption
        waits for.
        """
        if invoice["status"] not in ("open", "uncollectible"):
            raise Impossible(f"Invoice is already {invoice['status']}")
        subscription = self.state.get(subscription_of(invoice), "subscription")
        declined = self.declines.get(subscription["id"])
        if declined is not None and not out_of_band:
            invoice["attempt_count"] += 1
            raise Declined("Your card was declined.", declined)
        self._settle(invoice, out_of_band=out_of_band)
        events = self._paid(invoice)
        if subscription["status"] in ENDED:
            return events
        if subscription["status"] != "paused":
            return [*events, *self._as_its_newest_invoice(subscription)]
        return (
            [*self._resumed(subscription), *events]
            if subscription["pending_update"] is not None
            else events
        )

    def bill(self, subscription: Json, amount: int, outcome: str = "paid") -> list[Event]:
        """A further invoice within the period, as for a proration: paid, failed, or processing like
        a bank debit.
        """
        self._must_live(subscription)
        invoice = self._bill(subscription, amount)
        if outcome == "paid":
            return self.pay_invoice(invoice)
        if outcome == "failed":
            return self.fail_payment(subscription)
        if outcome != "processing":
            raise ValueError("outcome: paid, failed or processing")
        invoice |= {"attempt_count": 1, "attempted": True}
        intent = self.payment_intent(amount, invoice["currency"])
        intent |= {"status": "processing", "amount_received": 0}
        payment = {"type": "payment_intent", "payment_intent": intent["id"]}
        self.state.add(
            "invoice_payment",
            "inpay",
            invoice=invoice["id"],
            amount_paid=0,
            status="open",
            payment=payment,
        )
        return self._as_its_newest_invoice(subscription, taken=True)

    def let_go(self, invoice: Json, status: str) -> list[Event]:
        """Void or uncollectible: an invoice that the merchant no longer collects."""
        if invoice["status"] not in ("open", "uncollectible"):
            raise Impossible(f"Invoice is already {invoice['status']}")
        invoice["status"] = status
        subscription = self.state.get(subscription_of(invoice), "subscription")
        named = {"void": "voided", "uncollectible": "marked_uncollectible"}[status]
        events = [self.events.emit(f"invoice.{named}", invoice)]
        return (
            events
            if subscription["status"] in (*ENDED, "paused")
            else [*events, *self._as_its_newest_invoice(subscription)]
        )

    def _as_its_newest_invoice(self, subscription: Json, *, taken: bool = False) -> list[Event]:
        """Stripe's status follows the newest invoice that is not void, whatever else is open.
        Source: its page on statuses.
        """
        invoices = [
            invoice
            for invoice in self.state.all("invoice")
            if subscription_of(invoice) == subscription["id"] and invoice["status"] != "void"
        ]
        if taken or not invoices or invoices[-1]["status"] in ("paid", "uncollectible"):
            subscription["status"] = "active"
        return [self._tell(subscription)]

    def decline(self, subscription: Json, code: str | None) -> list[Event]:
        """From now on the customer's bank declines with this code; or accepts again."""
        self.declines.pop(subscription["id"], None)
        if code is not None:
            self.declines[subscription["id"]] = code
        return []

    def _resumed(self, subscription: Json) -> list[Event]:
        subscription |= {"status": "active", "status_details": None, "pending_update": None}
        return [self._tell(subscription, "resumed"), self._tell(subscription)]

    def payment_intent(self, amount: int, currency: str, *, metadata: Json | None = None) -> Json:
        charge = self.state.add(
            "charge", "ch", amount=amount, currency=currency, amount_refunded=0, status="succeeded"
        )
        intent = self.state.add(
            "payment_intent",
            "pi",
            amount=amount,
            amount_received=amount,
            currency=currency,
            status="succeeded",
            latest_charge=charge["id"],
            metadata=metadata or {},
        )
        charge["payment_intent"] = intent["id"]
        return intent

    def _bill(self, subscription: Json, amount: int) -> Json:
        item = subscription["items"]["data"][0]
        line = {
            "amount": amount,
            "period": {"start": item["current_period_start"], "end": item["current_period_end"]},
        }
        invoice = self.state.add(
            "invoice",
            "in",
            lines={"object": "list", "data": [line], "has_more": False},
            status="open",
            currency=subscription["currency"],
            customer=subscription["customer"],
            amount_due=amount,
            amount_paid=0,
            amount_remaining=amount,
            attempt_count=0,
            attempted=False,
            parent={
                "type": "subscription_details",
                "subscription_details": {
                    "subscription": subscription["id"],
                    "metadata": dict(subscription["metadata"] or {}),
                },
            },
            status_transitions={"finalized_at": self.state.now(), "paid_at": None},
        )
        subscription["latest_invoice"] = invoice["id"]
        return invoice

    def _settle(self, invoice: Json, *, out_of_band: bool = False) -> None:
        now = self.state.now()
        due = invoice["amount_due"]
        invoice |= {"status": "paid", "amount_paid": due, "amount_remaining": 0}
        invoice["status_transitions"]["paid_at"] = now
        if due == 0:
            return
        payment: Json = {"type": "payment_record", "payment_record": self.state.new_id("prec")}
        if not out_of_band:
            payment = {
                "type": "payment_intent",
                "payment_intent": self.payment_intent(due, invoice["currency"])["id"],
            }
        self.state.add(
            "invoice_payment",
            "inpay",
            invoice=invoice["id"],
            amount_paid=due,
            currency=invoice["currency"],
            status="paid",
            payment=payment,
        )

    def _paid(self, invoice: Json) -> list[Event]:
        return [self.events.emit("invoice.paid", invoice)]

    def _next_period(self, subscription: Json) -> None:
        item = subscription["items"]["data"][0]
        start = item["current_period_end"]
        item |= {"current_period_start": start, "current_period_end": start + MONTH}

    def _open_invoice(self, subscription: Json) -> Json | None:
        latest = self.state.objects.get(subscription["latest_invoice"] or "")
        return latest if latest is not None and latest["status"] == "open" else None

    def _price(self, subscription: Json) -> Any:
        return subscription["items"]["data"][0]["price"]

    def _tell(self, subscription: Json, what: str = "updated") -> Event:
        return self.events.emit(f"customer.subscription.{what}", subscription)

    def _must_live(self, subscription: Json) -> None:
        if subscription["status"] in ENDED:
            raise Impossible(
                "A canceled subscription can only update its cancellation_details and metadata."
            )
