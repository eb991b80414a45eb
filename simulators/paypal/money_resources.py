"""PayPal's money objects as JSON. Two shapes of money: v1 `{total, currency}`, v2 `{value,
currency_code}`.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from simulators.paypal.state import Capture, Dispute, Order, Refund, Sale, State, to_time, to_value

Json = dict[str, Any]


def money(amount: Decimal, currency: str) -> Json:
    return {"currency_code": currency, "value": to_value(amount, currency)}


def total(amount: Decimal, currency: str) -> Json:
    return {"total": to_value(amount, currency), "currency": currency}


def fee(amount: Decimal) -> Decimal:
    return amount * Decimal("0.0349") + Decimal("0.49")


class MoneyResources:
    def __init__(self, state: State) -> None:
        self.state = state
        self.url = ""

    def link(self, rel: str, path: str, method: str = "GET") -> Json:
        return {"href": self.url + path, "rel": rel, "method": method}

    def transaction(self, sale: Sale) -> Json:
        """A sale as the subscription's transactions list it."""
        states = {
            "completed": "COMPLETED",
            "pending": "PENDING",
            "denied": "DECLINED",
            "refunded": "REFUNDED",
        }
        status = states.get(sale.state, "PARTIALLY_REFUNDED")
        return {
            "status": status,
            "id": sale.id,
            "amount_with_breakdown": {
                "gross_amount": money(sale.amount, sale.currency),
                "fee_amount": money(fee(sale.amount), sale.currency),
                "net_amount": money(sale.amount - fee(sale.amount), sale.currency),
            },
            "payer_name": {"given_name": "Jo", "surname": "Doe"},
            "payer_email": self.state.subscriptions[sale.subscription_id or ""].email,
            "time": to_time(sale.created),
        }

    def sale(self, sale: Sale) -> Json:
        path = f"/v1/payments/sale/{sale.id}"
        body: Json = {
            "id": sale.id,
            "state": sale.state,
            "amount": {
                **total(sale.amount, sale.currency),
                "details": {"subtotal": to_value(sale.amount, sale.currency)},
            },
            "payment_mode": "INSTANT_TRANSFER",
            "protection_eligibility": "ELIGIBLE",
            "protection_eligibility_type": "ITEM_NOT_RECEIVED_ELIGIBLE,UNAUTHORIZED_PAYMENT_ELIGIBLE",
            "transaction_fee": {
                "value": to_value(fee(sale.amount), sale.currency),
                "currency": sale.currency,
            },
            "create_time": to_time(sale.created),
            "update_time": to_time(sale.created),
            "invoice_number": "",
            "links": [self.link("self", path), self.link("refund", f"{path}/refund", "POST")],
        }
        if sale.subscription_id is not None and sale.id not in self.state.untold_agreements:
            body["billing_agreement_id"] = sale.subscription_id
        if sale.custom is not None:
            body["custom"] = sale.custom
        return body

    def order(self, order: Order) -> Json:
        path = f"/v2/checkout/orders/{order.id}"
        unit: Json = {"reference_id": "default", "amount": money(order.amount, order.currency)}
        if order.custom_id is not None:
            unit["custom_id"] = order.custom_id
        if order.capture_id is not None:
            unit["payments"] = {"captures": [self.capture(self.state.captures[order.capture_id])]}
        return {
            "id": order.id,
            "intent": "CAPTURE",
            "status": order.status,
            "purchase_units": [unit],
            "create_time": to_time(order.created),
            "links": [
                self.link("self", path),
                self.link("payer-action", f"/checkoutnow?token={order.id}"),
            ],
        }

    def capture(self, capture: Capture) -> Json:
        path, cost = f"/v2/payments/captures/{capture.id}", fee(capture.amount)
        body: Json = {
            "id": capture.id,
            "status": capture.status,
            "amount": money(capture.amount, capture.currency),
            "final_capture": True,
            "seller_protection": {"status": "NOT_ELIGIBLE"},
            "seller_receivable_breakdown": {
                "gross_amount": money(capture.amount, capture.currency),
                "paypal_fee": money(cost, capture.currency),
                "net_amount": money(capture.amount - cost, capture.currency),
            },
            "supplementary_data": {"related_ids": {"order_id": capture.order_id}},
            "create_time": to_time(capture.created),
            "update_time": to_time(capture.created),
            "links": [self.link("self", path), self.link("refund", f"{path}/refund", "POST")],
        }
        if capture.custom_id is not None:
            body["custom_id"] = capture.custom_id
        if capture.invoice_id is not None:
            body["invoice_id"] = capture.invoice_id
        return body

    def refund(self, refund: Refund) -> Json:
        """In the format of the refunded payment's API: v1 for a sale, v2 for a capture."""
        payment = refund.payment
        if isinstance(payment, Capture):
            return self._refund_of_capture(refund, payment)
        return {
            "id": refund.id,
            "sale_id": payment.id,
            "state": refund.status.lower(),
            "amount": total(refund.amount, payment.currency),
            "refund_to_payer": {
                "value": to_value(refund.amount, payment.currency),
                "currency": payment.currency,
            },
            "total_refunded_amount": {
                "value": to_value(refund.total, payment.currency),
                "currency": payment.currency,
            },
            "create_time": to_time(refund.created),
            "update_time": to_time(refund.created),
            "links": [
                self.link("self", f"/v1/payments/refund/{refund.id}"),
                self.link("sale", f"/v1/payments/sale/{payment.id}"),
            ],
        }

    def _refund_of_capture(self, refund: Refund, payment: Capture) -> Json:
        body: Json = {
            "id": refund.id,
            "amount": money(refund.amount, payment.currency),
            "seller_payable_breakdown": {
                "gross_amount": money(refund.amount, payment.currency),
                "paypal_fee": money(Decimal(0), payment.currency),
                "net_amount": money(refund.amount, payment.currency),
                "total_refunded_amount": money(refund.total, payment.currency),
            },
            "status": refund.status,
            "create_time": to_time(refund.created),
            "update_time": to_time(refund.created),
            "links": [
                self.link("self", f"/v2/payments/refunds/{refund.id}"),
                self.link("up", f"/v2/payments/captures/{payment.id}"),
            ],
        }
        if payment.custom_id is not None:
            body["custom_id"] = payment.custom_id
        if payment.invoice_id is not None:
            body["invoice_id"] = payment.invoice_id
        return body

    def reversal(self, refund: Refund) -> Json:
        """As in the REVERSED event of a sale: the reversal's own id and a negative amount."""
        sale = refund.payment
        return {
            "id": refund.id,
            "state": "completed",
            "amount": total(-refund.amount, sale.currency),
            "create_time": to_time(refund.created),
            "update_time": to_time(refund.created),
            "links": [self.link("self", f"/v1/payments/refund/{refund.id}")],
        }

    def dispute(self, dispute: Dispute) -> Json:
        payment = dispute.payment
        custom = payment.custom if isinstance(payment, Sale) else payment.custom_id
        transaction: Json = {
            "seller_transaction_id": payment.id,
            "create_time": to_time(payment.created),
            "transaction_status": "COMPLETED",
            "gross_amount": money(payment.amount, payment.currency),
            "buyer": {"name": "Jo Doe"},
            "seller": {"merchant_id": "SIMMERCHANT01", "name": "Simulated Merchant"},
        }
        if custom is not None:
            transaction["custom"] = custom
        body: Json = {
            "dispute_id": dispute.id,
            "create_time": to_time(dispute.created),
            "update_time": to_time(dispute.updated),
            "disputed_transactions": [transaction],
            "reason": dispute.reason,
            "status": dispute.status,
            "dispute_amount": money(dispute.amount, payment.currency),
            "dispute_life_cycle_stage": "CHARGEBACK"
            if dispute.reason == "UNAUTHORISED"
            else "INQUIRY",
            "dispute_channel": "INTERNAL",
            "seller_response_due_date": to_time(dispute.created + timedelta(days=10)),
            "links": [self.link("self", f"/v1/customer/disputes/{dispute.id}")],
        }
        if dispute.outcome is not None:
            body["dispute_outcome"] = {"outcome_code": dispute.outcome}
        return body
