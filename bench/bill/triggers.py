"""Measures how soon a subaccount is suspended after its usage trigger fired: Tollgate's own worker,
in real time.
"""

import asyncio
import time
from collections.abc import Sequence

from temporalio.client import Client

from bench import load
from bench.bill.days import Subaccount
from bench.bill.reading import MakeTriggers
from bench.load import Target
from bench.outcome import BenchFailed

AT_ONCE = 10
"""So many triggers fire at the same moment."""
MORE_THAN_ANY_WALLET = "900.00"
PATIENCE = 120.0


async def suspended_seconds(target: Target, accounts: Sequence[Subaccount]) -> list[float]:
    """Seconds from Twilio's callback to each subaccount's suspension at Twilio."""
    seconds: list[float] = []
    # Twilio's triggers do not lag here: how late they are is its own affair
    await load.ok(target.twilio.patch("/_sim/behaviour", json={"usage_lag": 0}))
    for first in range(0, len(accounts), AT_ONCE):
        seconds += await _fire(target, accounts[first : first + AT_ONCE])
    return seconds


async def _fire(target: Target, accounts: Sequence[Subaccount]) -> list[float]:
    for account in accounts:
        charge = {
            "account_sid": account.sid,
            "category": "calls-outbound",
            "price": MORE_THAN_ANY_WALLET,
        }
        await load.ok(target.twilio.post("/_sim/usage/entries", json=charge))
    began = time.perf_counter()
    fired = (await load.ok(target.twilio.post("/_sim/usage/evaluate"))).json()["fired"]
    if fired < len(accounts):
        raise BenchFailed(f"{fired} of {len(accounts)} usage triggers fired")
    took: dict[str, float] = {}
    while time.perf_counter() - began < PATIENCE:
        suspended = await suspended_sids(target)
        for account in accounts:
            if account.sid in suspended:
                took.setdefault(account.sid, time.perf_counter() - began)
        if len(took) == len(accounts):
            return list(took.values())
        await asyncio.sleep(0.1)
    raise BenchFailed(f"{len(accounts) - len(took)} subaccounts were not suspended in {PATIENCE} s")


async def suspended_sids(target: Target) -> frozenset[str]:
    listed = (await load.ok(target.twilio.get("/_sim/accounts"))).json()["accounts"]
    return frozenset(each["sid"] for each in listed if each["status"] == "suspended")


async def make(client: Client, queue: str, organization_ids: Sequence[str]) -> None:
    """Have the triggers made that the reconciliation would make."""
    await client.execute_workflow(
        MakeTriggers.run, list(organization_ids), id="bench-bill/triggers", task_queue=queue
    )
