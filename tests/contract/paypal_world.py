"""PayPal's simulator behind the interface of the contract tests."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
from cryptography import x509

from providers.http import fast_client
from providers.paypal import Certificates, PayPal, Trust
from simulators.paypal.app import CLIENT_ID, CLIENT_SECRET, PayPalSimulator
from simulators.paypal.state import DEFAULT_PLAN
from simulators.serving import serve
from tests.contract.world import Delivery

WEBHOOK_ID = "6TR00000000000001"


class PayPalWorld:
    plan_id = DEFAULT_PLAN
    other_plan_id = "P-OTHER"
    plan_change_needs_consent = True

    def __init__(
        self, provider: PayPal, simulator: PayPalSimulator, control: httpx.AsyncClient
    ) -> None:
        self.provider = provider
        self._simulator = simulator
        self._control = control

    async def subscribe(self, organization_id: str) -> tuple[str, list[Delivery]]:
        done = await self._act("/_sim/subscriptions", custom_id=organization_id)
        return done["object"]["id"], await self._signed(done)

    async def approve(self, subscription_id: str) -> list[Delivery]:
        return await self._change(subscription_id, "approve")

    async def fail_payment(self, subscription_id: str) -> list[Delivery]:
        return await self._change(subscription_id, "fail_payment")

    async def lapse(self, subscription_id: str) -> list[Delivery]:
        failed = await self._change(subscription_id, "fail_payment")
        return failed + await self._change(subscription_id, "suspend")

    async def pay(self, subscription_id: str) -> list[Delivery]:
        return await self._change(subscription_id, "pay")

    async def cancel(self, subscription_id: str) -> list[Delivery]:
        return await self._change(subscription_id, "cancel")

    async def set_raw_status(self, subscription_id: str, status: str) -> list[Delivery]:
        return await self._change(subscription_id, "update", status=status)

    async def refund(self, subscription_id: str, amount: Decimal) -> list[Delivery]:
        return await self.refund_payment(await self._newest_sale(subscription_id), amount)

    async def pay_topup(self, checkout_id: str) -> list[Delivery]:
        return await self._signed(await self._act(f"/_sim/orders/{checkout_id}/approve"))

    async def refund_payment(self, payment_id: str, amount: Decimal) -> list[Delivery]:
        return await self._signed(
            await self._act(f"/_sim/payments/{payment_id}/refund", amount=str(amount))
        )

    async def dispute(self, subscription_id: str) -> tuple[str, list[Delivery]]:
        return await self.dispute_payment(await self._newest_sale(subscription_id))

    async def dispute_payment(self, payment_id: str) -> tuple[str, list[Delivery]]:
        done = await self._act(f"/_sim/payments/{payment_id}/dispute")
        return done["object"]["dispute_id"], await self._signed(done)

    async def settle_dispute(self, dispute_id: str, *, lost: bool) -> list[Delivery]:
        outcome = "RESOLVED_BUYER_FAVOUR" if lost else "RESOLVED_SELLER_FAVOUR"
        return await self._signed(
            await self._act(f"/_sim/disputes/{dispute_id}/move", outcome=outcome)
        )

    async def forged(self, delivery: Delivery) -> list[Delivery]:
        raw = base64.b64encode(delivery.raw).decode()
        by_others = [
            await self._sign(raw_base64=raw, certificate=kind)
            for kind in ("expired", "wrong_name", "other_ca")
        ]
        return [*by_others, await self._sign(raw_base64=raw, webhook_id="another-webhook")]

    async def break_down(self) -> None:
        await self._act("/_sim/faults", kind="503", path="/v1/(billing|payments|customer)")

    async def limit(self, wait: timedelta) -> None:
        await self._act(
            "/_sim/faults",
            kind="429",
            path="/v1/billing",
            times=1,
            retry_after=wait.total_seconds(),
        )

    async def requests(self) -> int:
        calls = self._simulator.state.calls
        return sum(number for call, number in calls.items() if "/oauth2/" not in call)

    async def _change(self, subscription_id: str, action: str, **fields: str) -> list[Delivery]:
        return await self._signed(
            await self._act(f"/_sim/subscriptions/{subscription_id}/{action}", **fields)
        )

    async def _newest_sale(self, subscription_id: str) -> str:
        answer = await self._control.get(
            "/_sim/payments", params={"subscription_id": subscription_id}
        )
        return str(answer.json()["sales"][-1]["id"])

    async def _signed(self, done: dict[str, Any]) -> list[Delivery]:
        return [await self._sign(event_id=event["id"]) for event in done["events"]]

    async def _sign(self, **what: str) -> Delivery:
        signed = await self._act("/_sim/sign", **({"webhook_id": WEBHOOK_ID} | what))
        headers = {name.lower(): value for name, value in signed["headers"].items()}
        return Delivery(base64.b64decode(signed["body_base64"]), headers)

    async def _act(self, path: str, /, **fields: Any) -> dict[str, Any]:
        answer = await self._control.post(path, json=fields)
        answer.raise_for_status()
        done: dict[str, Any] = answer.json()
        return done


@asynccontextmanager
async def paypal_world() -> AsyncIterator[PayPalWorld]:
    async with (
        serve(PayPalSimulator(seed=1)) as simulator,
        fast_client(simulator.url, read=2.0) as client,
        fast_client(simulator.url) as control,
    ):
        simulator.state.add_plan(
            id=PayPalWorld.other_plan_id, name="Other", amount=Decimal(99), currency="USD"
        )
        root = x509.load_pem_x509_certificate((await control.get("/_sim/ca")).content)
        paypal = PayPal(
            client=client,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            webhook_ids=[WEBHOOK_ID],
            certificates=Certificates(client, Trust(roots=(root,)), [simulator.url]),
        )
        yield PayPalWorld(paypal, simulator, control)
