"""Measures how fast a webhook is answered, how soon its steps are done, and how a burst of
suspensions is handled.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from temporalio.client import Client

from bench import load
from bench.load import Signed, Target
from bench.outcome import BenchFailed, percentile
from db.audit.certify import examine
from domain.billing.subscription import Provider

STEADY_PER_SECOND = 20
STEADY_SECONDS = 15
IDLE_ROUNDS = 20
BARE_AT_ONCE = 50
PATIENCE = timedelta(minutes=2)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Milliseconds and organizations a second; `as_json` is the report's public form."""

    webhook_p50: float
    webhook_p99: float
    steps_p50: float
    bare_p50: float
    organizations: int
    storm_per_second: float
    bare_per_second: float
    debits_after_answer: int
    certified: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "webhook": {
                "per_second": STEADY_PER_SECOND,
                "p50_ms": round(self.webhook_p50, 1),
                "p99_ms": round(self.webhook_p99, 1),
            },
            "idle": {
                "steps_p50_ms": round(self.steps_p50, 1),
                "bare_p50_ms": round(self.bare_p50, 1),
            },
            "storm": {
                "organizations": self.organizations,
                "per_second": round(self.storm_per_second, 1),
                "bare_per_second": round(self.bare_per_second, 1),
                "debits_after_answer": self.debits_after_answer,
            },
            "certify": self.certified,
        }


async def run(
    target: Target,
    client: Client,
    bare_queue: str,
    organizations: int,
    provider: Provider,
    say: Say,
) -> Report:
    """Measure everything in one run. Raises `BenchFailed` if a guarantee is broken."""
    say(f"onboarding {organizations} organizations")
    subjects = await load.onboard(target, "STORM", organizations, provider=provider)
    steady = await load.onboard(
        target, "STEADY", STEADY_PER_SECOND * STEADY_SECONDS, provider=provider
    )
    say(f"webhooks, {STEADY_PER_SECOND} a second for {STEADY_SECONDS} seconds")
    answered = await _steadily(target, await load.sign(target, steady, "suspend"))
    await load.at_rest(target, steady)
    say(f"one at a time, {IDLE_ROUNDS} of each")
    bare_p50 = percentile(await _bare_alone(client, bare_queue), 50)
    steps_p50 = percentile(
        await _steps_alone(target, await load.sign(target, steady[:IDLE_ROUNDS], "pay")), 50
    )
    say(f"a storm of {organizations} bare workflows, then of {organizations} suspensions")
    bare_per_second = await _bare_storm(client, bare_queue, organizations)
    signed = await load.sign(target, subjects, "suspend")
    storm_per_second, late = await _storm(target, signed)
    say("certifying")
    certified = await _certified(target)
    if late or not certified:
        raise BenchFailed(
            f"a guarantee is broken: {late} debits after the answer, certified: {certified}"
        )
    return Report(
        webhook_p50=percentile(answered, 50) * 1000,
        webhook_p99=percentile(answered, 99) * 1000,
        steps_p50=steps_p50 * 1000,
        bare_p50=bare_p50 * 1000,
        organizations=organizations,
        storm_per_second=storm_per_second,
        bare_per_second=bare_per_second,
        debits_after_answer=late,
        certified=certified,
    )


async def _steadily(target: Target, signed: Sequence[Signed]) -> list[float]:
    began = time.monotonic()
    sent = []
    for number, delivery in enumerate(signed):
        await asyncio.sleep(max(0.0, began + number / STEADY_PER_SECOND - time.monotonic()))
        sent.append(asyncio.create_task(load.deliver(target, delivery)))
    return list(await asyncio.gather(*sent))


async def _bare_alone(client: Client, queue: str) -> list[float]:
    seconds = []
    for _ in range(IDLE_ROUNDS):
        began = time.perf_counter()
        await client.execute_workflow(
            "Bare", id=f"bare/{uuid4()}", task_queue=queue, execution_timeout=PATIENCE
        )
        seconds.append(time.perf_counter() - began)
    return seconds


async def _steps_alone(target: Target, signed: Sequence[Signed]) -> list[float]:
    """The time from the webhook's first byte to its closed receipt, by the receipt's own time, so
    that no fast polling is needed.
    """
    seconds = []
    for delivery in signed:
        began = time.time()
        await load.deliver(target, delivery)
        await load.active_again(target, delivery.subject)
        [finished] = await load.finished_at(target, [delivery.subject])
        seconds.append(finished - began)
    return seconds


async def _bare_storm(client: Client, queue: str, number: int) -> float:
    async def run_workflow(_: int) -> None:
        await client.execute_workflow(
            "Bare", id=f"bare/{uuid4()}", task_queue=queue, execution_timeout=PATIENCE
        )

    began = time.perf_counter()
    await load.each(range(number), run_workflow, at_once=BARE_AT_ONCE)
    return number / (time.perf_counter() - began)


async def _storm(target: Target, signed: Sequence[Signed]) -> tuple[float, int]:
    async def deliver_and_debit(delivery: Signed) -> bool:
        await load.deliver(target, delivery)
        return await load.try_debit(target, delivery.subject)

    began = time.time()
    late = await load.each(signed, deliver_and_debit, at_once=50)
    subjects = [delivery.subject for delivery in signed]
    await load.at_rest(target, subjects)
    last = max(await load.finished_at(target, subjects))
    return len(signed) / (last - began), sum(late)


async def _certified(target: Target) -> bool:
    return all(finding.holds for finding in await examine(target.engine))
