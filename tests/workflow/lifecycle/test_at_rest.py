"""A lifecycle at rest waits for a signal or for its own deadline, and for nothing else."""

from datetime import timedelta
from functools import partial

import pytest
from temporalio.worker import Worker

from activities.workflow_contracts import Lifecycle, organization_workflow_id
from bench import actions
from runtime import worker
from tests.workflow.stops import restart_lifecycle
from tests.world import World, until


async def pending(world: World, organization_id: str) -> list[timedelta]:
    handle = world.services.client.get_workflow_handle(organization_workflow_id(organization_id))
    return actions.pending_timers((await handle.fetch_history()).events)


async def test_an_idle_organization_costs_at_most_20_actions_a_month(world: World) -> None:
    organization_id, _ = await world.organization()
    await world.applied(organization_id, "active")

    async def wake() -> None:
        await world.look_again(organization_id, rings=1)

    a_month = await actions.month_at_rest(
        world.services.client, organization_workflow_id(organization_id), wake
    )

    assert a_month <= 20


async def test_only_a_deadline_sets_a_timer(world: World) -> None:
    organization_id, subscription_id = await world.organization(grace=86_400)
    await world.applied(organization_id, "active")
    await world.look_again(organization_id)
    before = await pending(world, organization_id)

    for event_id in await world.happen(f"subscriptions/{subscription_id}/fail_payment"):
        assert await world.deliver(event_id) == 200
    timers = await until(partial(pending, world, organization_id), "a timer for the deadline")

    assert before == []
    assert [round(timer / timedelta(days=1)) for timer in timers] == [1]


async def test_a_run_of_an_older_build_goes_on_checking_until_it_continues_as_new(
    idle_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = idle_world
    with monkeypatch.context() as older:
        older.setattr(worker, "Worker", partial(Worker, patch_activation_callback=lambda _: False))
        world.start_worker()
        organization_id, _ = await world.organization()
        await world.applied(organization_id, "active")
    start = Lifecycle(organization_id=organization_id, self_check_seconds=2, longest_history=45)
    await restart_lifecycle(world, start)
    handle = world.services.client.get_workflow_handle(organization_workflow_id(organization_id))
    first_run = (await handle.describe()).run_id
    await until(partial(pending, world, organization_id), "a timer for the next check")
    await world.stop_workers()
    world.start_worker()

    async def continued() -> bool:
        return (await handle.describe()).run_id != first_run

    await until(continued, "a run of this build")
    await world.look_again(organization_id)
    old_run = world.services.client.get_workflow_handle(handle.id, run_id=first_run)
    fired = [
        event
        for event in (await old_run.fetch_history()).events
        if event.HasField("timer_fired_event_attributes")
    ]

    assert len(fired) > 1
    assert await pending(world, organization_id) == []


async def test_a_provider_that_does_not_answer_is_queried_ever_more_rarely(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    world.paypal.faults.add("503", path=f"/v1/billing/subscriptions/{subscription_id}")
    await restart_lifecycle(
        world, Lifecycle(organization_id=organization_id, confirm_for_seconds=1)
    )

    async def longer_than(before: timedelta) -> timedelta | None:
        timers = await pending(world, organization_id)
        return timers[0] if timers and timers[0] > before else None

    pauses = [timedelta(0)]
    for _ in range(4):
        pause = await until(partial(longer_than, pauses[-1]), "a longer pause")
        assert pause is not None
        pauses.append(pause)
        await world.ring(organization_id)

    minutes = [pause / timedelta(minutes=1) for pause in pauses[1:]]
    assert all(0.75 * 2**number <= pause <= 2**number for number, pause in enumerate(minutes)), (
        minutes
    )
