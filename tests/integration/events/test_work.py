"""Campaigns, opt-outs, subscriptions, switches and what Twilio reports are told, each once."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from db.billing import subscriptions
from db.campaigns.send_results import Reply
from db.carrier import tripwires
from db.lifecycle import standings
from db.switching import switches
from domain.billing.subscription import Provider, State
from domain.campaigns.campaign import Act, MessageStatus
from domain.carrier.policies import Action
from domain.switching.switch import SwitchStatus
from tests.builders import (
    NOON,
    ORGANIZATION,
    SUBSCRIPTION,
    block,
    campaign,
    change_campaign,
    confirm,
    hand_over,
    minutes,
    onboard,
    settle_replies,
    snapshot,
    subscribe,
    subscription,
    take_steps,
    unblock,
)
from tests.integration.carrier.test_foreign_messages import at_twilio
from tests.integration.carrier.test_usage import a_carrier
from tests.integration.events.telling import data_of, events_told

OPTED_OUT = 21610
SWITCHED = ("switch.started", "switch.offered", "switch.completed", "switch.ended")


async def test_each_change_of_a_campaign_is_told(engine: AsyncEngine) -> None:
    await onboard(engine)
    of = await campaign(engine)
    await block(engine)
    for _ in range(2):
        await take_steps(engine)
    await unblock(engine)
    await take_steps(engine)
    for _ in range(2):
        of = await change_campaign(engine, of, Act.PAUSE, reason="paused")
    for act in (Act.RESUME, Act.RESUME, Act.COMPLETE):
        await change_campaign(engine, of, act)

    found = [each for each in await events_told(engine) if each[0].startswith("campaign.")]
    assert [(type_, data["by"], data["reason"]) for type_, data in found] == [
        ("campaign.started", "person", ""),
        ("campaign.parked", "tollgate", "suspended"),
        ("campaign.resumed", "tollgate", ""),
        ("campaign.paused", "person", "paused"),
        ("campaign.resumed", "person", ""),
        ("campaign.completed", "person", ""),
    ]
    assert {data["campaign_id"] for _, data in found} == {str(of.id)}


async def test_an_opt_out_is_told_with_the_message_and_without_the_number(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    [message, _] = await hand_over(engine, await campaign(engine, messages=2))
    [again, _] = await hand_over(engine, await campaign(engine, messages=2, name="again"))
    for each in (message, message, again):
        refused = Reply(message=each, status=MessageStatus.REFUSED, error_code=OPTED_OUT)
        await settle_replies(engine, refused)

    assert await data_of(engine, "recipient.opted_out") == [{"message_id": str(message.id)}]


async def test_a_subscription_is_told_when_it_becomes_current_and_when_it_is_over(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    for _ in range(2):
        await subscribe(engine)
    for minute in (1, 2):
        await confirm(engine, snapshot(State.CANCELED, NOON + minutes(minute)))

    linked = {"provider": "paypal", "subscription_id": SUBSCRIPTION}
    assert await events_told(engine, "subscription.linked", "subscription.ended") == [
        ("subscription.linked", linked),
        ("subscription.ended", {**linked, "state": "canceled"}),
    ]


async def test_a_completed_checkout_is_told_with_the_subscription_that_it_became(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    checkout = await subscribe(engine, "cs_1")
    for _ in range(2):
        async with engine.begin() as conn:
            await standings.lock(conn, ORGANIZATION)
            await subscriptions.completed(conn, checkout, "sub_1")

    assert [data["subscription_id"] for data in await data_of(engine, "subscription.linked")] == [
        "cs_1",
        "sub_1",
    ]


async def test_the_steps_of_a_switch_are_told_and_its_end_once(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    source = await subscription(engine)
    switch = None
    for _ in range(2):
        async with engine.begin() as conn:
            await standings.lock(conn, ORGANIZATION)
            _, switch = await switches.start(
                conn,
                source,
                Provider.STRIPE,
                plan_id="price_1",
                return_url="https://example.com",
                cancel_url="https://example.com",
            )
    assert switch is not None
    for to in (SwitchStatus.OFFERED, SwitchStatus.OFFERED, SwitchStatus.UNDOING):
        async with engine.begin() as conn:
            switch = await switches.move(conn, switch, to)
    for _ in range(2):  # a late consent is undone after the end
        async with engine.begin() as conn:
            switch = await switches.move(conn, switch, SwitchStatus.ABANDONED)

    found = await events_told(engine, *SWITCHED)
    assert [type_ for type_, _ in found] == ["switch.started", "switch.offered", "switch.ended"]
    assert found[-1][1] == {
        "switch_id": str(switch.id),
        "source_provider": "paypal",
        "target_provider": "stripe",
        "state": "abandoned",
    }


async def test_a_forbidden_category_is_told_once_a_day(engine: AsyncEngine) -> None:
    async with a_carrier(engine, "10") as carrier:
        await carrier.policy("calls", Action.FORBID)
        carrier.book("calls-outbound", 14_000)
        for _ in range(2):
            await carrier.read()

        assert await data_of(engine, "carrier.forbidden") == [
            {"day": carrier.today().isoformat(), "category": "calls-outbound"}
        ]


async def test_a_trigger_that_fires_several_times_before_the_look_is_told_once(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    for second in range(6):
        now = NOON + timedelta(seconds=second)
        async with engine.begin() as conn:
            await tripwires.note_fired(conn, ORGANIZATION, now=now)
            if second == 3:
                await tripwires.note_looked(conn, ORGANIZATION, 1, now=now)

    assert await data_of(engine, "carrier.tripwire_fired") == [{}, {}]


async def test_messages_past_tollgate_are_told_when_they_are_found(engine: AsyncEngine) -> None:
    async with at_twilio(engine) as twilio:
        twilio.send()
        twilio.receive()
        await twilio.delivered()
        for _ in range(2):
            await twilio.find()

        assert await data_of(engine, "carrier.foreign_messages") == [{"sent": 1, "received": 1}]
