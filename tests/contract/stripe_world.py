"""Stripe's simulator behind the interface of the contract tests."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx

from providers.http import fast_client
from providers.stripe import Stripe
from simulators.serving import serve
from simulators.stripe.app import API_KEY, WEBHOOK_SECRET, StripeSimulator
from simulators.stripe.state import DEFAULT_PRICE
from tests.contract.world import Delivery


class StripeWorld:
    plan_id = DEFAULT_PRICE
    other_plan_id = "price_other"
    plan_change_needs_consent = False

    def __init__(
        self, provider: Stripe, simulator: StripeSimulator, control: httpx.AsyncClient
    ) -> None:
        self.provider = provider
        self._simulator = simulator
        self._control = control

    async def subscribe(self, organization_id: str) -> tuple[str, list[Delivery]]:
        done = await self._act("/_sim/subscriptions", organization_id=organization_id)
        return done["object"]["id"], await self._signed(done)

    async def approve(self, subscription_id: str) -> list[Delivery]:
        return await self._signed(await self._act(f"/_sim/checkout/{subscription_id}/complete"))

    async def fail_payment(self, subscription_id: str) -> list[Delivery]:
        return await self._change(subscription_id, "fail_payment")

    async def lapse(self, subscription_id: str) -> list[Delivery]:
        failed = await self._change(subscription_id, "fail_payment")
        return failed + await self._change(subscription_id, "give_up")

    async def pay(self, subscription_id: str) -> list[Delivery]:
        return await self._change(subscription_id, "pay")

    async def cancel(self, subscription_id: str) -> list[Delivery]:
        return await self._change(subscription_id, "cancel")

    async def set_raw_status(self, subscription_id: str, status: str) -> list[Delivery]:
        return await self._change(subscription_id, "set_status", status=status)

    async def refund(self, subscription_id: str, amount: Decimal) -> list[Delivery]:
        return await self.refund_payment(await self._newest_payment(subscription_id), amount)

    async def pay_topup(self, checkout_id: str) -> list[Delivery]:
        return await self._signed(await self._act(f"/_sim/checkout/{checkout_id}/complete"))

    async def refund_payment(self, payment_id: str, amount: Decimal) -> list[Delivery]:
        return await self._signed(
            await self._act(f"/_sim/payments/{payment_id}/refund", amount=str(amount))
        )

    async def dispute(self, subscription_id: str) -> tuple[str, list[Delivery]]:
        return await self.dispute_payment(await self._newest_payment(subscription_id))

    async def dispute_payment(self, payment_id: str) -> tuple[str, list[Delivery]]:
        done = await self._act(f"/_sim/payments/{payment_id}/dispute")
        return done["object"]["id"], await self._signed(done)

    async def settle_dispute(self, dispute_id: str, *, lost: bool) -> list[Delivery]:
        outcome = "lost" if lost else "won"
        return await self._signed(
            await self._act(f"/_sim/disputes/{dispute_id}/close", outcome=outcome)
        )

    async def forged(self, delivery: Delivery) -> list[Delivery]:
        now = self._simulator.state.now()
        live = delivery.raw.replace(b'"livemode": false', b'"livemode": true')
        of_another = delivery.raw.replace(
            b'"object": "event"', b'"object": "event", "account": "acct_another"'
        )
        return [
            await self._sign(delivery.raw, secrets=["whsec_of_somebody_else"]),
            await self._sign(delivery.raw, secrets=[]),
            await self._sign(delivery.raw, at=now - 301),
            await self._sign(delivery.raw, at=now + 330),
            await self._sign(live),
            await self._sign(of_another),
        ]

    async def break_down(self) -> None:
        await self._act("/_sim/faults", kind="503", path="/v1/")

    async def limit(self, wait: timedelta) -> None:
        await self._act(
            "/_sim/faults", kind="429", path="/v1/", times=1, retry_after=wait.total_seconds()
        )

    async def requests(self) -> int:
        return sum(self._simulator.state.calls.values())

    async def _change(self, subscription_id: str, action: str, **fields: str) -> list[Delivery]:
        return await self._signed(
            await self._act(f"/_sim/subscriptions/{subscription_id}/{action}", **fields)
        )

    async def _newest_payment(self, subscription_id: str) -> str:
        answer = await self._control.get(
            "/_sim/payments", params={"subscription_id": subscription_id}
        )
        return str(answer.json()["payments"][-1]["id"])

    async def _signed(self, done: dict[str, Any]) -> list[Delivery]:
        return [
            _delivery(await self._act("/_sim/sign", event_id=event["id"]))
            for event in done["events"]
        ]

    async def _sign(self, raw: bytes, **how: Any) -> Delivery:
        return _delivery(
            await self._act("/_sim/sign", raw_base64=base64.b64encode(raw).decode(), **how)
        )

    async def _act(self, path: str, /, **fields: Any) -> dict[str, Any]:
        answer = await self._control.post(path, json=fields)
        answer.raise_for_status()
        done: dict[str, Any] = answer.json()
        return done


def _delivery(signed: dict[str, Any]) -> Delivery:
    headers = {name.lower(): value for name, value in signed["headers"].items()}
    return Delivery(base64.b64decode(signed["body_base64"]), headers)


@asynccontextmanager
async def stripe_world() -> AsyncIterator[StripeWorld]:
    async with (
        serve(StripeSimulator(seed=1)) as simulator,
        fast_client(read=2.0) as client,
        fast_client(simulator.url) as control,
    ):
        simulator.state.add_price(StripeWorld.other_plan_id, 9900, "usd")
        secrets = [WEBHOOK_SECRET, "whsec_the_one_after_it"]
        stripe = Stripe(
            client=client, base_url=simulator.url, api_key=API_KEY, webhook_secrets=secrets
        )
        yield StripeWorld(stripe, simulator, control)
