"""Kills the worker at every step of a switch, with one customer for each step, in both directions."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from domain.billing.subscription import Provider
from domain.switching.switch import SwitchStatus
from simulators.faults import Fault, Faults
from tests.crash.processes import worker
from tests.workflow.switching import customers
from tests.workflow.switching.customers import Customer, charges, each_period_once, reached
from tests.world import World, until


class At(StrEnum):
    """The call that the provider has received but not answered when the worker is killed."""

    CHECKED = "is the source healthy"
    OFFERED = "a checkout: to Stripe it is made, and nobody knows; to PayPal it is not"
    CONSENTED = "has the customer consented"
    RECHECKED = "is the target healthy"
    STOP_REQUESTED = "stop the source: it is not stopped"
    STOP_DONE = "stop the source: it is stopped, and nobody knows"
    CUT_OVER = "is the target healthy still"


STATES = {
    At.CHECKED: SwitchStatus.STARTED,
    At.OFFERED: SwitchStatus.CHECKED,
    At.CONSENTED: SwitchStatus.OFFERED,
    At.RECHECKED: SwitchStatus.CONSENTED,
    At.STOP_REQUESTED: SwitchStatus.STOPPING,
    At.STOP_DONE: SwitchStatus.STOPPING,
    At.CUT_OVER: SwitchStatus.STOPPED,
}
BEFORE, AFTER = "timeout_before", "timeout_after_acceptance"


@dataclass(frozen=True, slots=True)
class Stopped:
    faults: Faults
    fault: Fault


def path(provider: Provider, subscription_id: str) -> str:
    if subscription_id.startswith("cs_"):
        return f"/v1/checkout/sessions/{subscription_id}$"
    return f"/v1/{'subscriptions' if provider is Provider.STRIPE else 'billing/subscriptions'}/{subscription_id}$"


async def hold(world: World, customer: Customer, at: At) -> Stopped:
    """Let the switch reach the call, and leave it without an answer."""
    faults = world.simulator(
        customer.target if at in (At.OFFERED, At.CONSENTED) else customer.source
    ).faults
    if at is At.CHECKED:
        fault = faults.add(
            BEFORE, method="GET", path=path(customer.source, customer.subscription_id)
        )
        await customers.start_switch(world, customer)
    elif at is At.OFFERED:
        create_path = (
            "/v1/checkout/sessions$"
            if customer.target is Provider.STRIPE
            else "/v1/billing/subscriptions$"
        )
        fault = faults.add(
            AFTER if customer.target is Provider.STRIPE else BEFORE, method="POST", path=create_path
        )
        await customers.start_switch(world, customer)
    else:
        await customers.start_switch(world, customer)
        offered = await reached(world, customer, SwitchStatus.OFFERED)
        if at is At.CONSENTED:
            where = path(customer.target, offered.target_subscription_id or "")
            fault = faults.add(BEFORE, method="GET", path=where)
        elif at in (At.STOP_REQUESTED, At.STOP_DONE):
            where = path(customer.source, customer.subscription_id)
            method = "DELETE" if customer.source is Provider.STRIPE else "POST"
            where = (
                where if customer.source is Provider.STRIPE else f"{where.removesuffix('$')}/cancel"
            )
            fault = faults.add(
                BEFORE if at is At.STOP_REQUESTED else AFTER, method=method, path=where
            )
        else:
            return await hold_between(world, customer, STATES[at])
        await customers.consent(world, customer, deliver=False)
        await world.services.notifier.notify_switch(customer.organization_id)

    async def called() -> bool:
        return fault.hits > 0

    await until(called, f"{customer.source} {at}")
    assert (await customers.now(world, customer)).state is STATES[at]
    return Stopped(faults, fault)


async def hold_between(world: World, customer: Customer, state: SwitchStatus) -> Stopped:
    """A step that queries both: while the source answers slowly, the target stops answering."""
    sources, targets = (
        world.simulator(customer.source).faults,
        world.simulator(customer.target).faults,
    )
    slow = sources.add(
        "slow", method="GET", path=path(customer.source, customer.subscription_id), seconds=2.0
    )
    await customers.consent(world, customer, deliver=False)
    await world.services.notifier.notify_switch(customer.organization_id)
    target = (await reached(world, customer, state)).target_subscription_id or ""
    fault = targets.add(BEFORE, method="GET", path=path(customer.target, target))

    async def called() -> bool:
        return fault.hits > 0

    await until(called, f"{customer.source} {state}")
    assert (await customers.now(world, customer)).state is state
    sources.standing.remove(slow)
    return Stopped(targets, fault)


async def test_another_worker_ends_every_switch_that_a_killed_one_began(world: World) -> None:
    stages = [(source, at) for source in Provider for at in At]
    everybody = {stage: await customers.customer(world, stage[0]) for stage in stages}
    async with worker(world, "first") as first:
        early = [stage for stage in stages if stage[1] is not At.OFFERED]
        stopped = await asyncio.gather(
            *(hold(world, everybody[stage], stage[1]) for stage in early)
        )
        # their fault affects every checkout
        late = [stage for stage in stages if stage[1] is At.OFFERED]
        stopped += await asyncio.gather(
            *(hold(world, everybody[stage], stage[1]) for stage in late)
        )
        first.kill()
    for each in stopped:
        each.faults.standing.remove(each.fault)

    async with worker(world, "second"):
        for (_, at), customer in everybody.items():
            if at in (At.CHECKED, At.OFFERED):
                await reached(world, customer, SwitchStatus.OFFERED)
                await customers.consent(world, customer)
        for customer in everybody.values():
            await reached(world, customer, SwitchStatus.COMPLETED)
            standing = await world.at_rest(customer.organization_id)
            assert (standing.status, standing.epoch) == ("active", 0)
            assert (await customers.current(world, customer)).provider is customer.target
            assert customers.created_at_target(world, customer) == 1
            assert charges(world, customer) == each_period_once(customer)
        await world.certify()
