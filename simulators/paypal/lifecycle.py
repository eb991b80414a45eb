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

    def created(self, it: Subscription) -> list[Event]:
        return [self._told(it, "CREATED", it.created)]

    def approve(self, it: Subscription, at: datetime | None = None) -> list[Event]:
        """The buyer consents: ACTIVE, and the first payment is made unless the start is later."""
        now = at or self.state.now()
        if it.revised_plan is not None:
            it.plan_id, it.revised_plan, it.updated = it.revised_plan, None, now
            return [self._told(it, "UPDATED", now)]
        self._move(it, "ACTIVE", now)
        if it.start > max(now, it.created):  # the first payment is made at that time
            it.next_billing = it.start
            return [self._told(it, "ACTIVATED", now)]
        sale = self._paid(it, self.state.plans[it.plan_id].amount, now)
        return [self._told(it, "ACTIVATED", now), self._sale_event(sale, "COMPLETED", now)]

    def fail_payment(
        self,
        it: Subscription,
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
        now = at or self.moment(it)
        due = amount if amount is not None else self.state.plans[it.plan_id].amount
        if counted:
            it.failed_payments += 1
            it.outstanding += due
        it.next_billing = now + timedelta(days=self.state.plans[it.plan_id].interval_days)
        it.updated = now
        it.last_failure = {
            "amount": money(due, it.currency),
            "time": to_time(now),
            "reason_code": reason_code,
        }
        if not counted:
            it.last_failure["next_payment_retry_time"] = to_time(now + timedelta(days=5))
        return [self._told(it, "PAYMENT.FAILED", now)]

    def suspend(
        self,
        it: Subscription,
        at: datetime | None = None,
        *,
        by: str = "nonpayment",
        note: str | None = None,
    ) -> list[Event]:
        now = at or self.moment(it)
        if by == "nonpayment" and not it.outstanding:
            it.outstanding = self.state.plans[it.plan_id].amount
            it.failed_payments = max(it.failed_payments, 1)
        it.suspended_by = by
        self._move(it, "SUSPENDED", now, note)
        return [self._told(it, "SUSPENDED", now)]

    def activate(
        self, it: Subscription, at: datetime | None = None, *, note: str | None = None
    ) -> list[Event]:
        now = at or self.moment(it)
        it.suspended_by = None
        self._move(it, "ACTIVE", now, note)
        return [self._told(it, "ACTIVATED", now)]

    def pay(
        self, it: Subscription, at: datetime | None = None, amount: Decimal | None = None
    ) -> list[Event]:
        """Everything owed is paid, which makes a suspended subscription ACTIVE."""
        now = at or self.moment(it)
        due = amount or it.outstanding or self.state.plans[it.plan_id].amount
        sale = self._paid(it, due, now)
        events = self.activate(it, now) if it.status == "SUSPENDED" else []
        if it.next_billing is None:  # the last of the plan's cycles
            events += self.end(it, "EXPIRED", now)
        return [*events, self._sale_event(sale, "COMPLETED", now)]

    def collect(
        self, it: Subscription, amount: Decimal, at: datetime | None = None
    ) -> tuple[Sale, list[Event]]:
        """Capture of the outstanding balance: it is paid, but the status does not change."""
        now = at or self.moment(it)
        left = it.outstanding - amount
        sale = self._paid(it, amount, now)
        it.outstanding = max(left, Decimal(0))
        return sale, [self._sale_event(sale, "COMPLETED", now)]

    def end(
        self, it: Subscription, status: str, at: datetime | None = None, note: str | None = None
    ) -> list[Event]:
        """`status` is CANCELLED or EXPIRED."""
        now = at or self.moment(it)
        self._move(it, status, now, note)
        return [self._told(it, status, now)]

    def updated(self, it: Subscription, at: datetime | None = None) -> list[Event]:
        it.updated = at or self.moment(it)
        return [self._told(it, "UPDATED", it.updated)]

    def moment(self, it: Subscription) -> datetime:
        """The present time, but in a new second: with PayPal's whole seconds, two changes in one
        second have no order.
        """
        return max(self.state.now(), it.updated.replace(microsecond=0) + timedelta(seconds=1))

    def _paid(self, it: Subscription, amount: Decimal, now: datetime) -> Sale:
        sale = Sale(
            id=self.state.new_id(),
            subscription_id=it.id,
            amount=amount,
            currency=it.currency,
            state="completed",
            created=now,
            custom=it.custom_id,
        )
        self.state.sales[sale.id] = sale
        it.last_payment = (now, amount)
        it.outstanding, it.failed_payments = Decimal(0), 0
        plan = self.state.plans[it.plan_id]
        it.cycles += 1
        last = 0 < plan.total_cycles <= it.cycles
        it.next_billing = None if last else now + timedelta(days=plan.interval_days)
        it.updated = now
        return sale

    def _move(self, it: Subscription, status: str, now: datetime, note: str | None = None) -> None:
        it.status = status
        it.note = note
        it.status_updated = it.updated = now

    def _told(self, it: Subscription, what: str, at: datetime) -> Event:
        resource = self.resources.subscription(it, "last_failed_payment")
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
