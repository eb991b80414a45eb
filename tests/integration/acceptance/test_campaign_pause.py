"""Suite 6 of the original system: what pauses a campaign, at the exact message."""

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.campaigns.campaign import CampaignStatus, Next, Park
from tests.builders import (
    begin_window,
    block,
    broken_claims,
    campaign,
    campaign_now,
    freeze,
    onboard,
    park,
    reserve,
    send,
)


async def test_a_suspension_pauses_the_campaigns_that_run(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    draft = await campaign(engine, name="draft", running=False)
    await send(engine, sending, limit=2)
    await block(engine)

    parked = await park(engine)

    now = await campaign_now(engine, sending)
    assert parked == 1
    assert (now.status, now.reason) == (CampaignStatus.PARKED, Park.SUSPENDED)
    assert (await reserve(engine, sending)).position == 3
    assert (await campaign_now(engine, draft)).status is CampaignStatus.DRAFT
    assert await begin_window(engine, sending) is None


async def test_a_frozen_wallet_pauses_the_campaign_at_its_next_batch(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    await send(engine, sending, limit=2)
    await freeze(engine, by_operator=True)

    batch = await reserve(engine, sending)

    assert (batch.next, batch.status, batch.reason) == (
        Next.STOP,
        CampaignStatus.PARKED,
        Park.FROZEN,
    )
    assert batch.position == 3


async def test_an_empty_wallet_pauses_the_campaign_at_the_first_message_it_cannot_pay(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0.02")
    sending = await campaign(engine)
    await send(engine, sending)

    batch = await reserve(engine, sending)

    assert (batch.next, batch.status, batch.reason) == (
        Next.STOP,
        CampaignStatus.PARKED,
        Park.INSUFFICIENT_FUNDS,
    )
    assert batch.position == 3
    assert await broken_claims(engine) == set()
