"""Temporal's database is deleted under a running worker: everything converges again from
PostgreSQL.
"""

import os
import signal
from collections import Counter
from pathlib import Path
from uuid import UUID

from temporalio.client import Client, WorkflowExecutionStatus

from activities.workflow_contracts import organization_workflow_id
from devservers import temporal
from runtime import client
from runtime.settings import Settings
from simulators.paypal.certificate import Authority
from tests.builders import run
from tests.crash.processes import worker
from tests.world import World, until, world

LONGER_THAN_SILENCE = "3 minutes"


async def test_all_that_was_under_way_goes_on_without_temporals_memory(
    database_url: str, tmp_path: Path, authority: Authority
) -> None:
    db_file, cache = tmp_path / "temporal.db", Settings().cache_dir
    async with temporal.serve(tmp_path / "first.log", cache, ui=False, db_file=db_file) as first:
        connected = await client.connect(first.connection)
        port = int(first.address.rpartition(":")[2])
        async with (
            world(database_url, connected, tmp_path, authority) as running_world,
            worker(running_world) as working,
        ):
            lapsed, lapsed_subscription = await running_world.organization()
            late, late_subscription = await running_world.organization(grace=6)
            sending, _ = await running_world.organization()
            for organization_id in (lapsed, late, sending):
                await running_world.applied(organization_id, "active")
            running_world.twilio.faults.add(
                "slow",
                path=f"/2010-04-01/Accounts/{await running_world.account_sid(sending)}",
                seconds=0.5,
            )
            campaign_id = await running_world.campaign(sending, recipients=120)
            await until(lambda: _begun(running_world), "a campaign that sends")
            [failed] = await running_world.happen(f"subscriptions/{late_subscription}/fail_payment")
            assert await running_world.deliver(failed) == 200
            os.kill(first.pid, signal.SIGKILL)
            _delete(db_file)
            [suspended] = await running_world.happen(f"subscriptions/{lapsed_subscription}/suspend")

            assert await running_world.deliver(suspended) == 200
            assert not (await running_world.wallet(lapsed)).gate_open

            await working.says("relay_failed")
            running_world.twilio.faults.clear()
            async with temporal.serve(
                tmp_path / "second.log", cache, ui=False, port=port, db_file=db_file
            ):
                # instead of waiting for two minutes
                moved = (
                    f"UPDATE campaigns SET heard_at = heard_at - interval '{LONGER_THAN_SILENCE}',"
                    f" rung_at = rung_at - interval '{LONGER_THAN_SILENCE}'"
                )
                await run(running_world.services.engine, moved)
                await running_world.applied(lapsed, "suspended")
                await running_world.applied(late, "suspended")
                await until(
                    lambda: _completed(running_world, sending, campaign_id),
                    "the campaign completed",
                )
                await until(lambda: _scheduled(connected), "the schedule")

                assert working.process.poll() is None
                assert await _runs(connected, lapsed)
                taken = Counter(
                    message.to for message in running_world.twilio.state.messages.values()
                )
                assert (len(taken), max(taken.values())) == (120, 1)
                await running_world.certify()
                assert await working.terminate() == 0


def _delete(db_file: Path) -> None:
    db_file.unlink()
    for suffix in ("-wal", "-shm", "-journal"):
        db_file.with_name(db_file.name + suffix).unlink(missing_ok=True)


async def _begun(world: World) -> bool:
    return len(world.twilio.state.messages) > 20


async def _completed(world: World, organization_id: str, campaign_id: UUID) -> bool:
    return (await world.campaign_now(organization_id, campaign_id)).status == "completed"


async def _scheduled(connected: Client) -> bool:
    return "reconcile-twilio" in [
        schedule.id async for schedule in await connected.list_schedules()
    ]


async def _runs(connected: Client, organization_id: str) -> bool:
    description = await connected.get_workflow_handle(
        organization_workflow_id(organization_id)
    ).describe()
    return description.status is WorkflowExecutionStatus.RUNNING
