"""Changes of paid money: top-ups, refunds, reversals and disputes, each with its event."""

from datetime import datetime
from decimal import Decimal

from simulators.paypal.events import Events
from simulators.paypal.money_resources import Json
from simulators.paypal.resources import Resources
from simulators.paypal.state import Capture, Dispute, Order, Refund, Sale, State
from simulators.transmissions import Event


class Refused(Exception):
    """The amount exceeds the rest of the payment."""


class MoneyMoves:
    def __init__(self, state: State, events: Events, resources: Resources) -> None:
        self.state = state
        self.events = events
        self.resources = resources

    def top_up(
        self,
        amount: Decimal,
        currency: str,
        *,
        custom_id: str | None,
        invoice_id: str | None = None,
        at: datetime | None = None,
        status: str = "COMPLETED",
        capture_id: str | None = None,
        order_id: str | None = None,
    ) -> tuple[Capture, list[Event]]:
        capture = Capture(
            id=capture_id or self.state.new_id(),
            amount=amount,
            currency=currency,
            status=status,
            created=at or self.state.now(),
            custom_id=custom_id,
            invoice_id=invoice_id,
            order_id=order_id or self.state.new_id(),
        )
        self.state.captures[capture.id] = capture
        body = self.resources.capture(capture)
        return capture, [self._event(f"PAYMENT.CAPTURE.{status}", "capture", body, at, "2.0")]

    def sell_once(
        self, amount: Decimal, currency: str, *, custom: str | None, at: datetime | None = None
    ) -> tuple[Sale, list[Event]]:
        """A one-time payment by PayPal's API v1: a sale without a subscription."""
        sale = Sale(
            id=self.state.new_id(),
            subscription_id=None,
            amount=amount,
            currency=currency,
            state="completed",
            created=at or self.state.now(),
            custom=custom,
        )
        self.state.sales[sale.id] = sale
        return sale, [self._event("PAYMENT.SALE.COMPLETED", "sale", self.resources.sale(sale), at)]

    def approve(self, order: Order) -> list[Event]:
        if order.status != "PAYER_ACTION_REQUIRED":
            raise Refused
        order.status = "APPROVED"
        return [
            self._event(
                "CHECKOUT.ORDER.APPROVED",
                "checkout-order",
                self.resources.order(order),
                None,
                "2.0",
            )
        ]

    def capture(self, order: Order) -> list[Event]:
        capture, events = self.top_up(
            order.amount, order.currency, custom_id=order.custom_id, order_id=order.id
        )
        order.status, order.capture_id = "COMPLETED", capture.id
        return events

    def refund(
        self,
        payment: Sale | Capture,
        amount: Decimal | None = None,
        at: datetime | None = None,
        *,
        reversal: bool = False,
    ) -> tuple[Refund, list[Event]]:
        back = amount if amount is not None else payment.amount - payment.refunded
        if back <= 0 or payment.refunded + back > payment.amount:
            raise Refused
        payment.refunded += back
        refund = Refund(
            id=self.state.new_id(),
            payment=payment,
            amount=back,
            total=payment.refunded,
            created=at or self.state.now(),
            reversal=reversal,
        )
        self.state.refunds[refund.id] = refund
        self._mark(payment, reversal=reversal)
        what = "REVERSED" if reversal else "REFUNDED"
        if isinstance(payment, Capture):
            body = self.resources.refund(refund)
            return refund, [self._event(f"PAYMENT.CAPTURE.{what}", "refund", body, at, "2.0")]
        if reversal:
            return refund, [
                self._event("PAYMENT.SALE.REVERSED", "sale", self.resources.reversal(refund), at)
            ]
        return refund, [
            self._event("PAYMENT.SALE.REFUNDED", "refund", self.resources.refund(refund), at)
        ]

    def open_dispute(
        self,
        payment: Sale | Capture,
        *,
        reason: str = "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        amount: Decimal | None = None,
        at: datetime | None = None,
    ) -> tuple[Dispute, list[Event]]:
        now = at or self.state.now()
        dispute = Dispute(
            id=f"PP-D-{10_000 + len(self.state.disputes)}",
            payment=payment,
            reason=reason,
            status="OPEN",
            amount=amount if amount is not None else payment.amount,
            created=now,
            updated=now,
        )
        self.state.disputes[dispute.id] = dispute
        return dispute, [
            self._event("CUSTOMER.DISPUTE.CREATED", "dispute", self.resources.dispute(dispute), at)
        ]

    def move_dispute(
        self,
        dispute: Dispute,
        *,
        status: str = "RESOLVED",
        outcome: str | None = None,
        at: datetime | None = None,
    ) -> list[Event]:
        """RESOLVED takes an outcome: RESOLVED_SELLER_FAVOUR, RESOLVED_BUYER_FAVOUR,
        CANCELED_BY_BUYER, ...
        """
        dispute.status = status
        dispute.outcome = (outcome or "RESOLVED_SELLER_FAVOUR") if status == "RESOLVED" else None
        dispute.updated = at or self.state.now()
        what = "RESOLVED" if status == "RESOLVED" else "UPDATED"
        return [
            self._event(f"CUSTOMER.DISPUTE.{what}", "dispute", self.resources.dispute(dispute), at)
        ]

    def _mark(self, payment: Sale | Capture, *, reversal: bool) -> None:
        whole = payment.refunded == payment.amount
        if isinstance(payment, Capture):
            payment.status = "REFUNDED" if whole else "PARTIALLY_REFUNDED"
        elif reversal:
            payment.state = "reversed"
        else:
            payment.state = "refunded" if whole else "partially_refunded"

    def _event(
        self,
        event_type: str,
        resource_type: str,
        body: Json,
        at: datetime | None,
        version: str | None = None,
    ) -> Event:
        return self.events.emit(event_type, resource_type, body, at=at, version=version)
