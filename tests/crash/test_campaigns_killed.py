"""Twenty campaigns, stopped at twenty moments by each kill of their worker, while Twilio fails in
every possible way.
"""

import random
from collections import Counter
from datetime import timedelta
from functools import partial
from uuid import UUID

from activities.campaigns.dispatch import Sending
from activities.campaigns.twilio_send import Terms
from domain.campaigns.campaign import MessageStatus
from tests.builders import rows
from tests.crash.processes import worker
from tests.workflow.campaigns.sent import comes_to, counts
from tests.world import World, until

CAMPAIGNS, RECIPIENTS, PER_SECOND = 20, 100, 40
KILLS = 3
MESSAGES = "/2010-04-01/Accounts/.*/Messages"
FAULTS = [
    ("429", 0.05, None),
    ("500", 0.02, None),
    ("error_after_acceptance", 0.02, None),
    ("reset_after_acceptance", 0.02, None),
    ("timeout_after_acceptance", 0.01, 5),
]


async def test_every_recipient_once_and_paid_once_whatever_died(world: World) -> None:
    moments = random.Random(20261126)
    running = [await _campaign(world) for _ in range(CAMPAIGNS)]
    for number, (kind, share, times) in enumerate(FAULTS):
        world.twilio.faults.add(
            kind,
            method="POST",
            path=MESSAGES,
            probability=share,
            times=times,
            seed=number,
            retry_after=0.2,
        )
    world.twilio.callbacks.faults.add("lost", probability=0.2)

    for kill in range(KILLS):
        before = len(world.twilio.state.messages)
        enough = before + moments.randint(100, 500)
        async with worker(world, f"worker-{kill}") as process:
            await until(partial(_taken, world, enough), f"{enough} messages at Twilio")
            process.kill()
    async with worker(world, "last"):
        for organization_id, campaign_id in running:
            await _handed_over(world, organization_id, campaign_id)
        unknown = await _statuses(world)
        world.twilio.faults.clear()
        await _resolve(world, running)
        for organization_id, campaign_id in running:
            await world.services.notifier.notify_campaign(organization_id, campaign_id)
            await comes_to(world, organization_id, campaign_id, "completed")

    assert unknown[MessageStatus.UNKNOWN] > 0
    await _each_once(world, running)
    await world.certify()


async def _campaign(world: World) -> tuple[str, UUID]:
    organization_id, _ = await world.organization()
    pace = await world.api.patch(
        f"/v1/organizations/{organization_id}", json={"messages_per_second": PER_SECOND}
    )
    assert pace.is_success
    return organization_id, await world.campaign(organization_id, recipients=RECIPIENTS)


async def _taken(world: World, many: int) -> bool:
    return len(world.twilio.state.messages) >= many


async def _handed_over(world: World, organization_id: str, campaign_id: UUID) -> None:
    waiting = (MessageStatus.PENDING, MessageStatus.RESERVED, MessageStatus.SENDING)

    async def reached() -> bool:
        now = await counts(world, organization_id, campaign_id)
        return not any(now[status] for status in waiting)

    await until(reached, "every message sent")


async def _resolve(world: World, running: list[tuple[str, UUID]]) -> None:
    """Like the worker a minute, and a quarter of an hour, later."""
    services = world.services
    now = Sending(
        services.engine,
        services.twilio,
        services.notifier,
        terms=Terms(public_url=services.settings.public_url),
        lost_after=timedelta(0),
        look_up_after=timedelta(0),
    )
    for organization_id, _ in running:
        await now.resolve(organization_id)


async def _statuses(world: World) -> Counter[str]:
    found = await rows(
        world.services.engine, "SELECT status, count(*) AS number FROM messages GROUP BY status"
    )
    return Counter({row.status: row.number for row in found})


async def _each_once(world: World, running: list[tuple[str, UUID]]) -> None:
    """Accepted at most once by Twilio; paid if accepted, refunded if not."""
    for organization_id, _ in running:
        account = world.twilio.state.accounts[await world.account_sid(organization_id)]
        taken = Counter(message.to for message in account.messages)
        found = await rows(
            world.services.engine,
            "SELECT recipient FROM messages WHERE organization_id = :id AND status = 'accepted'",
            id=organization_id,
        )
        assert max(taken.values()) == 1
        assert {row.recipient for row in found} == set(taken)
        paid = 10_000 * len(taken)
        assert (await world.wallet(organization_id)).balance_micros == 10_000_000 - paid
