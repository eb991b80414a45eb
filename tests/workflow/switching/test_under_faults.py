"""Many customers at once, while providers fail, webhooks are lost, duplicated and reordered, and
the worker is replaced.

`TOLLGATE_TEST_CUSTOMERS=200` gives the number in the changelog; the default is smaller.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Iterable

import structlog

from domain.billing.subscription import Provider
from domain.switching.switch import OVER, SwitchStatus
from tests.workflow.switching import customers
from tests.workflow.switching.customers import PERIOD, Customer, charges, each_period_once
from tests.world import World, until

log = structlog.get_logger()
CUSTOMERS = int(os.environ.get("TOLLGATE_TEST_CUSTOMERS", "24"))
AT_ONCE = 10
LEAVES, FORGETS = 7, 5
"""Every seventh customer cancels instead of consenting, every fifth never finishes the checkout."""


def break_everything(world: World) -> None:
    for simulator in (world.paypal, world.stripe):
        simulator.faults.add("503", path="/v1/(?!oauth2)", probability=0.04, seed=1)
        simulator.faults.add(
            "reset_after_acceptance", path="/v1/(?!oauth2)", probability=0.03, seed=2
        )
        simulator.faults.add(
            "error_after_acceptance", path="/v1/(?!oauth2)", probability=0.03, seed=3
        )
        simulator.faults.add(
            "429", path="/v1/(?!oauth2)", probability=0.02, retry_after=0.1, seed=4
        )
        simulator.deliveries.faults.add("lost", probability=0.1, seed=5)
        simulator.deliveries.faults.add("duplicate", probability=0.2, seed=6)
        simulator.deliveries.faults.add("reordered", probability=0.2, seconds=0.3, seed=7)


async def some_at_once(all_of_them: Iterable[Awaitable[None]]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def run(work: Awaitable[None]) -> None:
        async with gate:
            await work

    await asyncio.gather(*(run(work) for work in all_of_them))


async def act(world: World, customer: Customer, number: int) -> None:
    """Switch the customer as far as it consents, notified repeatedly as by the reconciliation."""
    await customers.start_switch(world, customer)

    async def offered() -> bool:
        await world.services.notifier.notify_switch(customer.organization_id)
        return (await customers.now(world, customer)).state is SwitchStatus.OFFERED

    await until(offered, f"{customer.organization_id} offered")
    if number % LEAVES == 0:
        await customers.cancel(world, customer)
    elif number % FORGETS == 0:
        await customers.time_is_over(world, customer)
    else:
        await customers.consent(world, customer)


async def over(world: World, customer: Customer) -> None:
    async def ended() -> bool:
        await world.services.notifier.notify_switch(customer.organization_id)
        return (await customers.now(world, customer)).state in OVER

    await until(ended, f"{customer.organization_id} over")


async def test_nobody_is_charged_twice_left_unbilled_or_suspended(idle_world: World) -> None:
    world = idle_world
    world.start_worker()
    sources = (Provider.PAYPAL, Provider.STRIPE)
    everybody = [
        await customers.customer(world, sources[number % 2]) for number in range(CUSTOMERS)
    ]
    break_everything(world)

    first, second = everybody[: CUSTOMERS // 2], everybody[CUSTOMERS // 2 :]
    await some_at_once(act(world, customer, number) for number, customer in enumerate(first))
    await world.stop_workers()
    world.start_worker()
    await some_at_once(
        act(world, customer, number) for number, customer in enumerate(second, len(first))
    )
    await some_at_once(over(world, moving) for moving in everybody)
    struck = sum(
        fault.hits
        for simulator in (world.paypal, world.stripe)
        for fault in simulator.faults.standing
    )
    world.heal()
    world.stripe.faults.clear()

    ends: Counter[SwitchStatus] = Counter()
    for number, customer in enumerate(everybody):
        ended = await customers.now(world, customer)
        ends[ended.state] += 1
        standing = await world.look_again(customer.organization_id)
        left = number % LEAVES == 0
        assert (standing.status, standing.epoch) == ("active", 0), (
            f"{customer.organization_id} was suspended"
        )
        assert standing.deadline == (customer.paid_at + PERIOD if left else None)
        assert (ended.state is SwitchStatus.CANCELED) == left, f"{ended.state}: {ended.reason}"
        assert charges(world, customer) == (
            [customer.paid_at] if left else each_period_once(customer)
        ), customer.organization_id
    assert struck > 0
    assert set(ends) <= {SwitchStatus.COMPLETED, SwitchStatus.CANCELED, SwitchStatus.ABANDONED}, (
        ends
    )
    assert ends[SwitchStatus.COMPLETED] >= CUSTOMERS // 2, ends
    await world.certify()
    log.info(
        "switched",
        customers=CUSTOMERS,
        faults=struck,
        **{end.value: number for end, number in ends.items()},
    )
