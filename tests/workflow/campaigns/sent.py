"""The results of a campaign, read from the simulator and the database, with waits for them."""

from uuid import UUID

from sqlalchemy import text

from db.campaigns import campaigns
from domain.campaigns.campaign import MessageStatus
from tests.builders import number
from tests.world import World, until

LEDGER = """
    SELECT count(*) FILTER (WHERE kind = 'debit') - count(*) FILTER (WHERE refunds IS NOT NULL)
    FROM ledger_entries WHERE organization_id = :organization_id
"""

STILL_PAID = "SELECT count(*) FROM messages WHERE status = 'accepted' AND provider_sid = ANY(CAST(:sids AS text[]))"


async def accepted(world: World, organization_id: str, number: int) -> None:
    """Wait until Twilio has accepted this many of the organization's messages."""
    account = world.twilio.state.accounts[await world.account_sid(organization_id)]

    async def reached() -> bool:
        return len(account.messages) >= number

    await until(reached, f"{number} messages at Twilio")


async def recipients(world: World, organization_id: str) -> list[str]:
    """The recipients whose messages Twilio accepted and did not fail, in the order of acceptance."""
    account = world.twilio.state.accounts[await world.account_sid(organization_id)]
    return [message.to for message in account.messages if message.error_code != 30002]


async def comes_to(world: World, organization_id: str, campaign_id: UUID, status: str) -> None:
    async def reached() -> bool:
        return (await world.campaign_now(organization_id, campaign_id)).status == status

    await until(reached, f"campaign {status}")


async def position(world: World, organization_id: str, campaign_id: UUID) -> int | None:
    return await world.read(
        lambda conn: campaigns.next_position(conn, organization_id, campaign_id)
    )


async def counts(world: World, organization_id: str, campaign_id: UUID) -> dict[str, int]:
    return await world.read(lambda conn: campaigns.counts(conn, organization_id, campaign_id))


async def settled(world: World, organization_id: str, campaign_id: UUID) -> dict[str, int]:
    """Wait until the parked campaign has no reserved messages, none is in progress, and those that
    Twilio returned unsent are refunded.
    """
    open_ones = (MessageStatus.RESERVED.value, MessageStatus.SENDING.value)
    account = world.twilio.state.accounts[await world.account_sid(organization_id)]

    async def reached() -> dict[str, int] | None:
        given_back = [message.sid for message in account.messages if message.error_code == 30002]
        kept = await number(world.services.engine, STILL_PAID, sids=given_back)
        now = await counts(world, organization_id, campaign_id)
        return None if kept or any(now[status] for status in open_ones) else now

    found = await until(reached, "a campaign that holds nothing")
    assert found is not None
    return found


async def paid(world: World, organization_id: str) -> int:
    async with world.services.engine.connect() as conn:
        found: int = (
            await conn.execute(text(LEDGER), {"organization_id": organization_id})
        ).scalar_one()
    return found


async def ends_with_each_once(
    world: World, organization_id: str, campaign_id: UUID, total: int
) -> None:
    await comes_to(world, organization_id, campaign_id, "completed")
    sent = await recipients(world, organization_id)

    assert len(sent) == len(set(sent)) == total
    assert await paid(world, organization_id) == total
    await world.certify()
