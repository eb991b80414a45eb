"""The relay's query for pending organizations: each is returned when due, then at growing
intervals; two relays share them.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.billing import carrier, receivables
from db.campaigns import parked_campaigns, progress
from db.campaigns.campaigns import Campaign
from db.inbox import deliveries
from db.lifecycle import standings, unnotified
from db.lifecycle.unnotified import BEHIND_FOR
from domain.billing.subscription import State
from domain.campaigns.campaign import Act, CampaignStatus, Next, Park
from domain.campaigns.quiet_hours import QuietHours
from domain.wallet.entries import credit
from tests.builders import (
    NOON,
    ORGANIZATION,
    block,
    campaign,
    campaign_now,
    change_campaign,
    confirm,
    event,
    freeze,
    number,
    onboard,
    park,
    post,
    receive,
    reserve,
    resume,
    rows,
    run,
    send,
    settle,
    shut_gate,
    snapshot,
    standing,
    subscribe,
    unblock,
    usd,
)

DAY = timedelta(days=1)


async def due(engine: AsyncEngine, now: datetime, limit: int = 100) -> list[str]:
    async with engine.begin() as conn:
        return await unnotified.organizations(conn, now=now, limit=limit)


async def may_go_on(engine: AsyncEngine, now: datetime = NOON) -> list[str]:
    async with engine.connect() as conn:
        return await parked_campaigns.may_go_on(conn, now=now, limit=10)


async def apply_epoch(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        locked_standing = await standings.lock(conn, ORGANIZATION)
        assert locked_standing is not None
        await standings.mark_applied(conn, ORGANIZATION, locked_standing.epoch, now=NOON)


async def test_an_organization_at_rest_is_never_due(engine: AsyncEngine) -> None:
    await onboard(engine)

    assert await due(engine, NOON + 9999 * DAY) == []


async def test_an_unhandled_delivery_is_named_when_its_lifecycle_has_had_its_time(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await receive(engine, event(id_="WH-1"))
    await receive(engine, event(id_="WH-2"))
    [row] = await rows(
        engine, "SELECT max(next_attempt_at) AS at, max(received_at) AS received FROM inbox"
    )

    assert await due(engine, row.received) == []
    assert await due(engine, row.at) == [ORGANIZATION]


async def test_an_unhandled_delivery_is_notified_ever_less_often_down_to_every_half_hour(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await receive(engine, event())
    waits = []
    for _ in range(25):
        [row] = await rows(engine, "SELECT next_attempt_at AS at FROM inbox")
        assert await due(engine, row.at - timedelta(microseconds=1)) == []
        assert await due(engine, row.at) == [ORGANIZATION]
        [later] = await rows(engine, "SELECT next_attempt_at AS at FROM inbox")
        waits.append(later.at - row.at)

    assert waits == sorted(waits)
    assert (waits[0], waits[1], waits[-1]) == (
        timedelta(minutes=1),
        timedelta(minutes=2),
        timedelta(minutes=30),
    )


async def test_handled_and_parked_deliveries_are_not_due(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    delivery = await receive(engine, event())
    await receive(engine, event(id_="WH-2", subscription_id="I-NOBODY"))
    async with engine.begin() as conn:
        await deliveries.mark_handled(conn, [delivery.id])

    assert await due(engine, NOON + 9999 * DAY) == []


async def test_a_standing_that_is_not_applied_is_named_ever_more_rarely_until_it_is(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await block(engine)
    moment = timedelta(microseconds=1)
    first = NOON + BEHIND_FOR + moment
    second = NOON + 2 * (first - NOON) + moment

    assert await due(engine, NOON + BEHIND_FOR) == []
    assert await due(engine, first) == [ORGANIZATION]
    assert await due(engine, second - moment) == []
    assert await due(engine, second) == [ORGANIZATION]
    assert await due(engine, second + BEHIND_FOR) == []

    await apply_epoch(engine)

    assert await due(engine, second + DAY) == []


async def test_an_unacknowledged_notification_is_repeated_within_seconds(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await receive(engine, event(State.SUSPENDED_NONPAYMENT))
    [row] = await rows(engine, "SELECT next_attempt_at AS at FROM inbox")
    assert await due(engine, row.at) == [ORGANIZATION]

    async with engine.begin() as conn:
        await unnotified.notify_soon(conn, [ORGANIZATION], now=row.at)

    assert await due(engine, row.at + unnotified.SOON - timedelta(microseconds=1)) == []
    assert await due(engine, row.at + unnotified.SOON) == [ORGANIZATION]


async def test_what_twilio_charged_suspends_without_waiting_for_a_minute(
    engine: AsyncEngine,
) -> None:
    """Whoever books a charge is no request that notifies the lifecycle itself."""
    await onboard(engine, balance="1")
    await apply_epoch(engine)
    async with engine.begin() as conn:
        await carrier.take_charge(conn, ORGANIZATION, usd("2").micros, "2026-11-03:calls:1", NOON)

    assert await due(engine, NOON) == [ORGANIZATION]
    assert await due(engine, NOON) == []

    await apply_epoch(engine)
    await post(engine, credit("top-up", usd("3")))
    async with engine.begin() as conn:
        await receivables.recover(conn, ORGANIZATION, now=NOON)
    assert await due(engine, NOON) == [ORGANIZATION]


async def test_everything_is_signaled_again_after_an_outage_of_temporal(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await block(engine)
    await onboard(engine, "resting")

    async with engine.begin() as conn:
        notified = await unnotified.organizations(conn, now=NOON, limit=100, everything=True)

    assert notified == [ORGANIZATION]


async def test_a_change_of_mind_gives_its_lifecycle_time_again(engine: AsyncEngine) -> None:
    await onboard(engine)
    await block(engine)
    await unblock(engine)

    assert (await standing(engine)).behind
    assert await due(engine, NOON + BEHIND_FOR) == []


async def test_a_deadline_that_has_passed_is_named_until_it_is_settled(engine: AsyncEngine) -> None:
    await onboard(engine, grace=timedelta(minutes=1))
    await subscribe(engine)
    await confirm(engine, snapshot(State.PAST_DUE, NOON), now=NOON)
    deadline = NOON + timedelta(minutes=1)

    assert await due(engine, deadline - timedelta(microseconds=1)) == []
    assert await due(engine, deadline) == [ORGANIZATION]
    assert await due(engine, deadline + BEHIND_FOR) == []

    await settle(engine, now=deadline)
    await apply_epoch(engine)

    assert await due(engine, deadline + DAY) == []


async def test_two_relays_at_once_share_the_work_and_wait_for_nobody(engine: AsyncEngine) -> None:
    names = [f"o{n}" for n in range(6)]
    for name in names:
        await onboard(engine, name)
        await subscribe(engine, f"I-{name}", organization_id=name)
        await receive(engine, event(id_=f"WH-{name}", subscription_id=f"I-{name}"))
    late = NOON + 9999 * DAY
    async with engine.begin() as conn:
        mine = await unnotified.organizations(conn, now=late, limit=3)
        others = await due(engine, late)

    assert len(mine) == len(others) == 3
    assert sorted(mine + others) == names


async def test_a_standing_in_hand_does_not_hold_the_relay_up(engine: AsyncEngine) -> None:
    await onboard(engine)
    await block(engine)
    async with engine.begin() as conn:
        await standings.lock(conn, ORGANIZATION)

        assert await due(engine, NOON + DAY) == []
    assert await due(engine, NOON + DAY) == [ORGANIZATION]


async def test_a_parked_campaign_is_named_once_its_wallet_pays_its_next_message(
    engine: AsyncEngine,
) -> None:
    """Whatever permits it: here a credit after which no request resumed anything."""
    await onboard(engine, balance="0.01")
    await send(engine, await campaign(engine, messages=1, name="first"))
    second = await campaign(engine, price=usd("0.02"), name="second")
    assert (await reserve(engine, second)).reason == Park.INSUFFICIENT_FUNDS
    empty = await may_go_on(engine)

    await post(engine, credit("some", usd("0.01")))
    too_little = await may_go_on(engine)
    await post(engine, credit("more", usd("0.01")))

    assert (empty, too_little) == ([], [])
    assert await may_go_on(engine) == [ORGANIZATION]


@pytest.mark.parametrize(
    "missing", [block, freeze, shut_gate], ids=lambda missing: missing.__name__
)
async def test_a_parked_campaign_that_may_not_send_is_not_named(
    engine: AsyncEngine, missing: Callable[[AsyncEngine], Awaitable[Any]]
) -> None:
    await onboard(engine)
    await campaign(engine)
    await park(engine, Park.SUSPENDED)
    before = await may_go_on(engine)

    await missing(engine)

    assert before == [ORGANIZATION]
    assert await may_go_on(engine) == []


async def test_a_campaign_that_a_person_paused_is_not_named(engine: AsyncEngine) -> None:
    await onboard(engine)
    await change_campaign(engine, await campaign(engine), Act.PAUSE, reason="asked")

    assert await may_go_on(engine) == []


NIGHT = datetime(2026, 1, 15, 22, tzinfo=UTC)
"""23:00 in Berlin, 12:00 in Honolulu."""
MORNING = NIGHT + timedelta(hours=9)


async def changes(engine: AsyncEngine) -> int:
    return await number(engine, "SELECT count(*) FROM campaign_changes")


async def go_round(engine: AsyncEngine, of: Campaign, now: datetime) -> None:
    """The work of upkeep every five seconds, and of the campaign's run when it is notified."""
    if await may_go_on(engine, now):
        assert await resume(engine, now=now) == [of.id]
        await reserve(engine, of, now=now)


async def text_of(engine: AsyncEngine, of: Campaign, now: datetime = NIGHT) -> str:
    """The wait that the API shows."""
    async with engine.connect() as conn:
        found = await progress.why_waits(conn, await campaign_now(engine, of), now=now)
    assert found is not None
    return found.text


async def parked_in_the_night(engine: AsyncEngine) -> Campaign:
    """Its first message is affordable but in quiet hours, the second may be sent but is too
    expensive.
    """
    await onboard(engine, balance="0.05")
    prices = [usd("0.01"), usd("0.10")]
    sending = await campaign(
        engine, prices=prices, countries=["DE", "US"], quiet_hours=QuietHours(time(21), time(8))
    )
    assert (await reserve(engine, sending, now=NIGHT)).reason == Park.INSUFFICIENT_FUNDS
    return sending


async def test_a_campaign_whose_affordable_message_is_in_quiet_hours_is_not_resumed_to_be_parked_again(
    engine: AsyncEngine,
) -> None:
    sending = await parked_in_the_night(engine)
    before = await changes(engine)

    for _ in range(3):
        await go_round(engine, sending, NIGHT)
    events = await resume(engine, now=NIGHT)  # every credit checks this, too
    now = await campaign_now(engine, sending)

    assert (events, await changes(engine)) == ([], before)
    assert (now.status, now.reason) == (CampaignStatus.PARKED, Park.INSUFFICIENT_FUNDS)
    assert (
        await text_of(engine, sending)
        == "the wallet has 0.05 USD available, and the next message costs 0.10 USD"
    )


async def test_it_goes_on_when_the_night_is_over_or_the_dear_one_is_paid_for(
    engine: AsyncEngine,
) -> None:
    sending = await parked_in_the_night(engine)
    in_the_morning = await may_go_on(engine, MORNING)

    await post(engine, credit("some", usd("0.04")))
    still_too_little = await resume(engine, now=NIGHT)
    reason = await text_of(engine, sending)
    await post(engine, credit("more", usd("0.01")))
    resumed = await resume(engine, now=NIGHT)
    batch = await reserve(engine, sending, now=NIGHT)

    assert (in_the_morning, still_too_little, resumed) == ([ORGANIZATION], [], [sending.id])
    assert reason == "the wallet has 0.09 USD available, and the next message costs 0.10 USD"
    assert (batch.next, batch.reserved) == (Next.SEND, 1)


async def test_a_campaign_whose_remaining_recipients_are_in_quiet_hours_says_so(
    engine: AsyncEngine,
) -> None:
    """Its money is back: it now waits for the end of quiet hours, no longer for the wallet."""
    await onboard(engine, balance="0.05")
    quiet = QuietHours(time(21), time(8))
    sending = await campaign(engine, prices=[usd("0.10")], countries=["DE"], quiet_hours=quiet)
    assert (await reserve(engine, sending, now=MORNING)).reason == Park.INSUFFICIENT_FUNDS
    before = await may_go_on(engine, NIGHT)
    await post(engine, credit("some", usd("0.05")))

    await go_round(engine, sending, NIGHT)
    now = await campaign_now(engine, sending)

    assert before == []
    assert (now.status, now.waits_for, now.waits_until) == (
        CampaignStatus.RUNNING,
        "quiet_hours",
        MORNING,
    )


async def test_a_campaign_whose_expensive_recipient_opted_out_since_resumes(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0.05")
    sending = await campaign(engine, prices=[usd("0.10"), usd("0.01")])
    assert (await reserve(engine, sending)).reason == Park.INSUFFICIENT_FUNDS
    await run(
        engine, "INSERT INTO opt_outs (organization_id, recipient) VALUES ('acme', '+15005550001')"
    )

    await go_round(engine, sending, NOON)

    assert (await campaign_now(engine, sending)).status is CampaignStatus.RUNNING


async def test_each_campaign_is_resumed_for_its_own_next_message(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0.05")
    dear = await campaign(engine, prices=[usd("0.10")], name="dear")
    cheap = await campaign(engine, prices=[usd("0.01")], name="cheap")
    await reserve(engine, dear)
    await park(engine, Park.SUSPENDED)

    assert await resume(engine) == [cheap.id]
    now = await campaign_now(engine, dear)
    assert (now.status, now.reason) == (CampaignStatus.PARKED, Park.INSUFFICIENT_FUNDS)


async def test_a_parked_campaign_shows_what_it_waits_for_now(engine: AsyncEngine) -> None:
    """Suspended while its wallet is empty, also frozen, and then each cause ends in turn."""
    await onboard(engine, balance="0.01")
    sending = await campaign(engine, prices=[usd("0.10")])
    reasons = []

    async def tell() -> None:
        now = await campaign_now(engine, sending)
        assert now.status is CampaignStatus.PARKED
        reasons.append(now.reason)

    await reserve(engine, sending)
    await tell()
    await freeze(engine)
    await park(engine, Park.FROZEN)
    await tell()
    await park(engine, Park.SUSPENDED)
    await tell()
    await park(engine, Park.FROZEN)  # frozen once more while it is suspended
    await tell()
    await resume(engine)
    await tell()
    await run(engine, "UPDATE wallets SET frozen_by_operator = false, frozen_by_suspension = false")
    await resume(engine)
    await tell()

    assert reasons == [
        "insufficient_funds",
        "frozen",
        "suspended",
        "suspended",
        "frozen",
        "insufficient_funds",
    ]
