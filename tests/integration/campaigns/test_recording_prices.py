"""Recording Twilio's prices: an attempt reads some pages, and the next one continues where it
stopped.
"""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import ActivityEnvironment

from activities.campaigns import prices
from activities.campaigns.prices import PricesFrom
from providers.http import fast_client
from providers.twilio import Twilio
from simulators.serving import serve
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN, TwilioSimulator
from tests.builders import campaign, number, onboard, rows, run, send
from tests.world import until

ORGANIZATIONS = 55
WITHOUT = "SELECT organization_id FROM messages WHERE provider_price_micros IS NULL"
UNPRICED = "SELECT count(*) FROM messages WHERE provider_price_micros IS NULL"


async def a_message_each(
    engine: AsyncEngine, simulator: TwilioSimulator, organizations: int = ORGANIZATIONS
) -> None:
    """One message of every organization, accepted by Twilio, hours ago by our own record."""
    simulator.state.behaviour.change({"sending_after": 0, "sent_after": 0, "delivered_after": 0})
    for n in range(organizations):
        account = simulator.state.open_account(f"o{n}")
        taken = simulator.messages.accept(
            account, {"To": "+14155550100", "From": "+15005550006", "Body": "Hello"}
        )
        await onboard(engine, f"o{n}", account=account.sid)
        await send(engine, await campaign(engine, messages=1, organization_id=f"o{n}"))
        query = "UPDATE messages SET provider_sid = :sid WHERE organization_id = :of"
        await run(engine, query, sid=taken.sid, of=f"o{n}")
    await run(engine, "UPDATE messages SET sending_at = sending_at - interval '2 hours'")

    async def delivered() -> bool:
        return all(message.status == "delivered" for message in simulator.state.messages.values())

    await until(delivered, "all delivered")
    simulator.state.settle_prices()


async def test_the_next_attempt_goes_on_where_one_stopped(engine: AsyncEngine) -> None:
    async with serve(TwilioSimulator()) as simulator, fast_client() as client:
        twilio = Twilio(
            client=client, account_sid=MAIN_SID, auth_token=MAIN_TOKEN, base_url=simulator.url
        )
        await a_message_each(engine, simulator)
        at: PricesFrom | None = PricesFrom()
        left = []
        while at is not None:
            at = await ActivityEnvironment().run(_record, engine, twilio, at)
            left.append(await number(engine, UNPRICED))

    assert left[0] >= ORGANIZATIONS - 50
    assert (left[-1], len(left) > 1) == (0, True)


async def test_an_organization_that_twilio_does_not_know_does_not_hold_up_those_behind_it(
    engine: AsyncEngine,
) -> None:
    async with serve(TwilioSimulator()) as simulator, fast_client() as client:
        twilio = Twilio(
            client=client, account_sid=MAIN_SID, auth_token=MAIN_TOKEN, base_url=simulator.url
        )
        await a_message_each(engine, simulator, 3)
        [gone] = [
            sid
            for sid, account in simulator.state.accounts.items()
            if account.friendly_name == "o1"
        ]
        del simulator.state.accounts[gone]

        at = await ActivityEnvironment().run(_record, engine, twilio, PricesFrom())

    assert at is None
    assert [row.organization_id for row in await rows(engine, WITHOUT)] == ["o1"]


async def _record(engine: AsyncEngine, twilio: Twilio, at: PricesFrom) -> PricesFrom | None:
    return await prices.record(engine, twilio, at, now=datetime.now(UTC))
