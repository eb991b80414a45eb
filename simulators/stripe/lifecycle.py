"""The changes of subscriptions, their invoices and checkouts; each change returns its events."""

from simulators.stripe.invoices import ENDED, Declined, Impossible, Invoices
from simulators.stripe.state import MONTH, Json
from simulators.transmissions import Event

_NOT_PAUSED = frozenset({"paused", "incomplete"})
_NO_METHOD = "trial_end_without_payment_method"


class Lifecycle(Invoices):
    def subscribe(
        self,
        price_id: str,
        *,
        organization_id: str | None,
        customer: str | None = None,
        trial_end: int | None = None,
    ) -> tuple[Json, list[Event]]:
        """An active subscription with its first invoice paid, or a trial that bills nothing until
        `trial_end`.
        """
        price = self.state.get(price_id, "price")
        now = self.state.now()
        item = {
            "id": self.state.new_id("si"),
            "object": "subscription_item",
            "price": price,
            "quantity": 1,
            "current_period_start": now,
            "current_period_end": trial_end or now + MONTH,
        }
        subscription = self.state.add(
            "subscription",
            "sub",
            status="trialing" if trial_end else "active",
            customer=customer or self.customer(organization_id)["id"],
            currency=price["currency"],
            items={"object": "list", "data": [item], "has_more": False},
            metadata={"organization_id": organization_id} if organization_id else {},
            billing_mode={"type": "flexible"},
            cancel_at_period_end=False,
            cancel_at=None,
            canceled_at=None,
            ended_at=None,
            trial_end=trial_end,
            pause_collection=None,
            pending_update=None,
            status_details=None,
            cancellation_details={"comment": None, "feedback": None, "reason": None},
            latest_invoice=None,
        )
        invoice = self._bill(subscription, 0 if trial_end else price["unit_amount"])
        self._settle(invoice)
        return subscription, [self._tell(subscription, "created"), *self._paid(invoice)]

    def give_up(self, subscription: Json, outcome: str = "unpaid") -> list[Event]:
        """Dunning ends: unpaid, paused or canceled, depending on the account's settings."""
        if self._open_invoice(subscription) is None:
            self.fail_payment(subscription)
        if outcome == "canceled":
            return self.cancel(subscription, reason="payment_failed")
        if outcome == "paused":
            return self.pause(subscription, by="final_payment_failure")
        subscription["status"] = "unpaid"
        return [self._tell(subscription)]

    def cancel(
        self, subscription: Json, *, reason: str = "cancellation_requested", comment: str = ""
    ) -> list[Event]:
        self._must_live(subscription)
        now = self.state.now()
        details = {"comment": comment or None, "feedback": None, "reason": reason}
        subscription |= {
            "status": "canceled",
            "canceled_at": now,
            "ended_at": now,
            "cancellation_details": details,
        }
        return [self._tell(subscription, "deleted")]

    def cancel_at_period_end(self, subscription: Json) -> list[Event]:
        self._must_live(subscription)
        end = subscription["items"]["data"][0]["current_period_end"]
        subscription |= {
            "cancel_at_period_end": True,
            "cancel_at": end,
            "canceled_at": self.state.now(),
        }
        return [self._tell(subscription)]

    def end_period(self, subscription: Json) -> list[Event]:
        """Time passes to the end of the paid period."""
        item = subscription["items"]["data"][0]
        now = self.state.now()
        item |= {"current_period_start": now - MONTH, "current_period_end": now - 1}
        if subscription["cancel_at_period_end"] and subscription["status"] not in ENDED:
            return self.cancel(subscription)
        return [self._tell(subscription)]

    def pause(self, subscription: Json, *, by: str = "pause_requested") -> list[Event]:
        """The current period ends now; an open invoice stays open."""
        self._must_live(subscription)
        now, status = self.state.now(), subscription["status"]
        if status in _NOT_PAUSED or (status == "trialing" and by != _NO_METHOD):
            raise Impossible(f"You cannot pause a subscription that is {status}.")
        subscription["items"]["data"][0]["current_period_end"] = now
        paused = {"type": "subscription", "subscription": {"type": by}, "transitioned_at": now}
        subscription |= {"status": "paused", "status_details": {"paused": paused}}
        return [self._tell(subscription, "paused"), self._tell(subscription)]

    def resume(self, subscription: Json, body: Json) -> list[Event]:
        """A new period is billed at once; until it is paid the subscription stays paused, if that
        was requested.
        """
        if subscription["status"] != "paused":
            raise Impossible("You can only resume a subscription that is paused.")
        if subscription["pending_update"] is not None:
            raise Impossible("The subscription waits for its resumption invoice already.")
        if body.get("payment_behavior") != "resume_on_payment_success":
            raise Impossible("This simulator resumes on payment success only.")
        now = self.state.now()
        subscription["items"]["data"][0] |= {
            "current_period_start": now,
            "current_period_end": now + MONTH,
        }
        invoice = self._bill(subscription, self._price(subscription)["unit_amount"])
        subscription["pending_update"] = {"expires_at": now + 365 * 24 * 3600}
        try:
            return self.pay_invoice(invoice)
        except Declined:
            return [self.events.emit("invoice.payment_failed", invoice), self._tell(subscription)]

    def change(self, subscription: Json, body: Json) -> list[Event]:
        self._must_live(subscription)
        if "metadata" in body:  # new keys are added to the existing ones; no value removes all
            subscription["metadata"] = (
                {**subscription["metadata"], **body["metadata"]} if body["metadata"] else {}
            )
        if "pause_collection" in body:
            subscription["pause_collection"] = body["pause_collection"] or None
        if str(body.get("cancel_at_period_end", "")).lower() == "true":
            return self.cancel_at_period_end(subscription)
        for item in body.get("items", {}).values():
            if item.get("id") != subscription["items"]["data"][0]["id"]:
                raise Impossible(f"No such subscription item: {item.get('id')}", "resource_missing")
            if self.state.objects.get(item["price"], {}).get("object") != "price":
                raise Impossible(f"No such price: '{item['price']}'", "resource_missing")
            subscription["items"]["data"][0]["price"] = self.state.get(item["price"], "price")
        return [self._tell(subscription)]

    def set_status(self, subscription: Json, status: str) -> list[Event]:
        """Any status that Stripe may return in the future."""
        subscription["status"] = status
        return [self._tell(subscription)]

    def customer(self, organization_id: str | None) -> Json:
        metadata = {"organization_id": organization_id} if organization_id else {}
        return self.state.add("customer", "cus", email="buyer@example.com", metadata=metadata)
