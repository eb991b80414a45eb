"""A switch that dies at any step continues there: nothing is created twice, nothing is left
unfinished.
"""

import asyncio
from contextlib import suppress

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError
from temporalio.service import RPCError

from activities.workflow_contracts import switch_workflow_id
from db.lifecycle import standings
from db.switching import switches
from domain.audit.reconciliation import Subject
from domain.billing.subscription import Provider
from domain.switching.switch import SwitchStatus
from tests.workflow.audit.test_reconcile import reconcile
from tests.workflow.stops import Boundaries, somebody_waits_for
from tests.workflow.switching import customers
from tests.workflow.switching.customers import Customer, charges, each_period_once, reached
from tests.world import LIMIT, World, until
from workflows import options

BOTH = pytest.mark.parametrize(
    "source", [Provider.PAYPAL, Provider.STRIPE], ids=["to_stripe", "to_paypal"]
)
STEPS = (
    "read_migration",
    "check_migration",
    "offer_checkout",
    "look_for_consent",
    "stop_source",
    "cut_over",
)
CREATE = {Provider.STRIPE: "/v1/checkout/sessions$", Provider.PAYPAL: "/v1/billing/subscriptions$"}


async def moved(world: World, customer: Customer) -> None:
    """The switch is completed, and everything was created once."""
    await reached(world, customer, SwitchStatus.COMPLETED)
    current = await customers.current(world, customer)
    standing = await world.at_rest(customer.organization_id)
    assert current.provider is customer.target
    assert (standing.status, standing.epoch) == ("active", 0)
    assert customers.created_at_target(world, customer) == 1
    assert charges(world, customer) == each_period_once(customer)
    assert await world.alerts(customer.organization_id) == {}


@BOTH
@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_that_dies_after_a_step_takes_it_again(
    world: World, boundaries: Boundaries, step: str, source: Provider
) -> None:
    customer = await customers.customer(world, source)
    boundaries.die_after(step, customer.organization_id)

    await customers.start_switch(world, customer)
    await reached(world, customer, SwitchStatus.OFFERED)
    await customers.consent(world, customer)

    await moved(world, customer)
    assert boundaries.deaths == set()


@pytest.mark.parametrize("step", STEPS)
async def test_a_workflow_lost_before_a_step_is_restarted_from_the_database(
    world: World, boundaries: Boundaries, step: str
) -> None:
    customer = await customers.customer(world)
    handle = world.services.client.get_workflow_handle(switch_workflow_id(customer.organization_id))
    async with boundaries.holding(step, customer.organization_id) as stop:
        await customers.start_switch(world, customer)
        if step in ("look_for_consent", "stop_source", "cut_over"):
            await reached(world, customer, SwitchStatus.OFFERED)
            await customers.consent(world, customer)
        await stop.reached.wait()
        await handle.terminate("Temporal forgets it")
    await world.services.notifier.notify_switch(customer.organization_id)
    await reached(world, customer, SwitchStatus.OFFERED, SwitchStatus.COMPLETED)
    if (
        await customers.now(world, customer)
    ).state is SwitchStatus.OFFERED and not customers.consented(world, customer):
        await customers.consent(world, customer)

    await moved(world, customer)


async def test_a_long_run_continues_as_new(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "LONGEST_HISTORY", 5)
    customer = await customers.customer(world)

    await customers.start_switch(world, customer)
    await reached(world, customer, SwitchStatus.OFFERED)
    await customers.consent(world, customer)

    await moved(world, customer)
    runs_query = f"WorkflowId = '{switch_workflow_id(customer.organization_id)}'"

    async def handed_over() -> list[WorkflowExecutionStatus | None]:
        runs = [run.status async for run in world.services.client.list_workflows(runs_query)]
        return runs if WorkflowExecutionStatus.COMPLETED in runs else []

    assert WorkflowExecutionStatus.CONTINUED_AS_NEW in await until(handed_over, "its runs")


async def test_an_operator_who_cancels_the_workflow_ends_that_run_only(
    world: World, boundaries: Boundaries
) -> None:
    customer = await customers.offered(world)
    handle = world.services.client.get_workflow_handle(switch_workflow_id(customer.organization_id))
    async with boundaries.holding("stop_source", customer.organization_id) as stop:
        await customers.consent(world, customer, deliver=False)
        await world.services.notifier.notify_switch(customer.organization_id)
        await stop.reached.wait()
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as ended:
            await asyncio.wait_for(handle.result(), LIMIT)
    assert isinstance(ended.value.cause, CancelledError)
    assert await world.alerts(customer.organization_id) == {}

    await world.services.notifier.ensure_switch(customer.organization_id)

    await moved(world, customer)


@pytest.mark.parametrize(
    ("step", "to"),
    [
        ("check_migration", SwitchStatus.UNDOING),
        ("offer_checkout", SwitchStatus.UNDOING),
        ("look_for_consent", SwitchStatus.UNDOING),
        ("stop_source", SwitchStatus.UNDOING),
        ("cut_over", SwitchStatus.FAILED),
        ("undo_migration", SwitchStatus.FAILED),
    ],
)
async def test_a_step_overtaken_during_its_query_changes_nothing(
    world: World, boundaries: Boundaries, step: str, to: SwitchStatus
) -> None:
    """Like a worker that was presumed dead: its facts are outdated when it gets the lock."""
    customer = await customers.customer(world)
    handle = world.services.client.get_workflow_handle(switch_workflow_id(customer.organization_id))
    async with boundaries.holding(step, customer.organization_id) as stop:
        await customers.start_switch(world, customer)
        if step not in ("check_migration", "offer_checkout"):
            await reached(world, customer, SwitchStatus.OFFERED)
            if step == "undo_migration":
                await customers.cancel(world, customer, deliver=False)
            await customers.consent(world, customer, deliver=False)
            await world.services.notifier.notify_switch(customer.organization_id)
        await stop.reached.wait()
        async with world.services.engine.begin() as conn:
            await standings.lock(conn, customer.organization_id)
            stop.let_go.set()
            await somebody_waits_for(world, "standings")
            found = await switches.newest(conn, customer.organization_id)
            assert found is not None
            await switches.move(conn, found, to, outcome=SwitchStatus.UNDONE, reason="overtaken")
    await asyncio.wait_for(handle.result(), LIMIT)

    now = await customers.now(world, customer)
    assert (now.state, now.reason) == (
        SwitchStatus.UNDONE if to is SwitchStatus.UNDOING else to,
        "overtaken",
    )
    stopped = world.paypal.state.subscriptions[customer.subscription_id].status != "ACTIVE"
    assert stopped == (step in ("cut_over", "undo_migration"))


@BOTH
async def test_a_checkout_whose_creation_was_not_confirmed_is_not_created_again(
    world: World, source: Provider
) -> None:
    customer = await customers.customer(world, source)
    faults = world.simulator(customer.target).faults
    fault = faults.add(
        "reset_after_acceptance", method="POST", path=CREATE[customer.target], times=1
    )

    await customers.start_switch(world, customer)
    await reached(world, customer, SwitchStatus.OFFERED)
    await customers.consent(world, customer)

    await moved(world, customer)
    assert fault.hits == 1
    faults.standing.remove(fault)


@BOTH
async def test_a_stop_that_was_not_confirmed_is_recognized_by_its_marker(
    world: World, source: Provider
) -> None:
    customer = await customers.customer(world, source)
    faults = world.simulator(source).faults
    path = {
        Provider.STRIPE: f"/v1/subscriptions/{customer.subscription_id}$",
        Provider.PAYPAL: f"/v1/billing/subscriptions/{customer.subscription_id}/cancel",
    }
    method = "DELETE" if source is Provider.STRIPE else "POST"
    fault = faults.add("reset_after_acceptance", method=method, path=path[source], times=1)

    await customers.start_switch(world, customer)
    await reached(world, customer, SwitchStatus.OFFERED)
    await customers.consent(world, customer)

    await moved(world, customer)
    assert fault.hits == 1
    faults.standing.remove(fault)


async def test_an_undoing_that_dies_is_done_again(world: World, boundaries: Boundaries) -> None:
    customer = await customers.customer(world, Provider.STRIPE)
    boundaries.die_after("undo_migration", customer.organization_id)
    await customers.start_switch(world, customer)
    await reached(world, customer, SwitchStatus.OFFERED)

    await customers.time_is_over(world, customer)

    await reached(world, customer, SwitchStatus.ABANDONED)
    assert boundaries.deaths == set()
    assert charges(world, customer) == each_period_once(customer)


async def test_the_same_switch_requested_many_times_at_once_is_one(world: World) -> None:
    customer = await customers.customer(world)

    responses = await asyncio.gather(*(customers.start_switch(world, customer) for _ in range(5)))

    assert len({each["id"] for each in responses}) == 1
    await reached(world, customer, SwitchStatus.OFFERED)
    await customers.consent(world, customer)
    await moved(world, customer)


async def test_a_switch_that_temporal_forgot_is_found_by_the_reconciliation(
    idle_world: World,
) -> None:
    world = idle_world
    customer = await customers.customer(world)
    await customers.start_switch(world, customer)
    id_ = switch_workflow_id(customer.organization_id)
    handle = world.services.client.get_workflow_handle(id_)

    async def begun() -> bool:
        with suppress(RPCError):
            return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
        return False

    await until(begun, "its workflow")
    await handle.terminate("Temporal forgets it")
    world.start_worker()

    await reconcile(world, Subject.WAITING)

    await reached(world, customer, SwitchStatus.OFFERED)
