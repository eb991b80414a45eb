"""Callers that debit a wallet and retry under the same reference until they get an answer."""

import asyncio
from dataclasses import dataclass, field

import httpx


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
