"""The changes of a campaign's status, and the refused acts."""

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns.transitions import WrongStatus
from db.tables.campaigns import campaign_changes
from domain.campaigns.campaign import Act, CampaignStatus
from tests.builders import campaign, campaign_now, change_campaign, onboard


@pytest.mark.parametrize("act", [Act.PARK, Act.GO_ON, Act.COMPLETE, Act.BEGIN, Act.REOPEN])
async def test_what_a_person_paused_is_left_alone(engine: AsyncEngine, act: Act) -> None:
    await onboard(engine)
    paused = await campaign(engine)
    await change_campaign(engine, paused, Act.PAUSE, reason="by a person")

    with pytest.raises(WrongStatus):
        await change_campaign(engine, paused, act, by="tollgate")

    assert (await campaign_now(engine, paused)).status is CampaignStatus.PAUSED


async def test_a_canceled_campaign_never_runs_again(engine: AsyncEngine) -> None:
    await onboard(engine)
    canceled = await campaign(engine)
    await change_campaign(engine, canceled, Act.CANCEL)

    with pytest.raises(WrongStatus):
        await change_campaign(engine, canceled, Act.RESUME)

    assert (await campaign_now(engine, canceled)).status is CampaignStatus.CANCELED


async def test_an_act_that_was_done_before_is_granted_and_not_recorded_again(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    paused = await campaign(engine)
    for _ in range(2):
        await change_campaign(engine, paused, Act.PAUSE, reason="by a person")

    async with engine.connect() as conn:
        changes = await conn.execute(
            select(campaign_changes.c.to_status)
            .where(campaign_changes.c.campaign_id == paused.id)
            .order_by(campaign_changes.c.id)
        )
        assert list(changes.scalars()) == ["running", "paused"]
