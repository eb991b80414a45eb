"""Customers and their providers: the same acts at every one of them."""

import base64
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from db.billing import payments, subscriptions
from domain.billing.subscription import State, Subscription
from simulators.paypal.state import DEFAULT_PLAN
from simulators.stripe.state import DEFAULT_PRICE
from tests.world import WEBHOOK_ID, World, until


class Actor(ABC):
    """A customer and its provider; each act's webhooks are delivered, newest first if `backwards`."""

    name: str
    plan: str

    def __init__(self, world: World, control: httpx.AsyncClient) -> None:
        self.world = world
        self.control = control
        self.backwards = False

    @abstractmethod
    async def complete(self, checkout: dict[str, Any]) -> None: ...

    @abstractmethod
    async def pay_topup(self, checkout_id: str) -> list[str]:
        """Returns the ids of its events; delivers nothing."""

    @abstractmethod
    async def paid_unheard(self, organization_id: str, amount: str) -> tuple[str, list[str]]:
        """A payment whose events were not delivered yet: its id, and the events' ids."""

    @abstractmethod
    async def fail(self, subscription_id: str) -> None: ...

    @abstractmethod
    async def give_up(self, subscription_id: str) -> None: ...

    @abstractmethod
    async def set_raw_status(self, subscription_id: str, status: str) -> None:
        """From now on the provider reports this about the subscription; delivers nothing."""

    @abstractmethod
    async def payment(self, subscription_id: str) -> str: ...

    @abstractmethod
    async def settle(self, dispute: str, *, lost: bool) -> None: ...

    @abstractmethod
    async def expire(self, subscription_id: str) -> None: ...

    async def act(self, path: str, **fields: Any) -> dict[str, Any]:
        """Without delivering anything."""
        answer = await self.control.post(f"/_sim/{path}", json={"deliver": False, **fields})
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        body: dict[str, Any] = answer.json()
        return body

    async def happen(self, path: str, **fields: Any) -> dict[str, Any]:
        body = await self.act(path, **fields)
        ids = ids_of(body)
        await self.deliver(reversed(ids) if self.backwards else ids)
        return body

    async def deliver(self, event_ids: Iterable[str]) -> None:
        for event_id in event_ids:
            await self._deliver(event_id=event_id)

    async def deliver_raw(self, raw: str) -> None:
        """Signed like the provider's own."""
        await self._deliver(raw=raw)

    async def _deliver(self, **fields: str) -> None:
        if self.name == "paypal":
            fields["webhook_id"] = WEBHOOK_ID
        signed = (await self.control.post("/_sim/sign", json=fields)).json()
        raw = base64.b64decode(signed["body_base64"])
        answer = await self.world.api.post(
            f"/webhooks/{self.name}", content=raw, headers=signed["headers"]
        )
        assert answer.status_code == 200

    async def subscribe(self, organization_id: str) -> Subscription:
        """Through a checkout that the customer completes; returns the new current subscription."""
        body = {"provider": self.name, "plan_id": self.plan} | {
            "return_url": "https://host.test/done",
            "cancel_url": "https://host.test/not",
        }
        checkout = await self.world.post(
            f"/v1/organizations/{organization_id}/subscription/checkout", body
        )
        before = await current(self.world, organization_id)
        await self.complete(checkout)

        async def taken_over() -> Subscription | None:
            now = await current(self.world, organization_id)
            if now is None or now.snapshot.state is not State.ACTIVE:
                return None
            return now if before is None or before.id != now.id or self.name == "paypal" else None

        found = await until(taken_over, f"{organization_id} subscribed at {self.name}")
        assert found is not None
        await self.world.at_rest(organization_id)
        return found

    async def dispute(self, subscription_id: str) -> str:
        return await self.dispute_payment(await self.payment(subscription_id))

    async def dispute_payment(self, payment_id: str) -> str:
        dispute = await self.happen(f"payments/{payment_id}/dispute")
        return str(dispute["object"].get("dispute_id") or dispute["object"]["id"])

    async def link(self, organization_id: str, amount: str, currency: str = "USD") -> str:
        """The id of a top-up checkout."""
        body = {"provider": self.name, "amount": amount, "currency": currency} | {
            "return_url": "https://host.test/paid",
            "cancel_url": "https://host.test/not",
        }
        topup = await self.world.post(f"/v1/organizations/{organization_id}/wallet/topups", body)
        return str(topup["checkout_id"])

    async def top_up(self, organization_id: str, amount: str, currency: str = "USD") -> str:
        """Through a checkout that the customer pays; returns the id of the booked payment."""
        before = {topup.object_id for topup in await self.topups(organization_id)}
        await self.deliver(await self.pay_topup(await self.link(organization_id, amount, currency)))

        async def booked() -> list[str]:
            return [
                topup.object_id
                for topup in await self.topups(organization_id)
                if topup.object_id not in before
            ]

        [found] = await until(booked, f"{organization_id} topped up at {self.name}")
        await self.world.at_rest(organization_id)
        return found

    async def topups(self, organization_id: str) -> list[payments.BookedPayment]:
        found = await self.world.read(
            lambda conn: payments.of_organization(conn, organization_id, limit=100)
        )
        return [topup for topup in found if topup.kind == "topup"]


class AtPayPal(Actor):
    name, plan = "paypal", DEFAULT_PLAN

    async def complete(self, checkout: dict[str, Any]) -> None:
        await self.happen(f"subscriptions/{checkout['subscription_id']}/approve")

    async def pay_topup(self, checkout_id: str) -> list[str]:
        return ids_of(await self.act(f"orders/{checkout_id}/approve"))

    async def paid_unheard(self, organization_id: str, amount: str) -> tuple[str, list[str]]:
        capture = await self.act("captures", amount=amount, custom_id=organization_id)
        return capture["object"]["id"], ids_of(capture)

    async def fail(self, subscription_id: str) -> None:
        await self.happen(f"subscriptions/{subscription_id}/fail_payment")

    async def give_up(self, subscription_id: str) -> None:
        await self.happen(f"subscriptions/{subscription_id}/suspend")

    async def set_raw_status(self, subscription_id: str, status: str) -> None:
        await self.act(f"subscriptions/{subscription_id}/update", status=status)

    async def payment(self, subscription_id: str) -> str:
        answer = await self.control.get(
            "/_sim/payments", params={"subscription_id": subscription_id}
        )
        return str(answer.json()["sales"][-1]["id"])

    async def settle(self, dispute: str, *, lost: bool) -> None:
        outcome = "RESOLVED_BUYER_FAVOUR" if lost else "RESOLVED_SELLER_FAVOUR"
        await self.happen(f"disputes/{dispute}/move", outcome=outcome)

    async def expire(self, subscription_id: str) -> None:
        subscription = self.world.paypal.state.subscriptions[subscription_id]
        subscription.next_billing = datetime.now(UTC) - timedelta(seconds=1)
        if subscription.last_payment is not None:  # its period ends with the last one's
            paid_at, amount = subscription.last_payment
            subscription.last_payment = (paid_at - timedelta(days=31), amount)
        await self.world.look_again(str(subscription.custom_id))
        await self.happen(f"subscriptions/{subscription_id}/expire")


class AtStripe(Actor):
    name, plan = "stripe", DEFAULT_PRICE

    async def complete(self, checkout: dict[str, Any]) -> None:
        await self.happen(f"checkout/{checkout['subscription_id']}/complete")

    async def pay_topup(self, checkout_id: str) -> list[str]:
        return ids_of(await self.act(f"checkout/{checkout_id}/complete"))

    async def paid_unheard(self, organization_id: str, amount: str) -> tuple[str, list[str]]:
        checkout = await self.act(f"checkout/{await self.link(organization_id, amount)}/complete")
        return checkout["object"]["payment_intent"], ids_of(checkout)

    async def beside(self, organization_id: str) -> tuple[str, list[str]]:
        """A subscription through a checkout that the customer completes in addition to another one:
        its id, and its events' ids.
        """
        body = {"provider": self.name, "plan_id": self.plan} | {
            "return_url": "https://host.test/done",
            "cancel_url": "https://host.test/not",
        }
        checkout = await self.world.post(
            f"/v1/organizations/{organization_id}/subscription/checkout", body
        )
        completed = await self.act(f"checkout/{checkout['subscription_id']}/complete")
        return completed["object"]["subscription"], ids_of(completed)

    async def fail(self, subscription_id: str) -> None:
        await self.happen(f"subscriptions/{subscription_id}/fail_payment")

    async def give_up(self, subscription_id: str) -> None:
        await self.happen(f"subscriptions/{subscription_id}/give_up")

    async def set_raw_status(self, subscription_id: str, status: str) -> None:
        await self.act(f"subscriptions/{subscription_id}/set_status", status=status)

    async def payment(self, subscription_id: str) -> str:
        answer = await self.control.get(
            "/_sim/payments", params={"subscription_id": subscription_id}
        )
        return str(answer.json()["payments"][-1]["id"])

    async def settle(self, dispute: str, *, lost: bool) -> None:
        await self.happen(f"disputes/{dispute}/close", outcome="lost" if lost else "won")

    async def expire(self, subscription_id: str) -> None:
        await self.happen(f"subscriptions/{subscription_id}/cancel_at_period_end")
        await self.happen(f"subscriptions/{subscription_id}/end_period")


def ids_of(body: dict[str, Any]) -> list[str]:
    return [event["id"] for event in body["events"]]


async def onboard(world: World, currency: str = "USD", balance: str = "10.00") -> str:
    name = f"org-{uuid.uuid4().hex[:12]}"
    opened = (
        await world.twilio_control.post("/_sim/accounts", json={"friendly_name": name})
    ).json()
    body = {
        "id": name,
        "name": name,
        "currency": currency,
        "twilio_account_sid": opened["accounts"][0]["sid"],
        "sender": "+15550001111",
        "price_per_segment": "0.01",
    }
    await world.post("/v1/organizations", body)
    if balance != "0":
        money = {"reference_id": "first", "amount": balance, "currency": currency}
        await world.post(f"/v1/organizations/{name}/wallet/credits", money)
    return name


async def current(world: World, organization_id: str) -> Subscription | None:
    return await world.read(lambda conn: subscriptions.current(conn, organization_id))
