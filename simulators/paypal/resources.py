"""PayPal's objects as JSON. Two shapes of money: v1 `{total, currency}`, v2 `{value,
currency_code}`.
"""

from simulators.paypal.money_resources import Json, MoneyResources, money
from simulators.paypal.state import Plan, Subscription, to_time


class Resources(MoneyResources):
    """Renders the state's objects; links contain `url`, the simulator's own address."""

    def plan(self, plan: Plan) -> Json:
        price = {"fixed_price": money(plan.amount, plan.currency), "version": 1}
        cycle = {
            "frequency": {"interval_unit": "DAY", "interval_count": plan.interval_days},
            "tenure_type": "REGULAR",
            "sequence": 1,
            "total_cycles": plan.total_cycles,
            "pricing_scheme": price,
        }
        return {
            "id": plan.id,
            "product_id": plan.product_id,
            "name": plan.name,
            "status": "ACTIVE",
            "usage_type": "LICENSED",
            "billing_cycles": [cycle],
            "payment_preferences": {"auto_bill_outstanding": True, "payment_failure_threshold": 2},
            **{name: value for name, value in plan.body.items() if name != "id"},
            "create_time": to_time(plan.created),
            "update_time": to_time(plan.created),
            "links": [self.link("self", f"/v1/billing/plans/{plan.id}")],
        }

    def subscription(self, subscription: Subscription, fields: str = "") -> Json:
        wanted = fields.split(",")
        body: Json = {
            "status": subscription.status,
            "status_update_time": to_time(subscription.status_updated),
            "id": subscription.id,
            "plan_id": subscription.plan_id,
            "start_time": to_time(subscription.start),
            "quantity": subscription.quantity,
            "subscriber": {
                "email_address": subscription.email,
                "payer_id": "YY9WRWVMNRFRC",
                "name": {"given_name": "Jo", "surname": "Doe"},
            },
            "create_time": to_time(subscription.created),
            "update_time": to_time(subscription.updated),
            "plan_overridden": False,
            "links": self._subscription_links(subscription),
        }
        if subscription.custom_id is not None:
            body["custom_id"] = subscription.custom_id
        if subscription.note is not None:
            body["status_change_note"] = subscription.note
        if subscription.status not in ("APPROVAL_PENDING", "APPROVED"):
            body["billing_info"] = self.billing_info(
                subscription, with_failure="last_failed_payment" in wanted
            )
        if "plan" in wanted:
            body["plan"] = self.plan(self.state.plans[subscription.plan_id])
        return body

    def billing_info(self, subscription: Subscription, *, with_failure: bool) -> Json:
        total = self.state.plans[subscription.plan_id].total_cycles
        info: Json = {
            "outstanding_balance": money(subscription.outstanding, subscription.currency),
            "cycle_executions": [
                {
                    "tenure_type": "REGULAR",
                    "sequence": 1,
                    "cycles_completed": subscription.cycles,
                    "cycles_remaining": max(total - subscription.cycles, 0),
                    "current_pricing_scheme_version": 1,
                    "total_cycles": total,
                }
            ],
            "failed_payments_count": subscription.failed_payments,
        }
        if subscription.last_payment is not None:
            paid_at, amount = subscription.last_payment
            info["last_payment"] = {
                "amount": money(amount, subscription.currency),
                "time": to_time(paid_at),
            }
        if subscription.next_billing is not None and subscription.status not in (
            "CANCELLED",
            "EXPIRED",
        ):
            info["next_billing_time"] = to_time(subscription.next_billing)
        if with_failure and subscription.last_failure is not None:
            info["last_failed_payment"] = subscription.last_failure
        return info

    def _subscription_links(self, subscription: Subscription) -> list[Json]:
        path = f"/v1/billing/subscriptions/{subscription.id}"
        links = [self.link("self", path), self.link("edit", path, "PATCH")]
        if subscription.status == "APPROVAL_PENDING":
            links.insert(
                0,
                self.link(
                    "approve", f"/webapps/billing/subscriptions?ba_token=BA-{subscription.id[2:]}"
                ),
            )
        if subscription.status == "ACTIVE":
            links += [
                self.link(do, f"{path}/{do}", "POST") for do in ("cancel", "suspend", "capture")
            ]
        if subscription.status == "SUSPENDED":
            links += [
                self.link(do, f"{path}/{do}", "POST") for do in ("activate", "cancel", "capture")
            ]
        return links
