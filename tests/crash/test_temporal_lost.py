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
            world(database_url, connected, tmp_path, authority) as here,
            worker(here) as working,
        ):
            lapsed, lapsed_subscription = await here.organization()
            late, late_subscription = await here.organization(grace=6)
            sending, _ = await here.organization()
            for organization_id in (lapsed, late, sending):
                await here.applied(organization_id, "active")
            here.twilio.faults.add(
                "slow", path=f"/2010-04-01/Accounts/{await here.account_sid(sending)}", seconds=0.5
            )
            campaign_id = await here.campaign(sending, recipients=120)
            await until(lambda: _begun(here), "a campaign that sends")
            [failed] = await here.happen(f"subscriptions/{late_subscription}/fail_payment")
            assert await here.deliver(failed) == 200
            os.kill(first.pid, signal.SIGKILL)
            _delete(db_file)
            [suspended] = await here.happen(f"subscriptions/{lapsed_subscription}/suspend")

            assert await here.deliver(suspended) == 200
            assert not (await here.wallet(lapsed)).gate_open

            await working.says("relay_failed")
            here.twilio.faults.clear()
            async with temporal.serve(
                tmp_path / "second.log", cache, ui=False, port=port, db_file=db_file
            ):
                # instead of waiting for two minutes
                moved = (
                    f"UPDATE campaigns SET heard_at = heard_at - interval '{LONGER_THAN_SILENCE}',"
                    f" rung_at = rung_at - interval '{LONGER_THAN_SILENCE}'"
                )
                await run(here.services.engine, moved)
                await here.applied(lapsed, "suspended")
                await here.applied(late, "suspended")
                await until(
                    lambda: _completed(here, sending, campaign_id), "the campaign completed"
                )
                await until(lambda: _scheduled(connected), "the schedule")

                assert working.process.poll() is None
                assert await _runs(connected, lapsed)
                taken = Counter(one.to for one in here.twilio.state.messages.values())
                assert (len(taken), max(taken.values())) == (120, 1)
                await here.certify()
                assert await working.terminate() == 0


def _delete(db_file: Path) -> None:
    db_file.unlink()
    for suffix in ("-wal", "-shm", "-journal"):
        db_file.with_name(db_file.name + suffix).unlink(missing_ok=True)


async def _begun(here: World) -> bool:
    return len(here.twilio.state.messages) > 20


async def _completed(here: World, organization_id: str, campaign_id: UUID) -> bool:
    return (await here.campaign_now(organization_id, campaign_id)).status == "completed"


async def _scheduled(connected: Client) -> bool:
    return "reconcile" in [one.id async for one in await connected.list_schedules()]


async def _runs(connected: Client, organization_id: str) -> bool:
    told = await connected.get_workflow_handle(organization_workflow_id(organization_id)).describe()
    return told.status is WorkflowExecutionStatus.RUNNING
