"""One subscription's whole life, told once and lived at every provider: the same story has the same outcome."""

import base64
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from db import payments, subscriptions
from db.subscriptions import Subscription
from domain.standing import Block, Standing
from domain.subscription import State
from simulators.paypal.state import DEFAULT_PLAN
from simulators.stripe.state import DEFAULT_PRICE
from tests.world import WEBHOOK_ID, World, until


class Actor(ABC):
    """A customer and its provider; each act's webhooks are delivered, newest first where `backwards`."""

    name: str
    plan: str

    def __init__(self, world: World, control: httpx.AsyncClient) -> None:
        self.world = world
        self.control = control
        self.backwards = False

    @abstractmethod
    async def complete(self, checkout: dict[str, Any]) -> None: ...

    @abstractmethod
    async def fail(self, subscription_id: str) -> None: ...

    @abstractmethod
    async def give_up(self, subscription_id: str) -> None: ...

    @abstractmethod
    async def payment(self, subscription_id: str) -> str: ...

    @abstractmethod
    async def settle(self, dispute: str, *, lost: bool) -> None: ...

    @abstractmethod
    async def expire(self, subscription_id: str) -> None: ...

    async def happen(self, path: str, **asked: Any) -> dict[str, Any]:
        answer = await self.control.post(f"/_sim/{path}", json={"deliver": False, **asked})
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        told: dict[str, Any] = answer.json()
        ids = [event["id"] for event in told["events"]]
        await self.deliver(reversed(ids) if self.backwards else ids)
        return told

    async def deliver(self, event_ids: Iterable[str]) -> None:
        for event_id in event_ids:
            asked = (
                {"event_id": event_id, "webhook_id": WEBHOOK_ID} if self.name == "paypal" else {"event_id": event_id}
            )
            signed = (await self.control.post("/_sim/sign", json=asked)).json()
            raw = base64.b64decode(signed["body_base64"])
            answer = await self.world.api.post(f"/webhooks/{self.name}", content=raw, headers=signed["headers"])
            assert answer.status_code == 200

    async def subscribe(self, organization_id: str) -> Subscription:
        """By a checkout that the customer completes; the current subscription that comes of it."""
        asked = {"provider": self.name, "plan_id": self.plan} | {
            "return_url": "https://host.test/done",
            "cancel_url": "https://host.test/not",
        }
        checkout = await self.world.post(f"/v1/organizations/{organization_id}/subscription/checkout", asked)
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
        told = await self.happen(f"payments/{await self.payment(subscription_id)}/dispute")
        return str(told["object"].get("dispute_id") or told["object"]["id"])


class AtPayPal(Actor):
    name, plan = "paypal", DEFAULT_PLAN

    async def complete(self, checkout: dict[str, Any]) -> None:
        await self.happen(f"subscriptions/{checkout['subscription_id']}/approve")

    async def fail(self, subscription_id: str) -> None:
        await self.happen(f"subscriptions/{subscription_id}/fail_payment")

    async def give_up(self, subscription_id: str) -> None:
        await self.happen(f"subscriptions/{subscription_id}/suspend")

    async def payment(self, subscription_id: str) -> str:
        answer = await self.control.get("/_sim/payments", params={"subscription_id": subscription_id})
        return str(answer.json()["sales"][-1]["id"])

    async def settle(self, dispute: str, *, lost: bool) -> None:
        outcome = "RESOLVED_BUYER_FAVOUR" if lost else "RESOLVED_SELLER_FAVOUR"
        await self.happen(f"disputes/{dispute}/move", outcome=outcome)

    async def expire(self, subscription_id: str) -> None:
        known = self.world.paypal.state.subscriptions[subscription_id]
        known.next_billing = datetime.now(UTC) - timedelta(seconds=1)
        await self.world.ring(str(known.custom_id))

        async def heard() -> bool:  # what was asked before the ring may come after it
            subscription = await current(self.world, str(known.custom_id))
            until_then = None if subscription is None else subscription.snapshot.access_until
            return until_then is not None and until_then < datetime.now(UTC)

        await until(heard, "the paid period is over")
        await self.happen(f"subscriptions/{subscription_id}/expire")


class AtStripe(Actor):
    name, plan = "stripe", DEFAULT_PRICE

    async def complete(self, checkout: dict[str, Any]) -> None:
        await self.happen(f"checkout/{checkout['subscription_id']}/complete")

    async def fail(self, subscription_id: str) -> None:
        await self.happen(f"subscriptions/{subscription_id}/fail_payment")

    async def give_up(self, subscription_id: str) -> None:
        await self.happen(f"subscriptions/{subscription_id}/give_up")

    async def payment(self, subscription_id: str) -> str:
        answer = await self.control.get("/_sim/payments", params={"subscription_id": subscription_id})
        return str(answer.json()["payments"][-1]["id"])

    async def settle(self, dispute: str, *, lost: bool) -> None:
        await self.happen(f"disputes/{dispute}/close", outcome="lost" if lost else "won")

    async def expire(self, subscription_id: str) -> None:
        await self.happen(f"subscriptions/{subscription_id}/cancel_at_period_end")
        await self.happen(f"subscriptions/{subscription_id}/end_period")


@pytest_asyncio.fixture(params=["paypal", "stripe"])
async def actor(request: pytest.FixtureRequest, world: World) -> Actor:
    if request.param == "paypal":
        return AtPayPal(world, world.paypal_control)
    return AtStripe(world, world.stripe_control)


async def onboard(world: World) -> str:
    name = f"org-{uuid.uuid4().hex[:12]}"
    opened = (await world.twilio_control.post("/_sim/accounts", json={"friendly_name": name})).json()
    asked = {
        "id": name,
        "name": name,
        "currency": "USD",
        "twilio_account_sid": opened["accounts"][0]["sid"],
        "sender": "+15550001111",
        "price_per_segment": "0.01",
    }
    await world.post("/v1/organizations", asked)
    money = {"reference_id": "first", "amount": "10.00", "currency": "USD"}
    await world.post(f"/v1/organizations/{name}/wallet/credits", money)
    return name


async def current(world: World, organization_id: str) -> Subscription | None:
    return await world.read(lambda conn: subscriptions.current(conn, organization_id))


async def now(world: World, organization_id: str) -> tuple[Standing, State]:
    standing = await world.at_rest(organization_id)
    subscription = await current(world, organization_id)
    assert subscription is not None
    return standing, subscription.snapshot.state


@pytest.mark.parametrize("backwards", [False, True])
async def test_subscribed_failed_and_recovered(actor: Actor, *, backwards: bool) -> None:
    world, actor.backwards = actor.world, backwards
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)

    async def booked() -> bool:
        found = await world.read(lambda conn: payments.of_organization(conn, organization_id, limit=10))
        return len(found) == 1

    await until(booked, "the first payment was booked once")
    assert not subscription.id.startswith("cs_")

    await actor.fail(subscription.id)
    standing, state = await now(world, organization_id)
    assert (standing.status, state) == ("active", State.PAST_DUE)
    assert standing.deadline is not None

    await actor.happen(f"subscriptions/{subscription.id}/pay")
    standing, state = await now(world, organization_id)
    assert (standing.status, standing.deadline, state) == ("active", None, State.ACTIVE)

    await actor.fail(subscription.id)
    await actor.give_up(subscription.id)
    assert (await actor.world.debit(organization_id)).status_code == 423
    await world.applied(organization_id, "suspended")
    assert await world.subaccount_status(organization_id) == "suspended"

    await actor.happen(f"subscriptions/{subscription.id}/pay")
    await world.applied(organization_id, "active")
    assert await world.subaccount_status(organization_id) == "active"
    await world.certify()


async def test_refunded_and_disputed(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)

    for amount in ("10.00", "5.00"):
        await actor.happen(f"payments/{await actor.payment(subscription.id)}/refund", amount=amount)
    assert (await world.at_rest(organization_id)).status == "active"

    won = await actor.dispute(subscription.id)
    assert (await world.applied(organization_id, "suspended")).blocks == {Block.DISPUTE}
    await actor.settle(won, lost=False)
    await world.applied(organization_id, "active")

    await actor.happen(f"subscriptions/{subscription.id}/pay")
    lost = await actor.dispute(subscription.id)
    await world.applied(organization_id, "suspended")
    await actor.settle(lost, lost=True)
    assert (await world.at_rest(organization_id)).blocks == {Block.DISPUTE}
    await world.certify()


async def test_canceled_subscribed_again_and_expired(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world)
    old = await actor.subscribe(organization_id)

    await actor.happen(f"subscriptions/{old.id}/cancel")
    standing, state = await now(world, organization_id)
    assert (standing.status, state) == ("active", State.CANCELED)
    assert standing.deadline is not None  # what was paid for is still owed

    new = await actor.subscribe(organization_id)
    assert new.id != old.id
    standing, state = await now(world, organization_id)
    assert (standing.status, standing.deadline, state) == ("active", None, State.ACTIVE)

    await actor.expire(new.id)
    assert (await world.applied(organization_id, "suspended")).blocks == {Block.CANCELED}

    newest = await actor.subscribe(organization_id)
    assert newest.id not in (old.id, new.id)
    await world.applied(organization_id, "active")
    await world.certify()
