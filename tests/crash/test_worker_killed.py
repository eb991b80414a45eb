"""Kills the worker once, with organizations stopped between any two steps and a window in progress."""

import os
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from temporalio.client import Client

from devservers.postgres import Postgres
from domain.lifecycle.standing import Status
from simulators.paypal.certificate import Authority
from tests.builders import rows
from tests.conftest import fresh_database
from tests.crash.boundaries import BOUNDARIES, Staged, stopped_at_boundaries
from tests.crash.processes import worker
from tests.world import World, until, world

RECIPIENTS = 60
STEPS = {
    Status.SUSPENDED: ["suspend_twilio_subaccount", "freeze_wallet", "pause_campaigns"],
    Status.ACTIVE: ["reactivate_twilio_subaccount", "unfreeze_wallet", "resume_eligible_campaigns"],
}
BETWEEN = [(status, boundary) for status in STEPS for boundary in BOUNDARIES]


@dataclass(frozen=True, slots=True)
class Crash:
    """A world after the first worker was killed and a second one started. `sending` had a window in
    progress.
    """

    world: World
    staged: dict[tuple[Status, str], Staged]
    sending: tuple[str, UUID]


@pytest_asyncio.fixture(scope="module")
async def crash(
    postgres: Postgres,
    temporal_client: Client,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
) -> AsyncIterator[Crash]:
    directory: Path = tmp_path_factory.mktemp("crash")
    with fresh_database(postgres, f"crash_{os.getpid()}") as url:
        async with world(url, temporal_client, directory, authority) as running_world:
            staged = await _staged(running_world)
            running_world.twilio.callbacks.faults.add(
                "lost"
            )  # no callback reports the window's messages
            sending, _ = await running_world.organization()
            campaign_id = await running_world.campaign(sending, recipients=RECIPIENTS)
            account = await running_world.account_sid(sending)
            unanswered = running_world.twilio.faults.add(
                "timeout_after_acceptance",
                method="POST",
                path=f"/2010-04-01/Accounts/{account}/Messages",
                skip=30,
            )

            async def in_the_window() -> bool:
                return unanswered.hits >= 10

            async with (
                stopped_at_boundaries(running_world, staged) as all_reached,
                worker(running_world, "first") as first,
            ):
                await all_reached()
                await until(in_the_window, "a window that is half answered")
                first.kill()
            running_world.twilio.faults.standing.remove(unanswered)
            async with worker(running_world, "second"):
                yield Crash(running_world, staged, (sending, campaign_id))


async def _staged(world: World) -> dict[tuple[Status, str], Staged]:
    """For each boundary, one organization to suspend and one to reactivate."""
    staged = {}
    for towards, boundary in BETWEEN:
        organization_id, subscription_id = await world.organization()
        staged[towards, boundary] = Staged(
            towards=towards,
            organization_id=organization_id,
            subscription_id=subscription_id,
            account_sid=await world.account_sid(organization_id),
            campaign_id=await world.campaign(
                organization_id, recipients=3, start=towards is Status.ACTIVE
            ),
        )
        if towards is Status.ACTIVE:
            await _deliver(world, staged[towards, boundary], "suspend")
    world.start_worker()
    for staged_case in staged.values():
        await world.applied(
            staged_case.organization_id,
            "suspended" if staged_case.towards is Status.ACTIVE else "active",
        )
    await world.stop_workers()
    for staged_case in staged.values():
        if staged_case.towards is Status.SUSPENDED:
            await world.post(
                f"/v1/organizations/{staged_case.organization_id}/campaigns/{staged_case.campaign_id}/start"
            )
        await _deliver(
            world, staged_case, "suspend" if staged_case.towards is Status.SUSPENDED else "pay"
        )
    return staged


async def _deliver(world: World, staged: Staged, what: str) -> None:
    for event_id in await world.happen(f"subscriptions/{staged.subscription_id}/{what}"):
        assert await world.deliver(event_id) == 200


@pytest.mark.parametrize(
    ("towards", "boundary"), BETWEEN, ids=[f"{status}-{name}" for status, name in BETWEEN]
)
async def test_another_worker_ends_what_a_killed_one_began(
    crash: Crash, towards: Status, boundary: str
) -> None:
    world, staged = crash.world, crash.staged[towards, boundary]

    await world.applied(staged.organization_id, towards)
    receipt, wallet = (
        await world.receipt(staged.organization_id),
        await world.wallet(staged.organization_id),
    )

    assert [step["step"] for step in receipt.steps] == STEPS[towards]
    assert receipt.status is towards
    assert receipt.finished_at is not None
    assert await world.subaccount_status(staged.organization_id) == towards
    assert (wallet.gate_open, wallet.frozen) == (
        towards is Status.ACTIVE,
        towards is Status.SUSPENDED,
    )
    assert (receipt.leaked_debits or 0, receipt.leaked_messages or 0) == (0, 0)
    await _campaign_reaches(
        world,
        staged.organization_id,
        staged.campaign_id,
        "completed" if wallet.gate_open else "parked",
    )
    assert _accepted(world, staged.account_sid) == (3 if wallet.gate_open else 0)


async def test_a_campaign_killed_in_a_window_reaches_each_recipient_once(crash: Crash) -> None:
    world, (organization_id, campaign_id) = crash.world, crash.sending
    account = await world.account_sid(organization_id)

    await until(lambda: _are_unknown(world, campaign_id), "the window's messages unknown")
    world.twilio.callbacks.faults.clear()
    for sid in [
        message.sid
        for message in world.twilio.state.messages.values()
        if message.account_sid == account
    ]:
        await world.twilio_control.post(
            f"/_sim/messages/{sid}/callback", json={"status": "delivered"}
        )
    await until(lambda: _are_resolved(world, campaign_id), "the window's messages known")
    await world.services.notifier.notify_campaign(organization_id, campaign_id)
    await _campaign_reaches(world, organization_id, campaign_id, "completed")

    assert _accepted(world, account) == RECIPIENTS
    assert (await world.wallet(organization_id)).balance_micros == 10_000_000 - RECIPIENTS * 10_000


async def test_every_guarantee_holds_after_the_crash(crash: Crash) -> None:
    await crash.world.certify()


async def _are_unknown(world: World, campaign_id: UUID) -> bool:
    return "unknown" in await _statuses(world, campaign_id)


async def _are_resolved(world: World, campaign_id: UUID) -> bool:
    return "unknown" not in await _statuses(world, campaign_id)


async def _statuses(world: World, campaign_id: UUID) -> set[str]:
    found = await rows(
        world.services.engine, "SELECT status FROM messages WHERE campaign_id = :id", id=campaign_id
    )
    return {row.status for row in found}


async def _campaign_reaches(
    world: World, organization_id: str, campaign_id: UUID, status: str
) -> None:
    async def reached() -> bool:
        return (await world.campaign_now(organization_id, campaign_id)).status == status

    await until(reached, f"the campaign {status}")


def _accepted(world: World, account_sid: str) -> int:
    """The number of messages that Twilio accepted for the account; fails if it accepted one for the
    same recipient twice.
    """
    taken = Counter(
        message.to
        for message in world.twilio.state.messages.values()
        if message.account_sid == account_sid
    )
    assert not [to for to, times in taken.items() if times > 1]
    return taken.total()
