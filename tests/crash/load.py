"""Callers that debit a wallet, and providers that deliver webhooks: patient ones, which retry until
they get an answer, and strict ones, for which each failure counts.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import httpx

from tests.world import World, until

CALLERS = 2
PACE = 0.02
"""Seconds between two requests of a strict caller: processes that start need the time."""


@dataclass(slots=True)
class Debits:
    """`answered` is what was said of each reference: the ledger entry's number, and the status. A
    refusal fails.
    """

    client: httpx.AsyncClient
    organization_id: str
    answered: dict[str, tuple[int, int]] = field(default_factory=dict)
    unanswered: int = 0

    async def call(self, name: str, times: int) -> None:
        """Debit a cent `times` times, one after the other."""
        for n in range(times):
            await self._until_answered(f"{name}-{n}")

    async def _until_answered(self, reference: str) -> None:
        body = {"reference_id": reference, "amount": "0.01", "currency": "USD"}
        while reference not in self.answered:
            try:
                answer = await self.client.post(
                    f"/v1/organizations/{self.organization_id}/wallet/debits", json=body
                )
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.is_success:
                self.answered[reference] = (answer.json()["seq"], answer.status_code)
            else:
                assert answer is None or answer.status_code == 503, (
                    f"{answer.status_code}: {answer.text}"
                )
                self.unanswered += 1
                await asyncio.sleep(0.25)  # the caller's own timeout


@dataclass(slots=True)
class Load:
    """Debits and webhooks, one after the other in each caller. Nothing is repeated: what is not
    answered with success is in `failures`.
    """

    world: World
    client: httpx.AsyncClient
    debits: int = 0
    webhooks: int = 0
    failures: list[str] = field(default_factory=list)
    _ending: bool = False

    @asynccontextmanager
    async def running(self, organization_id: str, subscription_id: str) -> AsyncIterator[None]:
        """The debits are of one organization, the webhooks of another one's subscription."""
        calling = [
            *(asyncio.create_task(self._debit(organization_id, f"c{n}")) for n in range(CALLERS)),
            asyncio.create_task(self._deliver(subscription_id)),
        ]
        try:
            yield
        finally:
            self._ending = True
            await asyncio.gather(*calling)

    async def some_more(self) -> None:
        """Wait until both were answered again."""
        debits, webhooks = self.debits + 2 * CALLERS, self.webhooks + 2

        async def answered() -> bool:
            return bool(self.failures) or (self.debits >= debits and self.webhooks >= webhooks)

        await until(answered, "further debits and webhooks")

    async def _debit(self, organization_id: str, caller: str) -> None:
        path = f"/v1/organizations/{organization_id}/wallet/debits"
        for n in count():
            if self._ending:
                return
            body = {"reference_id": f"{caller}-{n}", "amount": "0.01", "currency": "USD"}
            if await self._succeeds(path, json=body):
                self.debits += 1

    async def _deliver(self, subscription_id: str) -> None:
        """Lapsed and paid in turn; paid at the end."""
        for n in count():
            if self._ending and n % 2 == 0:
                return
            action = "pay" if n % 2 else "suspend"
            for event_id in await self.world.happen(f"subscriptions/{subscription_id}/{action}"):
                headers, body = await self.world.sign(event_id)
                if await self._succeeds("/webhooks/paypal", headers=headers, content=body):
                    self.webhooks += 1

    async def _succeeds(self, path: str, **request: object) -> bool:
        await asyncio.sleep(PACE)
        try:
            answer = await self.client.post(path, **request)  # type: ignore[arg-type]
        except httpx.TransportError as problem:
            self.failures.append(f"{path}: {problem!r}")
            return False
        if not answer.is_success:
            self.failures.append(f"{path}: {answer.status_code} {answer.text}")
        return answer.is_success
