"""One SIGKILL finds the worker at every step of a switch, for a customer each, in both
directions.
"""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from domain.billing.subscription import Provider
from domain.switching.switch import SwitchStatus
from simulators.faults import Fault, Faults
from tests.crash.processes import worker
from tests.workflow import customers
from tests.workflow.customers import Customer, charges, each_period_once, reached
from tests.world import World, until


class At(StrEnum):
    """What the provider was asked, and has not answered, when the worker is killed."""

    CHECKED = "is the source healthy"
    OFFERED = "a checkout: to Stripe it is made, and nobody knows; to PayPal it is not"
    CONSENTED = "has the customer consented"
    RECHECKED = "is the target healthy"
    STOP_ASKED = "stop the source: it is not stopped"
    STOP_DONE = "stop the source: it is stopped, and nobody knows"
    CUT_OVER = "is the target healthy still"


STATES = {
    At.CHECKED: SwitchStatus.STARTED,
    At.OFFERED: SwitchStatus.CHECKED,
    At.CONSENTED: SwitchStatus.OFFERED,
    At.RECHECKED: SwitchStatus.CONSENTED,
    At.STOP_ASKED: SwitchStatus.STOPPING,
    At.STOP_DONE: SwitchStatus.STOPPING,
    At.CUT_OVER: SwitchStatus.STOPPED,
}
BEFORE, AFTER = "timeout_before", "timeout_after_acceptance"


@dataclass(frozen=True, slots=True)
class Held:
    faults: Faults
    fault: Fault


def path(provider: Provider, subscription_id: str) -> str:
    if subscription_id.startswith("cs_"):
        return f"/v1/checkout/sessions/{subscription_id}$"
    return f"/v1/{'subscriptions' if provider is Provider.STRIPE else 'billing/subscriptions'}/{subscription_id}$"


async def hold(world: World, one: Customer, at: At) -> Held:
    """Let the switch come to the call, and leave that without an answer."""
    faults = world.simulator(one.target if at in (At.OFFERED, At.CONSENTED) else one.source).faults
    if at is At.CHECKED:
        fault = faults.add(BEFORE, method="GET", path=path(one.source, one.subscription_id))
        await customers.start_switch(world, one)
    elif at is At.OFFERED:
        made = (
            "/v1/checkout/sessions$"
            if one.target is Provider.STRIPE
            else "/v1/billing/subscriptions$"
        )
        fault = faults.add(
            AFTER if one.target is Provider.STRIPE else BEFORE, method="POST", path=made
        )
        await customers.start_switch(world, one)
    else:
        await customers.start_switch(world, one)
        offered = await reached(world, one, SwitchStatus.OFFERED)
        if at is At.CONSENTED:
            where = path(one.target, offered.target_subscription_id or "")
            fault = faults.add(BEFORE, method="GET", path=where)
        elif at in (At.STOP_ASKED, At.STOP_DONE):
            where = path(one.source, one.subscription_id)
            method = "DELETE" if one.source is Provider.STRIPE else "POST"
            where = where if one.source is Provider.STRIPE else f"{where.removesuffix('$')}/cancel"
            fault = faults.add(BEFORE if at is At.STOP_ASKED else AFTER, method=method, path=where)
        else:
            return await hold_between(world, one, STATES[at])
        await customers.consent(world, one, deliver=False)
        await world.services.notifier.notify_switch(one.organization_id)

    async def asked() -> bool:
        return fault.hits > 0

    await until(asked, f"{one.source} {at}")
    assert (await customers.now(world, one)).state is STATES[at]
    return Held(faults, fault)


async def hold_between(world: World, one: Customer, state: SwitchStatus) -> Held:
    """A step that asks both: while the source takes its time to answer, the target ceases to."""
    sources, targets = world.simulator(one.source).faults, world.simulator(one.target).faults
    slow = sources.add(
        "slow", method="GET", path=path(one.source, one.subscription_id), seconds=2.0
    )
    await customers.consent(world, one, deliver=False)
    await world.services.notifier.notify_switch(one.organization_id)
    target = (await reached(world, one, state)).target_subscription_id or ""
    fault = targets.add(BEFORE, method="GET", path=path(one.target, target))

    async def asked() -> bool:
        return fault.hits > 0

    await until(asked, f"{one.source} {state}")
    assert (await customers.now(world, one)).state is state
    sources.standing.remove(slow)
    return Held(targets, fault)


async def test_another_worker_ends_every_switch_that_a_killed_one_began(world: World) -> None:
    stages = [(source, at) for source in Provider for at in At]
    everybody = {stage: await customers.customer(world, stage[0]) for stage in stages}
    async with worker(world, "first") as first:
        early = [stage for stage in stages if stage[1] is not At.OFFERED]
        held = await asyncio.gather(*(hold(world, everybody[stage], stage[1]) for stage in early))
        # their fault strikes every checkout
        late = [stage for stage in stages if stage[1] is At.OFFERED]
        held += await asyncio.gather(*(hold(world, everybody[stage], stage[1]) for stage in late))
        first.kill()
    for each in held:
        each.faults.standing.remove(each.fault)

    async with worker(world, "second"):
        for (_, at), one in everybody.items():
            if at in (At.CHECKED, At.OFFERED):
                await reached(world, one, SwitchStatus.OFFERED)
                await customers.consent(world, one)
        for one in everybody.values():
            await reached(world, one, SwitchStatus.COMPLETED)
            standing = await world.at_rest(one.organization_id)
            assert (standing.status, standing.epoch) == ("active", 0)
            assert (await customers.current(world, one)).provider is one.target
            assert customers.made_at_target(world, one) == 1
            assert charges(world, one) == each_period_once(one)
        await world.certify()
