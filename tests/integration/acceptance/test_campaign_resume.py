"""Suite 7 of the original system: a campaign resumes only if every condition holds."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.billing.subscription import State
from domain.campaigns.campaign import PASSES_BY_ITSELF, Act, CampaignStatus, Park
from domain.lifecycle.standing import Block
from domain.money import Money
from domain.wallet.entries import credit, debit
from domain.wallet.ledger import Debited
from tests.builders import (
    ORGANIZATION,
    balance,
    block,
    broken_claims,
    campaign,
    campaign_now,
    change_campaign,
    confirm,
    freeze,
    onboard,
    open_gate,
    park,
    post,
    post_one,
    reserve,
    resume,
    run,
    send,
    shut_gate,
    snapshot,
    subscribe,
    unblock,
    usd,
)


async def suspended_and_paid_again(engine: AsyncEngine) -> None:
    """Every condition holds: there is no block, the gate is open, nothing is frozen, there is
    money.
    """
    await onboard(engine)
    await subscribe(engine)
    await block(engine)
    await park(engine)
    await unblock(engine)
    await open_gate(engine)


async def test_it_resumes_when_all_conditions_hold(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    sending = await campaign(engine)
    first = await send(engine, sending, limit=2)
    await block(engine)
    await park(engine)
    await unblock(engine)
    await open_gate(engine)

    resumed = await resume(engine)

    assert resumed == [sending.id]
    assert (await campaign_now(engine, sending)).status is CampaignStatus.RUNNING
    rest = await send(engine, sending)
    assert [message.position for message in first + rest] == [1, 2, 3, 4, 5]
    assert await broken_claims(engine) == set()


async def test_without_a_subscription_it_resumes_like_any_other(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0.00")
    sending = await campaign(engine)
    assert (await reserve(engine, sending)).reason == Park.INSUFFICIENT_FUNDS
    await post(engine, credit("top-up", usd("1.00")))

    assert await resume(engine) == [sending.id]
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("state", State)
async def test_a_campaign_resumes_exactly_where_a_debit_passes(
    engine: AsyncEngine, state: State
) -> None:
    await onboard(engine)
    await subscribe(engine)
    sending = await campaign(engine)
    await park(engine, Park.INSUFFICIENT_FUNDS)
    until = datetime.now(UTC) + timedelta(days=1)
    await confirm(engine, snapshot(state, paid_until=until))

    pays = isinstance(await post_one(engine, debit("one", usd("0.01"))), Debited)

    assert await resume(engine) == ([sending.id] if pays else [])


@pytest.mark.parametrize("reason", sorted(set(Park) - PASSES_BY_ITSELF))
async def test_it_does_not_resume_what_twilio_s_refusals_stopped(
    engine: AsyncEngine, reason: Park
) -> None:
    await suspended_and_paid_again(engine)
    sending = await campaign(engine)
    await change_campaign(engine, sending, Act.PARK, by="tollgate", reason=reason)

    assert await resume(engine) == []


async def blocked(engine: AsyncEngine) -> None:
    await block(engine, kind=Block.DISPUTE)
    # so that only the block prevents it
    await run(engine, "UPDATE wallets SET gate_open = true")


async def gate_shut(engine: AsyncEngine) -> None:
    await shut_gate(engine)


async def frozen_by_suspension(engine: AsyncEngine) -> None:
    await freeze(engine)


async def frozen_by_an_operator(engine: AsyncEngine) -> None:
    await freeze(engine, by_operator=True)


async def empty(engine: AsyncEngine) -> None:
    left: Money = await balance(engine)
    await post(engine, debit("all", left), organization_id=ORGANIZATION)


@pytest.mark.parametrize(
    "missing",
    [blocked, gate_shut, frozen_by_suspension, frozen_by_an_operator, empty],
    ids=lambda missing: missing.__name__,
)
async def test_it_does_not_resume_when_one_condition_is_missing(
    engine: AsyncEngine, missing: Callable[[AsyncEngine], Awaitable[None]]
) -> None:
    await suspended_and_paid_again(engine)
    sending = await campaign(engine)
    await change_campaign(engine, sending, Act.PARK, by="tollgate", reason="suspended")
    await missing(engine)

    assert await resume(engine) == []
    assert (await campaign_now(engine, sending)).status is CampaignStatus.PARKED


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (Act.PAUSE, CampaignStatus.PAUSED),
        (None, CampaignStatus.DRAFT),
        (Act.COMPLETE, CampaignStatus.COMPLETED),
    ],
)
async def test_it_does_not_resume_one_that_a_person_paused(
    engine: AsyncEngine, act: Act | None, status: CampaignStatus
) -> None:
    await suspended_and_paid_again(engine)
    sending = await campaign(engine, running=act is not None)
    if act is not None:
        await change_campaign(engine, sending, act, reason="asked" if act is Act.PAUSE else "")

    assert await resume(engine) == []
    assert (await campaign_now(engine, sending)).status is status
