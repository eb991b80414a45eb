"""The changes of a subscription by the buyer, by dunning or by the merchant. Each change returns
its events.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from simulators.paypal.events import Events
from simulators.paypal.money_resources import money
from simulators.paypal.resources import Resources
from simulators.paypal.state import Sale, State, Subscription, to_time
from simulators.transmissions import Event


class Lifecycle:
    """Changes subscriptions and returns the events; delivers nothing."""

    def __init__(self, state: State, events: Events, resources: Resources) -> None:
        self.state = state
        self.events = events
        self.resources = resources

    def create(
        self,
        *,
        plan_id: str,
        custom_id: str | None = None,
        subscription_id: str | None = None,
        at: datetime | None = None,
        email: str = "buyer@example.com",
        quantity: str = "1",
        start: datetime | None = None,
    ) -> Subscription:
        now = at or self.state.now()
        subscription = Subscription(
            id=subscription_id or self.state.new_id("I-", 12),
            plan_id=plan_id,
            status="APPROVAL_PENDING",
            created=now,
            updated=now,
            status_updated=now,
            start=start or now,
            custom_id=custom_id,
            email=email,
            quantity=quantity,
            currency=self.state.plans[plan_id].currency,
        )
        self.state.subscriptions[subscription.id] = subscription
        return subscription

    def created(self, subscription: Subscription) -> list[Event]:
        return [self._event(subscription, "CREATED", subscription.created)]

    def approve(self, subscription: Subscription, at: datetime | None = None) -> list[Event]:
        """The buyer consents: ACTIVE, and the first payment is made unless the start is later."""
        now = at or self.state.now()
        if subscription.revised_plan is not None:
            subscription.plan_id, subscription.revised_plan, subscription.updated = (
                subscription.revised_plan,
                None,
                now,
            )
            return [self._event(subscription, "UPDATED", now)]
        self._move(subscription, "ACTIVE", now)
        if subscription.start > max(
            now, subscription.created
        ):  # the first payment is made at that time
            subscription.next_billing = subscription.start
            return [self._event(subscription, "ACTIVATED", now)]
        sale = self._paid(subscription, self.state.plans[subscription.plan_id].amount, now)
        return [
            self._event(subscription, "ACTIVATED", now),
            self._sale_event(sale, "COMPLETED", now),
        ]

    def fail_payment(
        self,
        subscription: Subscription,
        at: datetime | None = None,
        *,
        reason_code: str = "PAYMENT_DENIED",
        amount: Decimal | None = None,
        counted: bool = True,
    ) -> list[Event]:
        """A charge fails, the subscription stays ACTIVE, and the time of the next charge still
        advances.

        PayPal retries it twice, every five days; only then does it count a failure, and the amount
        becomes outstanding. Source: PayPal's page on payment failures and retries.
        """
        now = at or self.moment(subscription)
        due = amount if amount is not None else self.state.plans[subscription.plan_id].amount
        if counted:
            subscription.failed_payments += 1
            subscription.outstanding += due
        subscription.next_billing = now + timedelta(
            days=self.state.plans[subscription.plan_id].interval_days
        )
        subscription.updated = now
        subscription.last_failure = {
            "amount": money(due, subscription.currency),
            "time": to_time(now),
            "reason_code": reason_code,
        }
        if not counted:
            subscription.last_failure["next_payment_retry_time"] = to_time(now + timedelta(days=5))
        return [self._event(subscription, "PAYMENT.FAILED", now)]

    def suspend(
        self,
        subscription: Subscription,
        at: datetime | None = None,
        *,
        by: str = "nonpayment",
        note: str | None = None,
    ) -> list[Event]:
        now = at or self.moment(subscription)
        if by == "nonpayment" and not subscription.outstanding:
            subscription.outstanding = self.state.plans[subscription.plan_id].amount
            subscription.failed_payments = max(subscription.failed_payments, 1)
        subscription.suspended_by = by
        self._move(subscription, "SUSPENDED", now, note)
        return [self._event(subscription, "SUSPENDED", now)]

    def activate(
        self, subscription: Subscription, at: datetime | None = None, *, note: str | None = None
    ) -> list[Event]:
        now = at or self.moment(subscription)
        subscription.suspended_by = None
        self._move(subscription, "ACTIVE", now, note)
        return [self._event(subscription, "ACTIVATED", now)]

    def pay(
        self, subscription: Subscription, at: datetime | None = None, amount: Decimal | None = None
    ) -> list[Event]:
        """Everything owed is paid, which makes a suspended subscription ACTIVE."""
        now = at or self.moment(subscription)
        due = amount or subscription.outstanding or self.state.plans[subscription.plan_id].amount
        sale = self._paid(subscription, due, now)
        events = self.activate(subscription, now) if subscription.status == "SUSPENDED" else []
        if subscription.next_billing is None:  # the last of the plan's cycles
            events += self.end(subscription, "EXPIRED", now)
        return [*events, self._sale_event(sale, "COMPLETED", now)]

    def collect(
        self, subscription: Subscription, amount: Decimal, at: datetime | None = None
    ) -> tuple[Sale, list[Event]]:
        """Capture of the outstanding balance: it is paid, but the status does not change."""
        now = at or self.moment(subscription)
        left = subscription.outstanding - amount
        sale = self._paid(subscription, amount, now)
        subscription.outstanding = max(left, Decimal(0))
        return sale, [self._sale_event(sale, "COMPLETED", now)]

    def end(
        self,
        subscription: Subscription,
        status: str,
        at: datetime | None = None,
        note: str | None = None,
    ) -> list[Event]:
        """`status` is CANCELLED or EXPIRED."""
        now = at or self.moment(subscription)
        self._move(subscription, status, now, note)
        return [self._event(subscription, status, now)]

    def updated(self, subscription: Subscription, at: datetime | None = None) -> list[Event]:
        subscription.updated = at or self.moment(subscription)
        return [self._event(subscription, "UPDATED", subscription.updated)]

    def moment(self, subscription: Subscription) -> datetime:
        """The present time, but in a new second: with PayPal's whole seconds, two changes in one
        second have no order.
        """
        return max(
            self.state.now(), subscription.updated.replace(microsecond=0) + timedelta(seconds=1)
        )

    def _paid(self, subscription: Subscription, amount: Decimal, now: datetime) -> Sale:
        sale = Sale(
            id=self.state.new_id(),
            subscription_id=subscription.id,
            amount=amount,
            currency=subscription.currency,
            state="completed",
            created=now,
            custom=subscription.custom_id,
        )
        self.state.sales[sale.id] = sale
        subscription.last_payment = (now, amount)
        subscription.outstanding, subscription.failed_payments = Decimal(0), 0
        plan = self.state.plans[subscription.plan_id]
        subscription.cycles += 1
        last = 0 < plan.total_cycles <= subscription.cycles
        subscription.next_billing = None if last else now + timedelta(days=plan.interval_days)
        subscription.updated = now
        return sale

    def _move(
        self, subscription: Subscription, status: str, now: datetime, note: str | None = None
    ) -> None:
        subscription.status = status
        subscription.note = note
        subscription.status_updated = subscription.updated = now

    def _event(self, subscription: Subscription, what: str, at: datetime) -> Event:
        resource = self.resources.subscription(subscription, "last_failed_payment")
        return self.events.emit(
            f"BILLING.SUBSCRIPTION.{what}",
            "subscription",
            resource,
            at=at,
            summary=f"Subscription {what.lower().replace('.', ' ')}",
            version="2.0",
        )

    def _sale_event(self, sale: Sale, what: str, at: datetime) -> Event:
        amount = self.resources.sale(sale)["amount"]
        summary = f"Payment {what.lower()} for $ {amount['total']} {sale.currency}"
        return self.events.emit(
            f"PAYMENT.SALE.{what}", "sale", self.resources.sale(sale), at=at, summary=summary
        )
