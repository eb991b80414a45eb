"""Suite 3 of the original system: the subaccount is suspended and reactivated at Twilio, and read
back.
"""

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import ActivityEnvironment

from activities.lifecycle.enforcement import Enforcement, Step
from db.lifecycle import receipts
from domain.campaigns.telephony import Accepted, AccountStatus, OutboundMessage, Refused
from domain.lifecycle.standing import Status
from domain.wallet.entries import debit
from domain.wallet.ledger import Debited, Suspended
from providers.twilio import Twilio
from simulators.twilio.app import TwilioSimulator
from tests.builders import (
    ORGANIZATION,
    block,
    broken_claims,
    campaign,
    onboard,
    post_one,
    standing,
    statuses,
    subscribe,
    unblock,
    usd,
    wallet,
)

FIRST, SECOND = (
    Step(organization_id=ORGANIZATION, epoch=1),
    Step(organization_id=ORGANIZATION, epoch=2),
)


async def suspended(enforcement: Enforcement) -> None:
    step = ActivityEnvironment()
    await step.run(enforcement.suspend_twilio_subaccount, FIRST)
    await step.run(enforcement.freeze_wallet, FIRST)
    await step.run(enforcement.pause_campaigns, FIRST)


def message(account_sid: str) -> OutboundMessage:
    return OutboundMessage(
        account_sid=account_sid,
        sender="+15005550006",
        to="+14155550100",
        body="hello",
        status_callback="",
    )


async def receipt_lines(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as conn:
        [newest, *_] = await receipts.of_organization(conn, ORGANIZATION, limit=1)
    return [line["step"] for line in newest.steps]


async def test_a_suspended_organization_is_suspended_at_twilio_and_read_back(
    engine: AsyncEngine, enforcement: Enforcement, simulator: TwilioSimulator, twilio: Twilio
) -> None:
    account = simulator.state.open_account("acme")
    await onboard(engine, account=account.sid)
    sending = await campaign(engine)
    await block(engine)

    await suspended(enforcement)

    assert (await twilio.get_account(account.sid)).status is AccountStatus.SUSPENDED
    assert isinstance(await twilio.send(message(account.sid)), Refused)
    assert await post_one(engine, debit("d", usd("1"))) == Suspended()
    assert await receipt_lines(engine) == [
        "suspend_twilio_subaccount",
        "freeze_wallet",
        "pause_campaigns",
    ]
    assert not (await standing(engine)).behind
    assert set(await statuses(engine, sending)) == {"pending"}
    assert await broken_claims(engine) == set()


async def test_a_reactivated_organization_is_active_at_twilio_and_sends_again(
    engine: AsyncEngine, enforcement: Enforcement, simulator: TwilioSimulator, twilio: Twilio
) -> None:
    account = simulator.state.open_account("acme")
    await onboard(engine, account=account.sid)
    await subscribe(engine)
    await block(engine)
    await suspended(enforcement)
    await unblock(engine)
    step = ActivityEnvironment()

    await step.run(enforcement.reactivate_twilio_subaccount, SECOND)
    still_shut = await post_one(engine, debit("early", usd("1")))
    await step.run(enforcement.unfreeze_wallet, SECOND)
    after = await step.run(enforcement.resume_eligible_campaigns, SECOND)

    assert still_shut == Suspended()
    assert after.status is Status.ACTIVE
    assert (await wallet(engine)).pays
    assert isinstance(await twilio.send(message(account.sid)), Accepted)
    assert (await twilio.get_account(account.sid)).status is AccountStatus.ACTIVE
    assert isinstance(await post_one(engine, debit("d", usd("1"))), Debited)
    assert await receipt_lines(engine) == [
        "reactivate_twilio_subaccount",
        "unfreeze_wallet",
        "resume_eligible_campaigns",
    ]
    assert await broken_claims(engine) == set()
