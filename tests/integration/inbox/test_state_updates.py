"""State updates: a webhook may only close, the provider's answer may open, and the order of arrival
does not matter.
"""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.billing import blocks, reversals, subscriptions
from db.inbox import deliveries, parking, state_updates
from domain.alerts import AlertKind
from domain.billing.events import BillingEvent, EventKind, MoneyObject, MoneyReference, Reversal
from domain.billing.subscription import Provider, Snapshot, State
from domain.lifecycle.evidence import READS_LAG, SAME_SECOND, EventEffect
from domain.lifecycle.standing import Block, Status
from tests.builders import (
    NOON,
    ORGANIZATION,
    SUBSCRIPTION,
    admin_block,
    block,
    confirm,
    event,
    hear,
    minutes,
    note_subscription,
    number,
    onboard,
    receive,
    rows,
    run,
    settle,
    snapshot,
    standing,
    subscribe,
    subscription,
    unblock,
    usd,
    wallet,
)
from tests.soak import seeds

SUSPENDED = event(State.SUSPENDED_NONPAYMENT, NOON + minutes(10), id_="WH-suspended")
PAID = event(State.ACTIVE, NOON + minutes(20), id_="WH-paid", kind=EventKind.PAYMENT_SUCCEEDED)
ACTIVATED = event(State.ACTIVE, NOON + minutes(30), id_="WH-activated")
CREATED = event(State.PENDING, NOON + minutes(5), id_="WH-created")
DAY = timedelta(days=1)


async def standing_alerts(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as conn:
        return {alert.kind for alert in await alerts.standing(conn, ORGANIZATION)}


async def state(engine: AsyncEngine, id_: str = SUBSCRIPTION) -> State:
    return (await subscription(engine, id_)).snapshot.state


@pytest.mark.parametrize(
    ("billing_event", "kind", "detail"),
    [
        (
            replace(event(None, kind=EventKind.FRAUD_WARNING), payment_id="ch_1"),
            AlertKind.FRAUD_WARNING,
            "BILLING.FRAUD_WARNING about ch_1",
        ),
        (
            event(None, id_="WH-1", problem="its amount is missing or unreadable"),
            AlertKind.NOT_UNDERSTOOD,
            "BILLING.CHANGED WH-1: its amount is missing or unreadable",
        ),
    ],
)
async def test_an_event_for_a_person_raises_one_alert_no_matter_how_often_it_is_delivered(
    engine: AsyncEngine, billing_event: BillingEvent, kind: AlertKind, detail: str
) -> None:
    await onboard(engine)
    await subscribe(engine)

    await hear(engine, billing_event)
    async with engine.begin() as conn:
        [alert] = await alerts.standing(conn, ORGANIZATION)
        await alerts.clear(conn, ORGANIZATION, kind)
    await hear(engine, billing_event)

    assert (alert.kind, alert.detail) == (kind, detail)
    assert await standing_alerts(engine) == set()


async def test_an_alert_about_events_not_understood_clears_when_each_is_dismissed(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    for id_ in ("WH-1", "WH-2"):
        await hear(engine, event(None, id_=id_, problem="its amount is missing"))
    parked = await rows(engine, "SELECT id FROM inbox ORDER BY id")

    found = []
    for row in parked:
        async with engine.begin() as conn:
            await parking.dismiss(conn, row.id, "looked at")
        found.append(await standing_alerts(engine))

    assert found == [{AlertKind.NOT_UNDERSTOOD}, set()]


@pytest.mark.parametrize("problem", [None, "its amount is missing or unreadable"])
async def test_an_event_for_a_person_waits_if_it_names_no_organization(
    engine: AsyncEngine, problem: str | None
) -> None:
    await onboard(engine)
    billing_event = event(
        None, kind=EventKind.FRAUD_WARNING, subscription_id="I-UNKNOWN", problem=problem
    )

    assert await hear(engine, billing_event) is EventEffect.NOTED
    assert await number(engine, "SELECT count(*) FROM inbox WHERE status = 'parked'") == 1
    assert await number(engine, "SELECT count(*) FROM alerts") == 0


@pytest.mark.parametrize("order", [*permutations([SUSPENDED, PAID, ACTIVATED])])
async def test_every_order_of_suspended_paid_activated_ends_active(
    engine: AsyncEngine, order: tuple[BillingEvent, ...]
) -> None:
    await onboard(engine)
    await subscribe(engine)
    for billing_event in order:
        await hear(engine, billing_event)

    final = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(30)))

    assert (final.status, final.blocks) == (Status.ACTIVE, frozenset())
    assert await state(engine) is State.ACTIVE


@pytest.mark.parametrize("order", [*permutations([SUSPENDED, PAID, ACTIVATED])])
async def test_every_order_of_suspended_paid_activated_shuts_before_it_is_confirmed(
    engine: AsyncEngine, order: tuple[BillingEvent, ...]
) -> None:
    await onboard(engine)
    await subscribe(engine)

    effects = [await hear(engine, billing_event) for billing_event in order]

    assert effects[order.index(SUSPENDED)] is EventEffect.SHUT
    assert (await standing(engine)).status is Status.SUSPENDED
    assert not (await wallet(engine)).gate_open


@pytest.mark.parametrize("order", [*permutations([CREATED, ACTIVATED, PAID])])
async def test_every_order_of_created_activated_paid_ends_active_and_never_shuts(
    engine: AsyncEngine, order: tuple[BillingEvent, ...]
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(State.PENDING, NOON))
    for billing_event in order:
        await hear(engine, billing_event)
        assert (await wallet(engine)).gate_open

    final = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(30)))

    assert (final.status, final.epoch) == (Status.ACTIVE, 0)
    assert await state(engine) is State.ACTIVE


async def test_the_gate_is_shut_in_the_transaction_that_hears_the_suspension(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)

    assert await hear(engine, SUSPENDED) is EventEffect.SHUT
    after = await standing(engine)
    assert (after.status, after.blocks, after.epoch) == (
        Status.SUSPENDED,
        frozenset({Block.NONPAYMENT}),
        1,
    )
    assert not (await wallet(engine)).gate_open
    [receipt] = await rows(engine, "SELECT status, cause FROM receipts")
    assert tuple(receipt) == ("suspended", "BILLING.SUSPENDED WH-suspended")


async def test_a_repeated_suspension_event_changes_nothing(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)

    assert await hear(engine, SUSPENDED) is not EventEffect.SHUT
    assert (await standing(engine)).epoch == 1


async def test_an_older_event_changes_nothing(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(State.ACTIVE, NOON))

    assert (
        await hear(engine, event(State.SUSPENDED_NONPAYMENT, NOON - minutes(1))) is EventEffect.OLD
    )
    assert (await standing(engine)).epoch == 0
    assert await state(engine) is State.ACTIVE


@pytest.mark.parametrize(
    ("late", "effect"),
    [(minutes(7), EventEffect.SHUT), (minutes(7) + timedelta(seconds=1), EventEffect.OLD)],
)
async def test_an_event_from_long_before_the_last_answer_is_stale(
    engine: AsyncEngine, late: timedelta, effect: EventEffect
) -> None:
    """Although the answer has no newer time: a missed event that is listed hours later does not
    shut a gate.
    """
    await onboard(engine)
    await subscribe(engine)
    await confirm(engine, snapshot(State.ACTIVE, NOON), now=NOON + timedelta(hours=1))

    assert await hear(engine, event(at=NOON + timedelta(hours=1) - late)) is effect


@pytest.mark.parametrize("at", [NOON, None, NOON + timedelta(hours=1, minutes=5, microseconds=1)])
async def test_a_time_that_is_equal_missing_or_yet_to_come_is_unclear(
    engine: AsyncEngine, at: datetime | None
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(State.ACTIVE, NOON))
    billing_event = event(State.SUSPENDED_NONPAYMENT, at)

    effect = await hear(engine, billing_event, now=NOON + timedelta(hours=1))

    assert effect is EventEffect.UNCLEAR
    assert (await standing(engine)).status is Status.ACTIVE
    assert not (await receive(engine, billing_event)).folded


async def test_clocks_may_be_five_minutes_apart(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)

    assert await hear(engine, event(at=NOON + minutes(5)), now=NOON) is EventEffect.SHUT


async def test_an_unclear_event_shuts_when_no_provider_answers(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(State.ACTIVE, NOON))

    assert (
        await hear(engine, event(State.SUSPENDED_NONPAYMENT, NOON), sure=True) is EventEffect.SHUT
    )


async def test_even_then_what_is_older_changes_nothing(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(State.ACTIVE, NOON))

    assert (
        await hear(engine, event(State.SUSPENDED_NONPAYMENT, NOON - minutes(1)), sure=True)
        is EventEffect.OLD
    )
    assert (await standing(engine)).status is Status.ACTIVE


async def test_an_unknown_status_changes_nothing_and_alerts(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)

    effect = await hear(engine, event(State.UNKNOWN, raw_status="ON_HOLIDAY"))

    assert effect is EventEffect.NOTED
    assert (await standing(engine)).epoch == 0
    assert await state(engine) is State.ACTIVE
    assert await standing_alerts(engine) == {"unknown_status"}


async def test_an_unknown_answer_of_the_provider_changes_nothing_and_alerts(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)

    after = await confirm(engine, snapshot(State.UNKNOWN, raw_status="ON_HOLIDAY"))

    assert after.status is Status.ACTIVE
    assert await standing_alerts(engine) == {"unknown_status"}
    assert "ON_HOLIDAY" in ((await subscription(engine)).alert or "")


async def test_an_unknown_status_that_is_understood_again_is_no_alert_any_more(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await confirm(engine, snapshot(State.UNKNOWN, raw_status="not found"))
    raised = await standing_alerts(engine)

    await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(1)))

    assert raised == {"unknown_status"}
    assert await standing_alerts(engine) == set()
    assert (await subscription(engine)).alert is None


async def test_an_unknown_status_of_another_subscription_is_an_alert_until_that_is_understood(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await note_subscription(engine, "I-OTHER")
    await confirm(engine, snapshot(State.UNKNOWN), id_="I-OTHER")

    await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(1)))
    alerts_of_current = await standing_alerts(engine)
    await confirm(engine, snapshot(State.CANCELED, NOON + minutes(1)), id_="I-OTHER")

    assert alerts_of_current == {"unknown_status"}
    assert await standing_alerts(engine) == set()


async def test_an_alert_of_a_block_goes_with_the_last_block_of_its_kind(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    async with engine.begin() as conn:
        await blocks.block_telephony(conn, ORGANIZATION, "Twilio says it is suspended", now=NOON)
        for reference in ("D-1", "D-2"):
            await blocks.block(conn, ORGANIZATION, admin_block(reference, Block.DISPUTE), now=NOON)
        await alerts.raise_(conn, ORGANIZATION, AlertKind.DISPUTE_LOST, "D-1")
    standing_at_first = await standing_alerts(engine)

    await unblock(engine, kind=Block.TELEPHONY)
    async with engine.begin() as conn:
        await blocks.unblock(conn, ORGANIZATION, Block.DISPUTE, "D-1", by="operator", now=NOON)
    before_the_second = await standing_alerts(engine)
    async with engine.begin() as conn:
        await blocks.unblock(conn, ORGANIZATION, Block.DISPUTE, "D-2", by="operator", now=NOON)

    assert (standing_at_first, before_the_second) == (
        {"telephony", "dispute_lost"},
        {"dispute_lost"},
    )
    assert await standing_alerts(engine) == set()


async def test_an_unknown_answer_does_not_lift_a_suspension(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)

    assert (await confirm(engine, snapshot(State.UNKNOWN))).status is Status.SUSPENDED


async def test_an_event_of_another_subscription_never_changes_the_standing(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await note_subscription(engine, "I-OLD")

    effect = await hear(
        engine, event(State.SUSPENDED_NONPAYMENT, NOON + minutes(1), subscription_id="I-OLD")
    )

    assert effect is EventEffect.OTHER
    assert (await standing(engine)).status is Status.ACTIVE


@pytest.mark.parametrize(
    "reported_state", [State.ACTIVE, State.TRIALING, State.PENDING, State.PAST_DUE]
)
async def test_a_webhook_never_lifts_a_block_nor_opens(
    engine: AsyncEngine, reported_state: State
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)

    await hear(engine, event(reported_state, NOON + minutes(40), id_="WH-later"), sure=True)

    assert (await standing(engine)).blocks == frozenset({Block.NONPAYMENT})
    assert not (await wallet(engine)).gate_open


async def test_a_webhook_that_cancels_what_was_suspended_opens_nothing(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(paid_until=NOON + 30 * DAY))
    await hear(engine, SUSPENDED)

    await hear(engine, event(State.CANCELED, NOON + minutes(40)))

    assert (await standing(engine)).status is Status.SUSPENDED


async def test_a_confirmed_payment_lifts_the_block_but_the_gate_waits_for_its_step(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)

    after = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(20)))

    assert (after.status, after.epoch) == (Status.ACTIVE, 2)
    assert not (await wallet(engine)).gate_open


LATER = NOON + timedelta(hours=1)
INSTANT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("at", "needed"),
    [(NOON + minutes(9), READS_LAG), (None, READS_LAG), (NOON + minutes(10), SAME_SECOND)],
    ids=["older", "without a time", "of the same second"],
)
async def test_an_answer_not_newer_than_what_shut_opens_when_it_is_repeated_later(
    engine: AsyncEngine, at: datetime | None, needed: timedelta
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)
    stale = snapshot(State.ACTIVE, at)

    early = [
        await confirm(engine, stale, now=LATER + after)
        for after in (needed * 0, needed / 2, needed - INSTANT)
    ]
    late = await confirm(engine, stale, now=LATER + needed)

    assert {(result.status, result.ask_again, result.epoch) for result in early} == {
        (Status.SUSPENDED, True, 1)
    }
    assert (late.status, late.ask_again, late.epoch) == (Status.ACTIVE, False, 2)


@pytest.mark.parametrize(
    "state", [State.SUSPENDED_NONPAYMENT, State.PAUSED, State.CANCELED, State.EXPIRED]
)
async def test_a_read_from_between_two_suspensions_does_not_open(
    engine: AsyncEngine, state: State
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await confirm(engine, snapshot(state, NOON + minutes(10)), now=NOON + minutes(10))
    await hear(engine, event(state, NOON + minutes(20)), now=NOON + minutes(20))

    stale = await confirm(
        engine, snapshot(State.ACTIVE, NOON + minutes(15)), now=NOON + minutes(20)
    )
    paid = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(21)), now=NOON + minutes(21))

    assert (stale.status, stale.ask_again) == (Status.SUSPENDED, True)
    assert (paid.status, paid.ask_again) == (Status.ACTIVE, False)


async def test_an_answer_that_contradicted_an_earlier_event_does_not_contradict_a_later_one(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)
    stale = snapshot(State.ACTIVE, NOON + minutes(9))
    await confirm(engine, stale, now=LATER)
    await hear(engine, event(State.PAUSED, NOON + minutes(40)), now=LATER + READS_LAG - INSTANT)

    again = await confirm(engine, stale, now=LATER + READS_LAG)

    assert (again.status, again.ask_again) == (Status.SUSPENDED, True)


async def test_a_stale_answer_says_nothing_once_the_provider_has_caught_up(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)
    stale = snapshot(State.ACTIVE, NOON + minutes(9))
    await confirm(engine, stale, now=LATER)
    caught_up = await confirm(
        engine, snapshot(State.SUSPENDED_NONPAYMENT, NOON + minutes(10)), now=LATER + minutes(1)
    )

    again = await confirm(engine, stale, now=LATER + minutes(3))

    assert [(after.status, after.ask_again) for after in (caught_up, again)] == [
        (Status.SUSPENDED, False),
        (Status.SUSPENDED, True),
    ]


async def test_a_stale_answer_that_an_operators_block_hides_does_not_open_when_that_is_lifted(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)
    await block(engine)

    hidden = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(9)))

    assert hidden.ask_again
    assert (await unblock(engine)).blocks == {Block.NONPAYMENT}


async def test_an_answer_older_than_an_earlier_one_shuts_nobody_at_once(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(State.ACTIVE, NOON))

    stale = await confirm(engine, snapshot(State.SUSPENDED_NONPAYMENT, NOON - minutes(1)))

    assert (stale.status, stale.ask_again) == (Status.ACTIVE, True)


async def test_no_forged_event_makes_a_genuine_event_stale(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(paid_until=NOON + 30 * DAY))
    forged = event(State.CANCELED, LATER + minutes(5), id_="WH-forged")
    assert await hear(engine, forged, now=LATER) is EventEffect.NOTED

    assert (
        await hear(engine, event(State.SUSPENDED_NONPAYMENT, LATER), now=LATER) is EventEffect.SHUT
    )
    assert not (await wallet(engine)).gate_open


@pytest.mark.parametrize("unpaid", [State.SUSPENDED_NONPAYMENT, State.PAUSED, State.PAST_DUE])
@pytest.mark.parametrize(
    "reported_state",
    [reported_state for reported_state in State if reported_state is not State.UNKNOWN],
)
async def test_a_webhook_opens_nothing_when_an_operator_lifts_the_block(
    engine: AsyncEngine, unpaid: State, reported_state: State
) -> None:
    await onboard(engine, grace=timedelta(0))
    await subscribe(engine, provider_snapshot=snapshot(unpaid))
    await block(engine)

    await hear(engine, event(reported_state, NOON + minutes(40), id_="WH-forged"), sure=True)
    lifted = await unblock(engine)

    assert (lifted.status, lifted.epoch) == (Status.SUSPENDED, 1)
    assert Block.NONPAYMENT in lifted.blocks


async def test_a_gate_shut_by_a_webhook_stays_shut_when_an_operator_lifts_a_block(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(paid_until=NOON + 30 * DAY))
    await hear(engine, SUSPENDED)
    await block(engine)

    await hear(engine, event(State.CANCELED, NOON + minutes(40)), sure=True)

    assert (await unblock(engine)).blocks == {Block.NONPAYMENT}


@pytest.mark.parametrize("seed", seeds(10, soaking=200))
async def test_no_sequence_of_webhooks_alone_opens_anything(engine: AsyncEngine, seed: int) -> None:
    """Genuine and forged events, with any time and any claimed end of the paid period, while the
    provider does not answer.
    """
    chance = random.Random(seed)
    await onboard(engine, grace=timedelta(0))
    confirmed = chance.choice(
        [State.SUSPENDED_NONPAYMENT, State.PAUSED, State.PAST_DUE, State.CANCELED, State.ACTIVE]
    )
    await subscribe(engine, provider_snapshot=snapshot(confirmed))
    if confirmed is State.ACTIVE:
        await hear(engine, SUSPENDED)
    for nth in range(12):
        at = chance.choice([None, LATER + minutes(chance.uniform(-90, 9))])
        state = chance.choice(list(State))
        billing_event = event(state, at, id_=f"WH-{nth}")
        far = Snapshot(
            state=state,
            as_of=at,
            access_until=LATER + 90 * DAY,
            paid_until=LATER + 90 * DAY,
            owes=False,
        )
        await hear(
            engine, replace(billing_event, snapshot=far), now=LATER, sure=chance.random() < 0.5
        )
        if chance.random() < 0.3:
            await block(engine)
            await unblock(engine)
        await settle(engine, now=LATER)

    after = await standing(engine)
    assert (after.status, after.epoch) == (Status.SUSPENDED, 1)
    assert not (await wallet(engine)).gate_open


async def test_a_suspended_debtor_that_cancels_is_not_served_again(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(paid_until=NOON + 30 * DAY))
    await confirm(engine, snapshot(State.SUSPENDED_NONPAYMENT, NOON + minutes(10)))

    await hear(engine, event(State.CANCELED, NOON + minutes(20)))
    canceled = await confirm(
        engine, snapshot(State.CANCELED, NOON + minutes(20), paid_until=NOON + 60 * DAY)
    )

    assert (canceled.status, canceled.blocks, canceled.epoch) == (
        Status.SUSPENDED,
        frozenset({Block.NONPAYMENT}),
        1,
    )


async def test_a_suspended_debtor_that_is_active_again_without_paying_is_not_served(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await confirm(engine, snapshot(State.SUSPENDED_NONPAYMENT, NOON + minutes(10)))

    owing = await confirm(engine, snapshot(State.PAST_DUE, NOON + minutes(20)))
    paid = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(30)))

    assert (owing.status, owing.blocks, owing.epoch) == (
        Status.SUSPENDED,
        frozenset({Block.NONPAYMENT}),
        1,
    )
    assert (paid.status, paid.epoch) == (Status.ACTIVE, 2)


async def test_it_is_not_served_either_when_no_answer_came_between_the_two(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)

    owing = await confirm(engine, snapshot(State.PAST_DUE, NOON + minutes(20)))

    assert (owing.status, owing.ask_again) == (Status.SUSPENDED, False)


async def test_an_expired_grace_period_does_not_begin_again(engine: AsyncEngine) -> None:
    await onboard(engine, grace=3 * DAY)
    await subscribe(engine)
    await confirm(engine, snapshot(State.PAST_DUE, NOON))
    later = NOON + 3 * DAY
    assert (await settle(engine, now=later)).status is Status.SUSPENDED

    for state in (State.PAUSED, State.PAST_DUE, State.CANCELED):
        new_snapshot = replace(snapshot(state, later, paid_until=later + 30 * DAY), owes=True)
        assert (await confirm(engine, new_snapshot, now=later)).status is Status.SUSPENDED
        later += DAY


async def test_a_trial_beside_it_pays_no_debt(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await confirm(engine, snapshot(State.SUSPENDED_NONPAYMENT, NOON + minutes(10)))
    await note_subscription(engine, "I-TRIAL")

    trial = await confirm(engine, snapshot(State.TRIALING, NOON + minutes(20)), id_="I-TRIAL")

    assert trial.blocks == {Block.NONPAYMENT}
    assert (await subscription(engine)).is_current


async def shut_for_a_debt_beside(engine: AsyncEngine) -> None:
    """The current subscription is in debt; another one, `I-OTHER`, was paid before its own debt
    began.
    """
    await onboard(engine)
    await subscribe(engine)
    await note_subscription(engine, "I-OTHER")
    await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(1)), id_="I-OTHER")
    await confirm(engine, snapshot(State.PAST_DUE, NOON + minutes(5)), id_="I-OTHER")
    await confirm(engine, snapshot(State.SUSPENDED_NONPAYMENT, NOON + minutes(10)))


async def test_another_one_that_owes_takes_over_from_no_debt(engine: AsyncEngine) -> None:
    await shut_for_a_debt_beside(engine)
    unclear = replace(snapshot(State.ACTIVE, NOON + minutes(20)), owes=None)

    beside = await confirm(engine, unclear, id_="I-OTHER")

    assert beside.blocks == {Block.NONPAYMENT}
    assert (await subscription(engine)).is_current


async def test_a_subscription_whose_payment_was_paid_back_takes_over_from_no_debt(
    engine: AsyncEngine,
) -> None:
    await shut_for_a_debt_beside(engine)
    await run(
        engine,
        "INSERT INTO payments (organization_id, provider, object_id, kind, amount_micros, "
        "currency, occurred_at,"
        " provider_subscription_id) VALUES ('acme', 'paypal', 'S-1', 'subscription', 49000000, "
        "'USD', :at, 'I-OTHER')",
        at=NOON + minutes(20),
    )
    async with engine.begin() as conn:
        back = Reversal(id="R-1", what="refund", payment_id="S-1", amount=usd("49"), stands=True)
        await reversals.book(conn, ORGANIZATION, Provider.PAYPAL, back, now=NOON)

    beside = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(20)), id_="I-OTHER")

    assert beside.blocks == {Block.NONPAYMENT}
    assert (await subscription(engine)).is_current


async def test_a_paid_one_takes_over_from_one_that_owes_whatever_its_status_says(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(State.PAST_DUE))
    await confirm(
        engine, replace(snapshot(State.ACTIVE, NOON + minutes(10)), owes=None, paid_at=None)
    )
    await note_subscription(engine, "I-NEW")

    after = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(20)), id_="I-NEW")

    assert (await subscription(engine, "I-NEW")).is_current
    assert (after.status, after.deadline) == (Status.ACTIVE, None)


@pytest.mark.parametrize("reported_state", [State.SUSPENDED_NONPAYMENT, State.PAST_DUE])
async def test_a_trial_beside_it_does_not_take_over_while_its_debt_is_unconfirmed(
    engine: AsyncEngine, reported_state: State
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await note_subscription(engine, "I-TRIAL")
    await hear(engine, event(reported_state, NOON + minutes(10)), now=NOON + minutes(10))
    before_answer = await standing(engine)

    trial = await confirm(
        engine, snapshot(State.TRIALING, NOON + minutes(20)), id_="I-TRIAL", now=NOON + minutes(20)
    )

    assert trial == before_answer
    assert (await subscription(engine)).is_current


async def test_a_subscription_closed_by_a_webhook_does_not_take_over_before_its_provider_is_queried(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await note_subscription(engine, "I-OTHER")
    await confirm(
        engine, snapshot(State.ACTIVE, NOON + minutes(5)), id_="I-OTHER", now=NOON + minutes(5)
    )
    await hear(engine, event(State.CANCELED, NOON + minutes(6), subscription_id="I-OTHER"))

    lapsed = await confirm(engine, snapshot(State.PAUSED, NOON + minutes(10)))

    assert lapsed.status is Status.SUSPENDED
    assert (await subscription(engine)).is_current


@pytest.mark.parametrize("reported_state", [State.CANCELED, State.EXPIRED])
async def test_a_subscription_that_ends_with_its_last_payment_is_served_for_it(
    engine: AsyncEngine, reported_state: State
) -> None:
    await onboard(engine)
    await subscribe(
        engine,
        provider_snapshot=replace(
            snapshot(paid_until=NOON + minutes(10)), access_until=NOON + minutes(10)
        ),
    )
    ended = event(reported_state, NOON + minutes(10))

    effect = await hear(engine, ended, now=NOON + minutes(11))
    answer = replace(
        snapshot(reported_state, NOON + minutes(10), paid_until=NOON + 30 * DAY),
        paid_at=NOON + minutes(10),
    )
    async with engine.begin() as conn:
        delivery = await deliveries.receive(conn, ended, b"{}", {}, ORGANIZATION)
    async with engine.begin() as conn:
        await state_updates.clear_up(
            conn, delivery, ended, answer, outcome="asked", now=NOON + minutes(11)
        )

    # only the provider knows whether it was paid: it is queried before the response
    assert effect is EventEffect.UNCLEAR
    after = await standing(engine)
    assert (after.status, after.deadline, after.epoch) == (Status.ACTIVE, NOON + 30 * DAY, 0)


@pytest.mark.parametrize(
    ("at", "answered", "status"),
    [
        (LATER, snapshot(State.SUSPENDED_NONPAYMENT, LATER), Status.SUSPENDED),
        (NOON, snapshot(State.ACTIVE, NOON), Status.ACTIVE),
        (LATER, snapshot(State.ACTIVE, LATER + minutes(1)), Status.ACTIVE),
        (LATER, snapshot(State.ACTIVE, LATER), Status.SUSPENDED),
        (LATER, snapshot(State.ACTIVE, NOON), Status.SUSPENDED),
        (LATER, snapshot(State.UNKNOWN, LATER), Status.SUSPENDED),
        (None, snapshot(State.ACTIVE, LATER), Status.SUSPENDED),
        (LATER + minutes(7), snapshot(State.ACTIVE, LATER), Status.ACTIVE),
    ],
    ids=[
        "says the same",
        "long after",
        "newer",
        "same second",
        "older",
        "unknown",
        "undated",
        "of a time to come",
    ],
)
async def test_an_unclear_event_shuts_unless_the_answer_knows_of_it(
    engine: AsyncEngine, at: datetime | None, answered: Snapshot, status: Status
) -> None:
    await onboard(engine)
    await subscribe(
        engine, provider_snapshot=snapshot(State.ACTIVE, at if at in (NOON, LATER) else NOON)
    )
    billing_event = event(State.SUSPENDED_NONPAYMENT, at)
    assert await hear(engine, billing_event, now=LATER) is EventEffect.UNCLEAR

    async with engine.begin() as conn:
        delivery = await deliveries.receive(conn, billing_event, b"{}", {}, ORGANIZATION)
    async with engine.begin() as conn:
        await state_updates.clear_up(
            conn, delivery, billing_event, answered, outcome="asked", now=LATER + minutes(1)
        )

    assert (await standing(engine)).status is status


async def test_a_first_failed_payment_starts_the_grace_period(engine: AsyncEngine) -> None:
    await onboard(engine, grace=3 * DAY)
    await subscribe(engine)

    await hear(engine, event(State.PAST_DUE, NOON + minutes(10)))

    after = await standing(engine)
    assert (after.status, after.deadline) == (Status.ACTIVE, NOON + minutes(10) + 3 * DAY)
    assert (await wallet(engine)).gate_open


async def test_a_second_failed_payment_does_not_prolong_it(engine: AsyncEngine) -> None:
    await onboard(engine, grace=3 * DAY)
    await subscribe(engine)
    await hear(engine, event(State.PAST_DUE, NOON + minutes(10)))

    await confirm(engine, snapshot(State.PAST_DUE, NOON + DAY), now=NOON + DAY)

    assert (await standing(engine)).deadline == NOON + minutes(10) + 3 * DAY


async def test_the_deadline_suspends_by_itself(engine: AsyncEngine) -> None:
    await onboard(engine, grace=3 * DAY)
    await subscribe(engine)
    await hear(engine, event(State.PAST_DUE, NOON + minutes(10)))
    deadline = NOON + minutes(10) + 3 * DAY

    early = await settle(engine, now=deadline - timedelta(microseconds=1), may_open=False)
    due = await settle(engine, now=deadline, may_open=False)

    assert early.status is Status.ACTIVE
    assert (due.status, due.blocks, due.deadline) == (
        Status.SUSPENDED,
        frozenset({Block.NONPAYMENT}),
        None,
    )
    assert not (await wallet(engine)).gate_open


async def test_paying_in_between_clears_the_deadline(engine: AsyncEngine) -> None:
    await onboard(engine, grace=3 * DAY)
    await subscribe(engine)
    await hear(engine, event(State.PAST_DUE, NOON + minutes(10)))

    paid = await confirm(engine, snapshot(State.ACTIVE, NOON + DAY), now=NOON + DAY)
    later = await settle(engine, now=NOON + 90 * DAY)

    assert (paid.status, paid.deadline, paid.epoch) == (Status.ACTIVE, None, 0)
    assert later.status is Status.ACTIVE


async def test_the_next_failure_after_a_payment_has_a_grace_period_of_its_own(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, grace=3 * DAY)
    await subscribe(engine)
    await hear(engine, event(State.PAST_DUE, NOON + minutes(10)))
    await confirm(engine, snapshot(State.ACTIVE, NOON + DAY), now=NOON + DAY)

    again = await confirm(engine, snapshot(State.PAST_DUE, NOON + 30 * DAY), now=NOON + 30 * DAY)

    assert again.deadline == NOON + 33 * DAY


async def test_a_canceled_subscription_is_served_until_its_paid_time_ends(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(paid_until=NOON + 10 * DAY))

    await hear(engine, event(State.CANCELED, NOON + minutes(1)))
    kept = await standing(engine)
    ended = await settle(engine, now=NOON + 10 * DAY, may_open=False)

    assert (kept.status, kept.deadline) == (Status.ACTIVE, NOON + 10 * DAY)
    assert (ended.status, ended.blocks) == (Status.SUSPENDED, frozenset({Block.CANCELED}))


async def test_a_cancellation_without_a_paid_through_time_ends_at_once(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)

    assert (
        await hear(engine, event(State.CANCELED, NOON + minutes(1)), sure=True) is EventEffect.SHUT
    )


async def test_paying_does_not_lift_an_operators_block(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await block(engine)
    await hear(engine, SUSPENDED)

    paid = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(20)))
    lifted = await unblock(engine)

    assert (paid.status, paid.blocks, paid.epoch) == (Status.SUSPENDED, frozenset({Block.ADMIN}), 1)
    assert (lifted.status, lifted.epoch) == (Status.ACTIVE, 2)


async def test_lifting_an_operators_block_does_not_pay(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await block(engine)
    await hear(engine, SUSPENDED)

    lifted = await unblock(engine)

    assert (lifted.status, lifted.blocks) == (Status.SUSPENDED, frozenset({Block.NONPAYMENT}))


async def test_blocking_and_unblocking_are_idempotent(engine: AsyncEngine) -> None:
    await onboard(engine)

    epochs = [(await block(engine)).epoch, (await block(engine)).epoch]
    epochs += [(await unblock(engine)).epoch, (await unblock(engine)).epoch]

    assert epochs == [1, 1, 2, 2]


async def test_a_dispute_shuts_at_once_and_two_disputes_are_two_blocks(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    disputes = [MoneyReference(kind=MoneyObject.DISPUTE, id=f"D-{n}") for n in (1, 2)]

    effects = [
        await hear(engine, event(None, id_=money.id, kind=EventKind.DISPUTE_OPENED, money=money))
        for money in disputes
    ]
    async with engine.begin() as conn:
        after = await blocks.unblock(
            conn, ORGANIZATION, Block.DISPUTE, "D-1", by="paypal", now=NOON
        )

    assert effects == [EventEffect.SHUT, EventEffect.NOTED]
    assert after is not None
    assert after.blocks == frozenset({Block.DISPUTE})


async def test_a_new_paid_subscription_takes_over_from_a_lapsed_one(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)
    await note_subscription(engine, "I-NEW")

    after = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(20)), id_="I-NEW")

    assert (after.status, after.blocks) == (Status.ACTIVE, frozenset())
    assert (await subscription(engine, "I-NEW")).is_current
    assert await hear(engine, event(State.CANCELED, NOON + minutes(30))) is EventEffect.OTHER


@pytest.mark.parametrize(
    "reported_state", [State.PENDING, State.PAUSED, State.SUSPENDED_NONPAYMENT, State.PAST_DUE]
)
async def test_a_new_subscription_that_is_not_paid_takes_over_from_nobody(
    engine: AsyncEngine, reported_state: State
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)
    await note_subscription(engine, "I-NEW")

    after = await confirm(engine, snapshot(reported_state, NOON + minutes(20)), id_="I-NEW")

    assert after.status is Status.SUSPENDED
    assert (await subscription(engine)).is_current


async def test_a_paid_subscription_takes_over_from_one_that_is_past_due_and_both_bill(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(State.PAST_DUE))
    await note_subscription(engine, "I-NEW")

    after = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(20)), id_="I-NEW")

    assert (await subscription(engine, "I-NEW")).is_current
    assert after.deadline is None
    assert await standing_alerts(engine) == {"two_subscriptions_bill"}


@pytest.mark.parametrize("current", [State.ACTIVE, State.TRIALING])
async def test_two_subscriptions_that_bill_are_an_alert_until_one_ends(
    engine: AsyncEngine, current: State
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(current))
    await note_subscription(engine, "I-NEW")

    await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(20)), id_="I-NEW")
    raised = await standing_alerts(engine)
    await confirm(engine, snapshot(State.CANCELED, NOON + minutes(30)), id_="I-NEW")

    assert raised == {"two_subscriptions_bill"}
    assert await standing_alerts(engine) == set()
    assert (await subscription(engine)).is_current


async def named_current(engine: AsyncEngine, id_: str, reported_state: State) -> None:
    """Like a switch that has not advanced."""
    noted = await note_subscription(engine, id_)
    async with engine.begin() as conn:
        await subscriptions.make_current(conn, noted)
    await confirm(engine, snapshot(reported_state, NOON + minutes(20)), id_=id_)


async def test_service_that_is_no_longer_billed_is_an_alert_until_it_is_billed(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(State.CANCELED, paid_until=NOON - DAY))
    suspended = await standing_alerts(engine)

    await named_current(engine, "I-NEW", State.PENDING)
    raised, served = await standing_alerts(engine), (await standing(engine)).status
    await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(30)), id_="I-NEW")

    assert (suspended, raised, served) == (set(), {"nobody_bills"}, Status.ACTIVE)
    assert await standing_alerts(engine) == set()


async def test_service_that_ends_needs_no_billing(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(State.CANCELED, paid_until=NOON - DAY))
    await named_current(engine, "I-NEW", State.PENDING)

    await block(engine)
    await confirm(engine, snapshot(State.PENDING, NOON + minutes(30)), id_="I-NEW")

    assert await standing_alerts(engine) == set()


@pytest.mark.parametrize("reported_state", [State.PAST_DUE, State.CANCELED, State.PENDING])
async def test_grace_paid_time_and_a_first_checkout_are_no_alert(
    engine: AsyncEngine, reported_state: State
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(reported_state, paid_until=NOON + DAY))

    await confirm(engine, snapshot(reported_state, NOON + minutes(20), paid_until=NOON + DAY))

    assert (await standing(engine)).status is Status.ACTIVE
    assert await standing_alerts(engine) == set()


@pytest.mark.parametrize(
    ("kind", "at", "status"),
    [
        (EventKind.SUSPENDED, NOON + minutes(1), Status.SUSPENDED),
        (EventKind.CANCELED, None, Status.SUSPENDED),
        (EventKind.SUSPENDED, NOON - minutes(1), Status.ACTIVE),
        (EventKind.CHANGED, NOON + minutes(1), Status.ACTIVE),
    ],
)
async def test_a_stale_answer_to_a_link_does_not_open_what_a_parked_delivery_has_closed(
    engine: AsyncEngine, kind: EventKind, at: datetime | None, status: Status
) -> None:
    await onboard(engine)
    await receive(engine, event(State.PAUSED, at, kind=kind))

    await subscribe(engine, provider_snapshot=snapshot(State.ACTIVE, NOON))

    assert (await standing(engine)).status is status


async def test_linking_twice_is_linking_once(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await subscribe(engine)

    async with engine.connect() as conn:
        found = await subscriptions.of_organization(conn, ORGANIZATION)
    assert [(row.id, row.is_current) for row in found] == [(SUBSCRIPTION, True)]


async def test_linking_another_makes_it_the_only_current_one(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, "I-1")
    await subscribe(engine, "I-2")

    async with engine.connect() as conn:
        found = await subscriptions.of_organization(conn, ORGANIZATION)
    assert [(row.id, row.is_current) for row in found] == [("I-2", True), ("I-1", False)]


async def test_linking_a_lapsed_subscription_suspends(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=snapshot(State.SUSPENDED_NONPAYMENT))

    assert (await standing(engine)).status is Status.SUSPENDED
    assert not (await wallet(engine)).gate_open


async def test_a_possibly_negative_event_without_a_state_queries_the_provider(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)

    assert await hear(engine, event(None)) is EventEffect.UNCLEAR
    assert await hear(engine, event(None), sure=True) is EventEffect.NOTED  # nobody answered
    assert await hear(engine, event(None, kind=EventKind.RESUMED)) is EventEffect.NOTED


async def test_an_event_of_no_known_organization_is_noted_and_changes_nothing(
    engine: AsyncEngine,
) -> None:
    assert await hear(engine, event()) is EventEffect.NOTED


async def test_an_unknown_organization_or_subscription_is_none(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        assert (
            await blocks.unblock(conn, "nobody", Block.ADMIN, "", by="operator", now=NOON) is None
        )
        assert await subscriptions.find(conn, Provider.STRIPE, "sub_1") is None
