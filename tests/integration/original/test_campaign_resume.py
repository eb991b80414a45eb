"""Suite 7 of the original system: a campaign resumes when every condition holds, and not when any one is missing."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.campaign import CampaignStatus
from domain.money import Money
from domain.standing import Block
from domain.subscription import State
from domain.wallet import debit
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
    resume,
    run,
    send,
    shut_gate,
    snapshot,
    subscribe,
    unblock,
)


async def suspended_and_paid_again(engine: AsyncEngine) -> None:
    """Every condition holds: it bills, no block stands, the gate is open, nothing is frozen, there is money."""
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
    assert [one.position for one in first + rest] == [1, 2, 3, 4, 5]
    assert await broken_claims(engine) == set()


async def not_billing(engine: AsyncEngine) -> None:
    await confirm(engine, snapshot(State.PENDING), accept_older=True)


async def nobody_billing(engine: AsyncEngine) -> None:
    await run(engine, "UPDATE subscriptions SET is_current = false")


async def blocked(engine: AsyncEngine) -> None:
    await block(engine, kind=Block.DISPUTE)
    await run(engine, "UPDATE wallets SET gate_open = true")  # so that the block alone is what is missing


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
    [not_billing, nobody_billing, blocked, gate_shut, frozen_by_suspension, frozen_by_an_operator, empty],
    ids=lambda missing: missing.__name__,
)
async def test_it_does_not_resume_when_one_condition_is_missing(
    engine: AsyncEngine, missing: Callable[[AsyncEngine], Awaitable[None]]
) -> None:
    await suspended_and_paid_again(engine)
    sending = await campaign(engine)
    await change_campaign(engine, sending, CampaignStatus.PARKED, by="tollgate", reason="suspended")
    await missing(engine)

    assert await resume(engine) == []
    assert (await campaign_now(engine, sending)).status is CampaignStatus.PARKED


@pytest.mark.parametrize("status", [CampaignStatus.PAUSED, CampaignStatus.DRAFT, CampaignStatus.COMPLETED])
async def test_it_does_not_resume_one_that_a_person_paused(engine: AsyncEngine, status: CampaignStatus) -> None:
    await suspended_and_paid_again(engine)
    sending = await campaign(engine)
    reason = "asked" if status is CampaignStatus.PAUSED else ""
    await change_campaign(engine, sending, status, reason=reason)

    assert await resume(engine) == []
    assert (await campaign_now(engine, sending)).status is status
