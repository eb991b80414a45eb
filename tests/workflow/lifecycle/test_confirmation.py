"""A webhook is a hint, and the provider's answer decides; while the provider does not answer, only
closing events count.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from activities.workflow_contracts import Lifecycle, organization_workflow_id
from domain.lifecycle.standing import Status
from tests.workflow.actors import Actor, onboard
from tests.workflow.stops import details, restart_lifecycle, subscription_path
from tests.world import World, until

READS = {"paypal": "/v1/billing/subscriptions", "stripe": "/v1/subscriptions"}


async def impatient(world: World) -> tuple[str, str]:
    """An organization whose lifecycle waits two seconds for the provider."""
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    await restart_lifecycle(
        world, Lifecycle(organization_id=organization_id, confirm_for_seconds=2)
    )
    await world.look_again(organization_id)
    return organization_id, subscription_id


async def unconfirmed(world: World, organization_id: str) -> None:
    """Wait until the lifecycle reports that the provider does not answer."""

    async def shows_no_answer() -> bool:
        return "does not answer" in await details(world, organization_workflow_id(organization_id))

    await until(shows_no_answer, "an unconfirmed standing")


async def test_with_the_provider_down_the_newest_verified_event_closes(world: World) -> None:
    organization_id, subscription_id = await impatient(world)
    world.paypal.faults.add("down", path=subscription_path(subscription_id))
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend")

    assert await world.deliver(suspended) == 200

    await world.applied(organization_id, "suspended")
    assert await world.subaccount_status(organization_id) == "suspended"
    await unconfirmed(world, organization_id)
    await world.certify()


async def test_with_the_provider_down_a_reactivation_waits_for_it(world: World) -> None:
    organization_id, subscription_id = await impatient(world)
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend")
    assert await world.deliver(suspended) == 200
    before = await world.applied(organization_id, "suspended")
    world.paypal.faults.add("down", path=subscription_path(subscription_id))
    for event_id in await world.happen(f"subscriptions/{subscription_id}/pay"):
        assert await world.deliver(event_id) == 200

    await unconfirmed(world, organization_id)
    while_down = await world.standing(organization_id)
    alerts = await world.alerts(organization_id)
    gate_while_down = (await world.wallet(organization_id)).gate_open
    world.heal()
    await world.ring(organization_id)
    standing = await world.applied(organization_id, "active")

    assert alerts["not_confirmed"].startswith("not confirmed for 2 s")
    assert "not_confirmed" not in await world.alerts(organization_id)
    assert while_down == before
    assert not gate_while_down
    assert standing.epoch == 2
    assert (await world.wallet(organization_id)).pays
    await world.certify()


@pytest.mark.parametrize("failures", [0, 3], ids=["at once", "after three failures"])
async def test_a_read_that_lags_behind_the_webhook_opens_nothing_even_if_repeated(
    world: World, actor: Actor, failures: int
) -> None:
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)
    await actor.act(f"subscriptions/{subscription.id}/freeze_reads")
    world.simulator(actor.name).faults.add(
        "503", path=read_path(actor, subscription.id), times=failures
    )
    answered = partial(reads, world, actor, subscription.id)
    before = await answered()

    await actor.give_up(subscription.id)
    gate_when_answered = (await world.wallet(organization_id)).gate_open
    await until(lambda: at_least(answered, before + failures + 4), "four stale answers")
    while_stale = await world.standing(organization_id)
    debit = await world.debit(organization_id)
    await actor.act(f"subscriptions/{subscription.id}/thaw_reads")
    standing = await world.at_rest(organization_id)

    assert not gate_when_answered
    assert (while_stale.status, while_stale.epoch, debit.status_code) == (Status.SUSPENDED, 1, 423)
    assert (standing.status, standing.epoch) == (Status.SUSPENDED, 1)
    await world.certify()


async def test_an_answer_that_contradicts_the_webhook_for_long_enough_is_believed(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    later = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend", {"at": later})
    subscription = world.paypal.state.subscriptions[subscription_id]
    subscription.status, subscription.outstanding, subscription.failed_payments = (
        "ACTIVE",
        subscription.outstanding * 0,
        0,
    )
    subscription.status_updated = subscription.updated = datetime.now(UTC)

    assert await world.deliver(suspended) == 200
    gate_when_answered = (await world.wallet(organization_id)).gate_open
    standing = await world.settle_doubt(organization_id)

    assert not gate_when_answered
    assert (standing.status, standing.epoch) == (Status.ACTIVE, 2)
    await world.certify()


def read_path(actor: Actor, subscription_id: str) -> str:
    return rf"{READS[actor.name]}/{subscription_id}$"


async def reads(world: World, actor: Actor, subscription_id: str) -> int:
    return world.simulator(actor.name).state.calls.get(
        f"GET {READS[actor.name]}/{subscription_id}", 0
    )


async def at_least(count: Callable[[], Awaitable[int]], number: int) -> bool:
    return await count() >= number
