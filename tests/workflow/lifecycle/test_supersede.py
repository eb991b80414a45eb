"""A change of the standing during the steps, in both directions and at every boundary: the newer
one wins at once.
"""

import asyncio

import pytest
from temporalio.exceptions import ApplicationError

from activities.lifecycle.enforcement import Step
from db.lifecycle import receipts
from domain.lifecycle.standing import Status
from tests.workflow.stops import (
    Boundaries,
    account_path,
    late_suspension,
    row_locked,
    somebody_waits_for,
    suspended_late,
    tried,
)
from tests.world import World, until

SUSPENDING = ["suspend_twilio_subaccount", "freeze_wallet", "pause_campaigns"]
REACTIVATING = ["reactivate_twilio_subaccount", "unfreeze_wallet", "resume_eligible_campaigns"]


async def running_organization(world: World) -> tuple[str, str]:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    return organization_id, subscription_id


async def ends_open(world: World, organization_id: str) -> None:
    standing = await world.applied(organization_id, "active")
    wallet = await world.wallet(organization_id)
    receipt = await world.receipt(organization_id)

    assert standing.blocks == frozenset()
    assert (wallet.gate_open, wallet.frozen) == (True, False)
    assert await world.subaccount_status(organization_id) == "active"
    assert (receipt.epoch, receipt.status) == (standing.epoch, Status.ACTIVE)
    assert [step["step"] for step in receipt.steps] == REACTIVATING
    assert receipt.finished_at is not None
    assert (await world.debit(organization_id)).status_code == 201
    await world.certify()


async def ends_shut(world: World, organization_id: str) -> None:
    standing = await world.applied(organization_id, "suspended")
    wallet = await world.wallet(organization_id)
    receipt = await world.receipt(organization_id)

    assert (wallet.gate_open, wallet.frozen) == (False, True)
    assert await world.subaccount_status(organization_id) == "suspended"
    assert (receipt.epoch, receipt.status) == (standing.epoch, Status.SUSPENDED)
    assert [step["step"] for step in receipt.steps] == SUSPENDING
    assert (receipt.leaked_debits, receipt.leaked_messages) == (0, 0)
    assert (await world.debit(organization_id)).status_code == 423
    await world.certify()


async def overtaken(world: World, organization_id: str, epoch: int) -> list[str]:
    """The steps that a superseded epoch had completed; its receipt is never closed."""
    found = await world.read(lambda conn: receipts.of_organization(conn, organization_id, limit=10))
    [receipt] = [receipt for receipt in found if receipt.epoch == epoch]
    assert receipt.finished_at is None
    return [step["step"] for step in receipt.steps]


async def decided(world: World, organization_id: str, epoch: int) -> None:
    async def reached() -> bool:
        return (await world.standing(organization_id)).epoch == epoch

    await until(reached, f"epoch {epoch}")


@pytest.mark.parametrize("fault", ["down", "500", "timeout_before"])
async def test_a_payment_overtakes_a_suspension_that_twilio_does_not_take(
    world: World, fault: str
) -> None:
    organization_id, subscription_id = await running_organization(world)
    path = account_path(await world.account_sid(organization_id))
    world.twilio.faults.add(fault, path=path, seconds=2)
    await world.lapse(subscription_id)
    await tried(world, path)

    await world.pay(subscription_id)
    world.heal()

    await ends_open(world, organization_id)
    assert await overtaken(world, organization_id, 1) == []


@pytest.mark.parametrize("fault", ["down", "500", "timeout_before"])
async def test_a_suspension_overtakes_a_reactivation_that_twilio_does_not_take(
    world: World, fault: str
) -> None:
    organization_id, subscription_id = await running_organization(world)
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    path = account_path(await world.account_sid(organization_id))
    world.twilio.faults.add(fault, path=path, seconds=2)
    await world.pay(subscription_id)
    await tried(world, path)

    await world.lapse(subscription_id)
    world.heal()

    await ends_shut(world, organization_id)
    assert await overtaken(world, organization_id, 2) == []


async def test_the_opposite_call_to_twilio_waits_for_the_one_under_way(world: World) -> None:
    organization_id, subscription_id = await running_organization(world)
    account_sid = await world.account_sid(organization_id)
    world.twilio.faults.add(
        "slow", method="POST", path=account_path(account_sid), times=1, seconds=1.5
    )
    before = len(world.twilio.state.status_changes)
    await world.lapse(subscription_id)
    await tried(world, account_path(account_sid))

    await world.pay(subscription_id)

    await ends_open(world, organization_id)
    changes = [
        status for sid, status in world.twilio.state.status_changes[before:] if sid == account_sid
    ]
    assert changes == ["suspended", "active"]


@pytest.mark.parametrize("step", SUSPENDING)
async def test_a_payment_overtakes_a_suspension_at_every_boundary(
    world: World, boundaries: Boundaries, step: str
) -> None:
    organization_id, subscription_id = await running_organization(world)
    async with boundaries.holding(step, organization_id) as stop:
        await world.lapse(subscription_id)
        await stop.reached.wait()
        await world.pay(subscription_id)
        await decided(world, organization_id, 2)

    await ends_open(world, organization_id)
    assert await overtaken(world, organization_id, 1) == SUSPENDING[: SUSPENDING.index(step)]


@pytest.mark.parametrize("step", REACTIVATING)
async def test_a_suspension_overtakes_a_reactivation_at_every_boundary(
    world: World, boundaries: Boundaries, step: str
) -> None:
    organization_id, subscription_id = await running_organization(world)
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    async with boundaries.holding(step, organization_id) as stop:
        await world.pay(subscription_id)
        await stop.reached.wait()
        await world.lapse(subscription_id)
        gate_open = (await world.wallet(organization_id)).gate_open

    await ends_shut(world, organization_id)
    assert not gate_open
    assert await overtaken(world, organization_id, 2) == REACTIVATING[: REACTIVATING.index(step)]


async def test_a_payment_that_waits_behind_the_freeze_s_lock_ends_open(world: World) -> None:
    organization_id, subscription_id = await running_organization(world)
    path = account_path(await world.account_sid(organization_id))
    world.twilio.faults.add("down", path=path)
    await world.lapse(subscription_id)
    await tried(world, path)

    async with row_locked(world, "wallets", organization_id):
        world.heal()
        await somebody_waits_for(world, "wallets")
        paying = asyncio.create_task(world.pay(subscription_id))
        await somebody_waits_for(world, "standings")
    await paying

    await ends_open(world, organization_id)


async def test_a_suspension_that_waits_behind_the_opening_s_lock_ends_shut(world: World) -> None:
    organization_id, subscription_id = await running_organization(world)
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    path = account_path(await world.account_sid(organization_id))
    world.twilio.faults.add("down", path=path)
    await world.pay(subscription_id)
    await tried(world, path)

    async with row_locked(world, "wallets", organization_id):
        world.heal()
        await somebody_waits_for(world, "wallets")
        lapsing = asyncio.create_task(world.lapse(subscription_id))
        await somebody_waits_for(world, "standings")
    await lapsing

    assert not (await world.wallet(organization_id)).gate_open
    await ends_shut(world, organization_id)


@pytest.mark.parametrize("name", SUSPENDING + REACTIVATING)
async def test_a_step_of_an_older_epoch_refuses_itself_and_changes_nothing(
    world: World, name: str
) -> None:
    organization_id, subscription_id = await running_organization(world)
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    before = (await world.wallet(organization_id), await world.receipt(organization_id))
    step = Step(organization_id=organization_id, epoch=0)

    with pytest.raises(ApplicationError, match="superseded") as refusal:
        await getattr(world.services.enforcement, name)(step)

    assert refusal.value.non_retryable
    assert (await world.wallet(organization_id), await world.receipt(organization_id)) == before
    assert await world.subaccount_status(organization_id) == "suspended"


async def test_a_suspension_that_arrives_after_the_reactivation_is_undone_by_who_sent_it(
    world: World,
) -> None:
    """Like a worker that was wrongly presumed dead."""
    organization_id, subscription_id = await running_organization(world)

    late = await late_suspension(world, organization_id, subscription_id)
    with pytest.raises(ApplicationError, match="superseded"):
        await late
    await suspended_late(world, organization_id)

    async def opened() -> bool:
        return await world.subaccount_status(organization_id) == "active"

    await until(opened, "the subaccount active again")
    await ends_open(world, organization_id)
    assert await world.alerts(organization_id) == {}
