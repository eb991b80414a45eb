"""Lets the days pass at Twilio: each subaccount does what its plan says, prices are corrected, and
after each step what is due is read.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text
from temporalio.client import Client, WorkflowHandle

from bench import load
from bench.bill import plan
from bench.bill.plan import STEPS, Charge, Doing
from bench.bill.reading import Moment, Read, ReadBill
from bench.load import Target
from bench.outcome import BenchFailed

STEP = timedelta(days=1) / STEPS
LAG = timedelta(hours=4)
"""Usage records show what happened so long ago: a day's last step is seen on the day after."""
SETTLING = 2 * STEPS + 1
"""Steps at the end in which nothing happens and every answer arrives: each class is read, also a
suspended subaccount, which is read once a day, after the lag.
"""
AT_ONCE = 16
BEFORE = datetime.min.replace(tzinfo=UTC)
_LISTS = "/2010-04-01/Accounts/[^/]+/(Usage/Records|Messages)"
FAULTS = tuple(
    {"kind": kind, "method": "GET", "path": _LISTS, "probability": probability, "seed": seed}
    for seed, (kind, probability) in enumerate(
        (("reset_after_acceptance", 0.01), ("503", 0.01), ("malformed_json", 0.005))
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subaccount:
    organization_id: str
    sid: str
    auth_token: str
    number: str


@dataclass(slots=True, kw_only=True)
class Days:
    """`replace_worker` kills the reader's process and starts another."""

    target: Target
    client: Client
    queue: str
    accounts: Sequence[Subaccount]
    days: int
    replace_worker: Callable[[], Awaitable[None]]
    reads: list[Read] = field(default_factory=list)
    changes: dict[int, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    corrections: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    corrected: int = 0
    killed: int = 0
    now: datetime = BEFORE

    @property
    def length(self) -> timedelta:
        return STEP * (self.days * STEPS + SETTLING)

    async def begin(self) -> None:
        """Twilio's clock goes back by all the steps, so that it is right again after the last."""
        await load.ok(
            self.target.twilio.post("/_sim/clock", json={"seconds": -self.length.total_seconds()})
        )
        # no trigger fires before it is measured
        settings = {"usage_lag": LAG.total_seconds(), "trigger_every": 86_400}
        await load.ok(self.target.twilio.patch("/_sim/behaviour", json=settings))

    async def run(self) -> None:
        plans = [
            list(plan.of_organization(number, len(self.accounts), self.days))
            for number in range(len(self.accounts))
        ]
        kills = {self.days * STEPS // 3, self.days * STEPS * 2 // 3}
        self.now = await twilios_time(self.target)
        await self._read()  # a list that was never read is read from an hour before
        await load.each(self.accounts, self._rent, at_once=AT_ONCE)
        for fault in FAULTS:
            await load.ok(self.target.twilio.post("/_sim/faults", json=fault))
        for step in range(self.days * STEPS):
            await self._pass(STEP / 2)
            doings = [(number, planned[step]) for number, planned in enumerate(plans)]
            await load.each(
                [(number, doing, step) for number, doing in doings if doing],
                self._do,
                at_once=AT_ONCE,
            )
            for entry, micros in self.corrections.pop(step, ()):
                await self._correct(entry, micros)
            await self._pass(STEP / 2)
            await self._read(twice=step % STEPS == 0, kill=step in kills)
        await load.ok(self.target.twilio.delete("/_sim/faults"))
        for _ in range(SETTLING):
            await self._pass(STEP)
            await self._read()

    async def read_all(self) -> None:
        """Read everything, in Twilio's time, whatever is due."""
        await load.ok(self.target.twilio.patch("/_sim/behaviour", json={"usage_lag": 0}))
        async with self.target.engine.begin() as conn:
            await conn.execute(
                text("UPDATE carrier_readings SET due_at = now() - interval '1 day'")
            )
        self.now = await twilios_time(self.target)
        await self._read()

    async def _pass(self, length: timedelta) -> None:
        body = {"seconds": length.total_seconds()}
        answer = await load.ok(self.target.twilio.post("/_sim/clock", json=body))
        self.now = _time(answer)

    async def _rent(self, account: Subaccount) -> None:
        path, body = f"/_sim/accounts/{account.sid}", {"phone_number": account.number}
        await load.ok(self.target.twilio.post(f"{path}/phone_numbers", json=body))

    async def _do(self, given: tuple[int, Doing, int]) -> None:
        number, doing, step = given
        account = self.accounts[number]
        self.changes[number].append(self.now + LAG)
        for charge in doing.charges:
            await self._book(account, charge, step)
        for _ in range(doing.sent):
            await self._send(account)
        if doing.received:
            body = {"to": account.number, "count": doing.received}
            path = f"/_sim/accounts/{account.sid}/inbound"
            await load.ok(self.target.twilio.post(path, json=body))

    async def _book(self, account: Subaccount, charge: Charge, step: int) -> None:
        body: dict[str, Any] = {
            "account_sid": account.sid,
            "category": charge.category,
            "price": None if charge.price_micros is None else dollars(charge.price_micros),
            "count": charge.units,
            "day": (self.now.date() - timedelta(days=charge.days_late)).isoformat(),
        }
        booked = await load.ok(self.target.twilio.post("/_sim/usage/entries", json=body))
        if charge.corrected is not None:
            entry = booked.json()["number"]
            self.corrections[max(charge.corrected, step)].append((entry, charge.corrected_micros))

    async def _send(self, account: Subaccount) -> None:
        """With the subaccount's own credentials; Twilio refuses it if it is suspended."""
        await self.target.twilio.post(
            f"/2010-04-01/Accounts/{account.sid}/Messages.json",
            auth=(account.sid, account.auth_token),
            data={"To": "+14155550100", "From": account.number, "Body": "Past Tollgate"},
        )

    async def _correct(self, entry: int, micros: int) -> None:
        body = {"price": dollars(micros)}
        await load.ok(self.target.twilio.patch(f"/_sim/usage/entries/{entry}", json=body))
        self.corrected += 1

    async def _read(self, *, twice: bool = False, kill: bool = False) -> None:
        """Have the worker read what is due; twice at the same time, or killed on its way."""
        passes = [await self._start() for _ in range(1 + twice)]
        if kill:
            await self._on_its_way()
            await self.replace_worker()
            self.killed += 1
        self.reads += await asyncio.gather(*(each.result() for each in passes))

    async def _start(self) -> WorkflowHandle[ReadBill, Read]:
        return await start_reading(self.client, self.queue, self.now, len(self.accounts))

    async def _on_its_way(self) -> None:
        question = text("SELECT count(*) FROM carrier_readings WHERE read_at = :now")
        deadline = time.monotonic() + load.PATIENCE
        while time.monotonic() < deadline:
            async with self.target.engine.connect() as conn:
                if (await conn.execute(question, {"now": self.now})).scalar_one():
                    return
            await asyncio.sleep(0.02)
        raise BenchFailed("the worker reads no bill")


async def start_reading(
    client: Client, queue: str, now: datetime, accounts: int
) -> WorkflowHandle[ReadBill, Read]:
    return await client.start_workflow(
        ReadBill.run,
        Moment(now=now.isoformat(), accounts=accounts),
        id=f"bench-bill/{uuid4()}",
        task_queue=queue,
        execution_timeout=timedelta(minutes=10),
    )


async def twilios_time(target: Target) -> datetime:
    return _time(await load.ok(target.twilio.get("/_sim/clock")))


def _time(answer: httpx.Response) -> datetime:
    return datetime.fromtimestamp(answer.json()["now"], UTC)


def dollars(micros: int) -> str:
    return f"{Decimal(micros) / 1_000_000:f}"
