"""A past-due subscription keeps sending until its deadline, a canceled one until the end of the
paid period.
"""

from datetime import UTC, datetime, timedelta

from activities.workflow_contracts import organization_workflow_id
from domain.lifecycle.standing import Block, Status
from tests.world import World, until


async def fail_payment(world: World, subscription_id: str, *, seconds_ago: int = 0) -> None:
    at = (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat()
    [event_id] = await world.happen(f"subscriptions/{subscription_id}/fail_payment", {"at": at})
    assert await world.deliver(event_id) == 200


async def timers(world: World, organization_id: str) -> list[float]:
    """The durable timers that the lifecycle has set, in seconds."""
    handle = world.services.client.get_workflow_handle(organization_workflow_id(organization_id))
    return [
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta().total_seconds()
        for event in (await handle.fetch_history()).events
        if event.HasField("timer_started_event_attributes")
    ]


async def await_deadline(world: World, organization_id: str) -> datetime:
    async def set_() -> datetime | None:
        return (await world.standing(organization_id)).deadline

    found = await until(set_, "a deadline")
    assert found is not None
    return found


async def test_past_due_keeps_sending_and_is_suspended_by_the_timer(world: World) -> None:
    organization_id, subscription_id = await world.organization(grace=3)
    await world.applied(organization_id, "active")
    await fail_payment(world, subscription_id)
    deadline = await await_deadline(world, organization_id)
    during = await world.debit(organization_id)
    standing_during = await world.at_rest(organization_id)

    standing = await world.applied(organization_id, "suspended")
    receipt = await world.receipt(organization_id)

    assert during.status_code == 201
    assert (standing_during.status, standing_during.epoch) == (Status.ACTIVE, 0)
    assert (standing.blocks, standing.deadline) == (frozenset({Block.NONPAYMENT}), None)
    assert receipt.decided_at >= deadline
    # not only by the relay
    assert any(seconds <= 3 for seconds in await timers(world, organization_id))
    assert (receipt.leaked_debits, receipt.leaked_messages) == (0, 0)
    assert await world.subaccount_status(organization_id) == "suspended"
    await world.certify()


async def test_more_failures_do_not_move_the_deadline(world: World) -> None:
    organization_id, subscription_id = await world.organization(grace=3600)
    await world.applied(organization_id, "active")
    await fail_payment(world, subscription_id, seconds_ago=30)
    deadline = await await_deadline(world, organization_id)

    await fail_payment(world, subscription_id, seconds_ago=10)

    assert (await world.look_again(organization_id)).deadline == deadline
    await world.certify()


async def test_paying_in_between_cancels_the_timer(world: World) -> None:
    organization_id, subscription_id = await world.organization(grace=3)
    await world.applied(organization_id, "active")
    await fail_payment(world, subscription_id)
    deadline = await await_deadline(world, organization_id)
    for event_id in await world.happen(f"subscriptions/{subscription_id}/pay"):
        assert await world.deliver(event_id) == 200
    paid = await world.at_rest(organization_id)

    async def over() -> bool:
        return datetime.now(UTC) > deadline + timedelta(seconds=1)

    await until(over, "the deadline that was")
    standing = await world.look_again(organization_id)

    assert paid.deadline is None
    assert (standing.status, standing.epoch, standing.deadline) == (Status.ACTIVE, 0, None)
    assert (await world.debit(organization_id)).status_code == 201
    await world.certify()


async def test_without_any_grace_a_failed_payment_suspends_in_its_answer(world: World) -> None:
    organization_id, subscription_id = await world.organization(grace=0)
    await world.applied(organization_id, "active")

    await fail_payment(world, subscription_id)

    assert (await world.debit(organization_id)).status_code == 423
    await world.applied(organization_id, "suspended")
    await world.certify()


async def test_cancelled_keeps_access_until_paid_through(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    paid_through = (datetime.now(UTC) + timedelta(seconds=4)).replace(microsecond=0)
    await world.act(
        f"subscriptions/{subscription_id}/update", {"next_billing": paid_through.isoformat()}
    )
    await world.look_again(organization_id)
    [cancelled] = await world.happen(f"subscriptions/{subscription_id}/cancel")
    assert await world.deliver(cancelled) == 200
    during = await world.at_rest(organization_id)
    debit = await world.debit(organization_id)

    standing = await world.applied(organization_id, "suspended")
    receipt = await world.receipt(organization_id)

    assert (during.status, during.deadline, during.epoch) == (Status.ACTIVE, paid_through, 0)
    assert debit.status_code == 201
    assert standing.blocks == {Block.CANCELED}
    assert receipt.decided_at >= paid_through
    await world.certify()


async def test_a_grace_period_that_is_shortened_below_what_has_passed_ends_at_once(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization(grace=3600)
    await world.applied(organization_id, "active")
    await fail_payment(world, subscription_id, seconds_ago=30)
    await await_deadline(world, organization_id)

    answer = await world.api.patch(
        f"/v1/organizations/{organization_id}", json={"grace_period_seconds": 20}
    )
    refused = await world.debit(organization_id)

    assert (answer.status_code, refused.status_code) == (200, 423)
    await world.applied(organization_id, "suspended")


async def test_a_grace_period_that_is_lengthened_moves_its_end_and_no_timer_ends_it_early(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization(grace=3600)
    await world.applied(organization_id, "active")
    await fail_payment(world, subscription_id, seconds_ago=30)
    before = await await_deadline(world, organization_id)

    await world.api.patch(
        f"/v1/organizations/{organization_id}", json={"grace_period_seconds": 7200}
    )

    async def moved() -> bool:
        return (await world.standing(organization_id)).deadline == before + timedelta(hours=1)

    await until(moved, "a later deadline")
    assert (await world.debit(organization_id)).status_code == 201
