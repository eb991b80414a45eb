"""Reconciliation: lost work and differences cause a notification, broken guarantees an alert, and
money is never changed.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest_asyncio
from sqlalchemy import text
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment

from activities.audit.passes import Pass
from activities.workflow_contracts import RECONCILIATION, organization_workflow_id
from db import alerts
from db.billing import blocks
from db.lifecycle import standings, suspensions
from domain.audit.reconciliation import Subject
from domain.billing.subscription import Provider
from domain.lifecycle.standing import Block, Status
from tests.builders import admin_block, until_it_waits_for
from tests.workflow.actors import AtStripe, onboard
from tests.workflow.stops import details, messages_path, subscription_path
from tests.world import LIMIT, World, until

QUIET = "UPDATE inbox SET next_attempt_at = now() + interval '1 day' WHERE organization_id = :organization_id"
DUE = "UPDATE inbox SET next_attempt_at = now() WHERE organization_id = :organization_id"
OLDER = "UPDATE messages SET sending_at = sending_at - interval '2 hours' WHERE organization_id = :organization_id"
TAMPER = "UPDATE wallets SET balance_micros = balance_micros + 1000000 WHERE organization_id = :organization_id"


COMPARISONS = (Subject.TWILIO, Subject.PAYPAL, Subject.STRIPE)


async def reconcile(world: World, *subjects: Subject) -> int:
    """Run a pass over these subjects, or over all, one after the other; returns the number of
    organizations that differed.
    """
    differing = 0
    for subject in subjects or Subject:
        done: Pass = await world.services.client.execute_workflow(
            RECONCILIATION,
            Pass(subject=subject),
            id=f"reconcile-{subject.value}-{uuid.uuid4().hex}",
            task_queue=world.services.settings.lifecycle_task_queue,
            result_type=Pass,
        )
        differing += done.differing if subject in COMPARISONS else 0
    return differing


async def step_through(world: World, subject: Subject) -> Pass:
    """The same without Temporal, in this process."""
    done: Pass = await ActivityEnvironment().run(
        world.services.passes.reconcile, Pass(subject=subject)
    )
    assert done.done
    return done


async def change(world: World, statement: str, organization_id: str) -> None:
    async with world.services.engine.begin() as conn:
        await conn.execute(text(statement), {"organization_id": organization_id})


@pytest_asyncio.fixture
async def own_world(idle_world: World) -> AsyncIterator[World]:
    """The test's own world, because it counts differences."""
    idle_world.start_worker()
    yield idle_world


async def test_when_everything_agrees_nothing_is_notified(own_world: World) -> None:
    organization_id, _ = await own_world.organization()
    other_id, subscription_id = await own_world.organization()
    await own_world.lapse(subscription_id)
    await own_world.applied(other_id, "suspended")
    await own_world.applied(organization_id, "active")

    assert await reconcile(own_world) == 0

    assert await own_world.alerts(organization_id) == {}
    assert (await own_world.standing(organization_id)).epoch == 0
    await own_world.certify()


async def test_a_lost_webhook_is_found_out_and_followed(own_world: World) -> None:
    organization_id, subscription_id = await own_world.organization()
    await own_world.applied(organization_id, "active")
    await own_world.act(f"subscriptions/{subscription_id}/suspend")

    assert await reconcile(own_world) == 1

    await own_world.applied(organization_id, "suspended")
    assert not (await own_world.wallet(organization_id)).gate_open
    await own_world.certify()


async def not_confirmed(world: World) -> str:
    """An organization with a message that Twilio did not accept hours ago, without answering."""
    organization_id, _ = await world.organization()
    path = messages_path(await world.account_sid(organization_id))
    world.twilio.faults.add("500", method="POST", path=path, times=1)
    body = {"to": "+14155550100", "body": "hello"}
    assert (await world.post(f"/v1/organizations/{organization_id}/messages", body))[
        "status"
    ] == "unknown"
    await change(world, OLDER, organization_id)
    return organization_id


async def test_an_organization_whose_messages_cannot_be_looked_up_does_not_hold_up_the_others(
    idle_world: World,
) -> None:
    world = idle_world
    unreadable, readable = [await not_confirmed(world) for _ in range(2)]
    world.twilio.faults.add(
        "503", method="GET", path=messages_path(await world.account_sid(unreadable))
    )

    settled = await step_through(world, Subject.MESSAGES)

    assert (settled.compared, settled.differing) == (2, 1)
    assert (await world.wallet(readable)).balance_micros == 10_000_000
    assert (await world.wallet(unreadable)).balance_micros == 9_990_000


async def test_an_organization_whose_provider_does_not_answer_does_not_hold_up_the_others(
    idle_world: World,
) -> None:
    world = idle_world
    (silent, silent_id), (other, other_id) = [await world.organization() for _ in range(2)]
    for subscription_id in (silent_id, other_id):
        await world.act(f"subscriptions/{subscription_id}/suspend")
    world.paypal.faults.add("503", method="GET", path=subscription_path(silent_id))

    compared = await step_through(world, Subject.PAYPAL)

    assert (compared.compared, compared.differing) == (1, 1)
    assert "differs" in await world.alerts(other)
    assert "differs" not in await world.alerts(silent)


async def test_a_status_reported_by_twilio_is_dropped_if_the_standing_has_changed_since(
    idle_world: World,
) -> None:
    world, engine = idle_world, idle_world.services.engine
    organization_id, _ = await world.organization()
    path = f"/_sim/accounts/{await world.account_sid(organization_id)}/status"
    await world.twilio_control.post(path, json={"status": "suspended"})

    async with engine.begin() as conn:
        await standings.lock(conn, organization_id)
        comparing = asyncio.create_task(step_through(world, Subject.TWILIO))
        await until_it_waits_for(engine, conn, comparing)
        await blocks.block(conn, organization_id, admin_block(), now=datetime.now(UTC))
    await comparing

    assert (await world.standing(organization_id)).blocks == {Block.ADMIN}


async def test_an_unhandled_delivery_notifies_its_workflow(idle_world: World) -> None:
    world = idle_world
    organization_id, subscription_id = await world.organization()
    await world.lapse(subscription_id)
    handle = world.services.client.get_workflow_handle(organization_workflow_id(organization_id))
    await handle.terminate("its ring is lost")
    await change(world, QUIET, organization_id)
    world.start_worker()
    behind = await world.standing(organization_id)
    await change(world, DUE, organization_id)

    await reconcile(world)

    assert behind.behind
    standing = await world.at_rest(organization_id)
    assert (standing.status, standing.epoch) == (Status.SUSPENDED, 1)
    await world.certify()


async def test_a_subaccount_that_somebody_reactivated_is_suspended_again(own_world: World) -> None:
    world = own_world
    organization_id, subscription_id = await world.organization()
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    account_sid = await world.account_sid(organization_id)
    await world.twilio_control.post(
        f"/_sim/accounts/{account_sid}/status", json={"status": "active"}
    )

    assert await reconcile(world) == 1

    async def suspended_again() -> bool:
        return await world.subaccount_status(organization_id) == "suspended"

    await until(suspended_again, "the subaccount suspended again")
    assert (await world.standing(organization_id)).epoch == 1
    assert await reconcile(world) == 0
    assert "differs" not in await world.alerts(organization_id)
    await world.certify()


async def test_a_subaccount_suspended_by_somebody_else_shuts_our_gate_until_the_block_is_lifted(
    own_world: World,
) -> None:
    world = own_world
    organization_id, _ = await world.organization()
    await world.applied(organization_id, "active")
    account_sid = await world.account_sid(organization_id)
    await world.twilio_control.post(
        f"/_sim/accounts/{account_sid}/status", json={"status": "suspended"}
    )

    assert await reconcile(world) == 1

    standing = await world.applied(organization_id, "suspended")
    assert standing.blocks == {Block.TELEPHONY}
    assert (await world.debit(organization_id)).status_code == 423
    assert "telephony" in await world.alerts(organization_id)
    await world.api.delete(f"/v1/organizations/{organization_id}/blocks/telephony")
    await world.applied(organization_id, "active")
    assert await world.subaccount_status(organization_id) == "active"
    await world.certify()


async def test_a_suspension_of_ours_that_arrives_after_its_worker_died_blocks_nobody(
    own_world: World,
) -> None:
    world = own_world
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    async with world.services.engine.begin() as conn:
        account_sid = await suspensions.send(conn, organization_id, 1, now=datetime.now(UTC))
    await world.pay(subscription_id)
    await world.applied(organization_id, "active")
    await world.twilio_control.post(
        f"/_sim/accounts/{account_sid}/status", json={"status": "suspended"}
    )

    assert await reconcile(world) == 1

    async def opened() -> bool:
        return await world.subaccount_status(organization_id) == "active"

    await until(opened, "the subaccount active again")
    standing = await world.applied(organization_id, "active")
    assert (standing.epoch, standing.blocks) == (2, frozenset())
    assert "telephony" not in await world.alerts(organization_id)
    assert (await world.debit(organization_id)).status_code == 201
    await world.certify()


async def test_a_tampered_ledger_raises_an_alert_and_is_not_repaired(own_world: World) -> None:
    world = own_world
    organization_id, _ = await world.organization()
    await world.applied(organization_id, "active")
    await change(world, TAMPER, organization_id)
    tampered = await world.wallet(organization_id)

    await reconcile(world)

    standing_alerts = await world.read(lambda conn: alerts.standing(conn, ""))
    assert any(alert.kind == "guarantee_1" for alert in standing_alerts)
    assert await world.wallet(organization_id) == tampered


async def test_the_schedule_is_there_after_a_worker_s_start_and_runs_when_triggered(
    idle_world: World, temporal_client: Client
) -> None:
    schedule = temporal_client.get_schedule_handle("reconcile-paypal")
    with suppress(RPCError):  # there may be none yet
        await schedule.delete()
    idle_world.start_worker()

    async def exists() -> bool:
        try:
            await schedule.describe()
        except RPCError:
            return False
        return True

    await until(exists, "the schedule")
    organization_id, subscription_id = await idle_world.organization()
    await idle_world.applied(organization_id, "active")
    await idle_world.act(f"subscriptions/{subscription_id}/suspend")

    await schedule.trigger()

    await idle_world.applied(organization_id, "suspended")
    assert "SUSPENDED" in await details(idle_world, organization_workflow_id(organization_id))
    await schedule.delete()
    await idle_world.certify()


async def test_an_organization_at_a_provider_that_is_not_set_up_holds_up_nobody(
    own_world: World,
) -> None:
    stranded = await onboard(own_world)
    await AtStripe(own_world, own_world.stripe_control).subscribe(stranded)
    organization_id, subscription_id = await own_world.organization()
    await own_world.applied(organization_id, "active")
    del own_world.services.providers[Provider.STRIPE]
    await own_world.act(f"subscriptions/{subscription_id}/suspend")

    async with asyncio.timeout(LIMIT):
        assert await reconcile(own_world) == 1

    await own_world.applied(organization_id, "suspended")
    assert (await own_world.standing(stranded)).status is Status.ACTIVE
    assert (await own_world.wallet(stranded)).pays
    await own_world.certify()


async def test_subaccounts_that_twilio_shows_as_suspended_with_their_parent_get_no_block(
    idle_world: World,
) -> None:
    world = idle_world
    organization_id, _ = await world.organization()
    world.twilio.state.behaviour.change({"balance": "0", "show_as_suspended": True})

    compared = await step_through(world, Subject.TWILIO)

    assert (compared.compared, compared.differing) == (1, 0)
    assert (await world.standing(organization_id)).blocks == frozenset()
