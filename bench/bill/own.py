"""Sends messages through Tollgate's campaigns at the end of the days, when Twilio's clock is right:
with lost answers, and a worker of Tollgate that is killed and replaced; and, undisturbed, with the
reading of the bill going on and without it, in turns.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import text
from temporalio.client import Client

from bench import load
from bench.bill.days import Subaccount, start_reading
from bench.load import Target
from bench.outcome import BenchFailed

PAIRS, MESSAGES = 3, 1_500
DISTURBED = 600
PATIENCE = 600.0
PAID, BODY = "1000.00", "Hello from the bench."
FAULTS = tuple(
    {
        "kind": kind,
        "method": "POST",
        "path": "/2010-04-01/Accounts/[^/]+/Messages",
        "probability": 0.02,
        "seed": seed,
    }
    for seed, kind in enumerate(("reset_after_acceptance", "503", "429"))
)
_OPEN = text("""
    SELECT count(*) FILTER (WHERE status = 'accepted') AS accepted,
           count(*) FILTER (WHERE status IN ('pending', 'reserved', 'sending')) AS open
    FROM messages WHERE organization_id = :of
""")


@dataclass(slots=True, kw_only=True)
class Own:
    """`organization_ids` are those that send; `ratios` the pace with the reading to that without
    it, of each pair.
    """

    organization_ids: frozenset[str] = frozenset()
    sent: int = 0
    ratios: list[float] = field(default_factory=list)
    workers_killed: int = 0

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


async def send(
    target: Target,
    client: Client,
    queue: str,
    accounts: Sequence[Subaccount],
    replace_tollgates_worker: Callable[[], Awaitable[None]],
) -> Own:
    """Everything that was paid for is at Twilio afterwards, once."""
    disturbed, *others = accounts[: 1 + 2 * PAIRS]
    sending = Own(organization_ids=frozenset(each.organization_id for each in accounts))
    for account in (disturbed, *others):
        await _pay(target, account)
    for pair in zip(others[::2], others[1::2], strict=False):
        # whichever is first has it harder or easier: they take turns
        with_reading = len(sending.ratios) % 2
        paces = {}
        for at, account in enumerate(pair):
            reads = at == with_reading
            paces[reads] = await _pace(target, client, queue, account, reads=reads)
            sending.sent += MESSAGES
        sending.ratios.append(paces[True] / paces[False])
    for fault in FAULTS:
        await load.ok(target.twilio.post("/_sim/faults", json=fault))
    await _start(target, disturbed, DISTURBED)
    await _until(target, disturbed, lambda accepted, _: accepted >= DISTURBED // 3)
    await replace_tollgates_worker()
    sending.workers_killed += 1
    await _until(target, disturbed, lambda _, unsettled: unsettled == 0)
    await load.ok(target.twilio.delete("/_sim/faults"))
    # what stays unknown was not accepted; of what was, a callback tells
    query = {"account_sid": disturbed.sid}
    listed = (await load.ok(target.twilio.get("/_sim/messages", params=query))).json()["messages"]
    ours = sum(each["body"] == BODY for each in listed)
    await _until(target, disturbed, lambda accepted, _: accepted >= ours)
    sending.sent += DISTURBED
    return sending


async def _pace(
    target: Target, client: Client, queue: str, account: Subaccount, *, reads: bool
) -> float:
    """Messages a second."""
    reading = asyncio.create_task(_read_on(client, queue)) if reads else None
    try:
        began = time.monotonic()
        await _start(target, account, MESSAGES)
        await _until(target, account, lambda accepted, _: accepted >= MESSAGES)
        return MESSAGES / (time.monotonic() - began)
    finally:
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _read_on(client: Client, queue: str) -> None:
    while True:
        handle = await start_reading(client, queue, datetime.now(UTC), 1)
        await handle.result()
        await asyncio.sleep(1)


async def _pay(target: Target, account: Subaccount) -> None:
    path = f"/v1/organizations/{account.organization_id}/wallet/credits"
    body = {"reference_id": "for-campaigns", "amount": PAID, "currency": "USD"}
    await load.ok(target.api.post(path, json=body))


async def _start(target: Target, account: Subaccount, messages: int) -> None:
    path = f"/v1/organizations/{account.organization_id}/campaigns"
    campaign = {
        "name": "bench",
        "body": BODY,
        "recipients": [f"+1415{number:07}" for number in range(2_000_000, 2_000_000 + messages)],
    }
    made = await load.ok(
        target.api.post(path, json=campaign, headers={"idempotency-key": "bench-bill"})
    )
    await load.ok(target.api.post(f"{path}/{made.json()['id']}/start"))


async def _until(target: Target, account: Subaccount, enough: Callable[[int, int], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        async with target.engine.connect() as conn:
            row = (await conn.execute(_OPEN, {"of": account.organization_id})).one()
        if enough(row.accepted, row.open):
            return
        if time.monotonic() > deadline:
            problem = f"{row.accepted} accepted, {row.open} unsettled"
            raise BenchFailed(f"{account.organization_id}: {problem}")
        await asyncio.sleep(0.2)
