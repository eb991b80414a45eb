"""Folding: a webhook may only close, the provider's answer may open, and the order of arrival decides nothing."""

from datetime import datetime, timedelta
from itertools import permutations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts, folding, subscriptions
from db.folding import Heard, Stale
from domain.events import BillingEvent, EventKind, MoneyObject, MoneyReference
from domain.standing import Block, Status
from domain.subscription import Provider, State
from tests.builders import (
    NOON,
    ORGANIZATION,
    SUBSCRIPTION,
    block,
    confirm,
    event,
    hear,
    minutes,
    note_subscription,
    onboard,
    receive,
    rows,
    settle,
    snapshot,
    standing,
    subscribe,
    subscription,
    unblock,
    wallet,
)

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


@pytest.mark.parametrize("order", [*permutations([SUSPENDED, PAID, ACTIVATED])])
async def test_every_order_of_suspended_paid_activated_ends_active(
    engine: AsyncEngine, order: tuple[BillingEvent, ...]
) -> None:
    await onboard(engine)
    await subscribe(engine)
    for told in order:
        await hear(engine, told)

    final = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(30)))

    assert (final.status, final.blocks) == (Status.ACTIVE, frozenset())
    assert await state(engine) is State.ACTIVE


@pytest.mark.parametrize("order", [*permutations([SUSPENDED, PAID, ACTIVATED])])
async def test_every_order_of_suspended_paid_activated_shuts_before_it_is_confirmed(
    engine: AsyncEngine, order: tuple[BillingEvent, ...]
) -> None:
    await onboard(engine)
    await subscribe(engine)

    heard = [await hear(engine, told) for told in order]

    assert heard[order.index(SUSPENDED)] is Heard.SHUT
    assert (await standing(engine)).status is Status.SUSPENDED
    assert not (await wallet(engine)).gate_open


@pytest.mark.parametrize("order", [*permutations([CREATED, ACTIVATED, PAID])])
async def test_every_order_of_created_activated_paid_ends_active_and_never_shuts(
    engine: AsyncEngine, order: tuple[BillingEvent, ...]
) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(State.PENDING, NOON))
    for told in order:
        await hear(engine, told)
        assert (await wallet(engine)).gate_open

    final = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(30)))

    assert (final.status, final.epoch) == (Status.ACTIVE, 0)
    assert await state(engine) is State.ACTIVE


async def test_the_gate_is_shut_in_the_transaction_that_hears_the_suspension(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)

    assert await hear(engine, SUSPENDED) is Heard.SHUT
    after = await standing(engine)
    assert (after.status, after.blocks, after.epoch) == (Status.SUSPENDED, frozenset({Block.NONPAYMENT}), 1)
    assert not (await wallet(engine)).gate_open
    [receipt] = await rows(engine, "SELECT status, cause FROM receipts")
    assert tuple(receipt) == ("suspended", "BILLING.SUSPENDED WH-suspended")


async def test_the_same_suspension_heard_again_changes_nothing(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)

    assert await hear(engine, SUSPENDED) is not Heard.SHUT
    assert (await standing(engine)).epoch == 1


async def test_an_older_event_changes_nothing(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(State.ACTIVE, NOON))

    assert await hear(engine, event(State.SUSPENDED_NONPAYMENT, NOON - minutes(1))) is Heard.OLD
    assert (await standing(engine)).epoch == 0
    assert await state(engine) is State.ACTIVE


@pytest.mark.parametrize("at", [NOON, None, NOON + timedelta(hours=1, minutes=5, microseconds=1)])
async def test_a_time_that_is_equal_missing_or_yet_to_come_is_unclear(engine: AsyncEngine, at: datetime | None) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(State.ACTIVE, NOON))
    told = event(State.SUSPENDED_NONPAYMENT, at)

    heard = await hear(engine, told, now=NOON + timedelta(hours=1))

    assert heard is Heard.UNCLEAR
    assert (await standing(engine)).status is Status.ACTIVE
    assert not (await receive(engine, told)).folded


async def test_clocks_may_be_five_minutes_apart(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)

    assert await hear(engine, event(at=NOON + minutes(5)), now=NOON) is Heard.SHUT


async def test_what_is_unclear_shuts_when_nobody_could_be_asked(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(State.ACTIVE, NOON))

    assert await hear(engine, event(State.SUSPENDED_NONPAYMENT, NOON), sure=True) is Heard.SHUT


async def test_even_then_what_is_older_changes_nothing(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(State.ACTIVE, NOON))

    assert await hear(engine, event(State.SUSPENDED_NONPAYMENT, NOON - minutes(1)), sure=True) is Heard.OLD
    assert (await standing(engine)).status is Status.ACTIVE


async def test_an_unknown_status_changes_nothing_and_alerts(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)

    heard = await hear(engine, event(State.UNKNOWN, raw_status="ON_HOLIDAY"))

    assert heard is Heard.NOTED
    assert (await standing(engine)).epoch == 0
    assert await state(engine) is State.ACTIVE
    assert await standing_alerts(engine) == {"unknown_status"}


async def test_an_unknown_answer_of_the_provider_changes_nothing_and_alerts(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)

    after = await confirm(engine, snapshot(State.UNKNOWN, raw_status="ON_HOLIDAY"))

    assert after.status is Status.ACTIVE
    assert await standing_alerts(engine) == {"unknown_status"}
    assert "ON_HOLIDAY" in ((await subscription(engine)).alert or "")


async def test_an_unknown_answer_does_not_lift_a_suspension(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)

    assert (await confirm(engine, snapshot(State.UNKNOWN))).status is Status.SUSPENDED


async def test_an_event_of_another_subscription_never_changes_the_standing(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await note_subscription(engine, "I-OLD")

    heard = await hear(engine, event(State.SUSPENDED_NONPAYMENT, NOON + minutes(1), subscription_id="I-OLD"))

    assert heard is Heard.OTHER
    assert (await standing(engine)).status is Status.ACTIVE


@pytest.mark.parametrize("told", [State.ACTIVE, State.TRIALING, State.PENDING, State.PAST_DUE])
async def test_a_webhook_never_lifts_a_block_nor_opens(engine: AsyncEngine, told: State) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)

    await hear(engine, event(told, NOON + minutes(40), id_="WH-later"), sure=True)

    assert (await standing(engine)).blocks == frozenset({Block.NONPAYMENT})
    assert not (await wallet(engine)).gate_open


async def test_a_webhook_that_cancels_what_was_suspended_opens_nothing(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(access_until=NOON + 30 * DAY))
    await hear(engine, SUSPENDED)

    await hear(engine, event(State.CANCELED, NOON + minutes(40)))

    assert (await standing(engine)).status is Status.SUSPENDED


async def test_a_confirmed_payment_lifts_the_block_but_the_gate_waits_for_its_step(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)

    after = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(20)))

    assert (after.status, after.epoch) == (Status.ACTIVE, 2)
    assert not (await wallet(engine)).gate_open


async def test_an_answer_older_than_a_webhooks_word_is_asked_for_again(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)
    older = snapshot(State.ACTIVE, NOON + minutes(9))

    with pytest.raises(Stale):
        await confirm(engine, older)

    assert (await standing(engine)).status is Status.SUSPENDED
    assert (await confirm(engine, older, accept_older=True)).status is Status.ACTIVE


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
    assert (due.status, due.blocks, due.deadline) == (Status.SUSPENDED, frozenset({Block.NONPAYMENT}), None)
    assert not (await wallet(engine)).gate_open


async def test_paying_in_between_clears_the_deadline(engine: AsyncEngine) -> None:
    await onboard(engine, grace=3 * DAY)
    await subscribe(engine)
    await hear(engine, event(State.PAST_DUE, NOON + minutes(10)))

    paid = await confirm(engine, snapshot(State.ACTIVE, NOON + DAY), now=NOON + DAY)
    later = await settle(engine, now=NOON + 90 * DAY)

    assert (paid.status, paid.deadline, paid.epoch) == (Status.ACTIVE, None, 0)
    assert later.status is Status.ACTIVE


async def test_the_next_failure_after_a_payment_has_a_grace_period_of_its_own(engine: AsyncEngine) -> None:
    await onboard(engine, grace=3 * DAY)
    await subscribe(engine)
    await hear(engine, event(State.PAST_DUE, NOON + minutes(10)))
    await confirm(engine, snapshot(State.ACTIVE, NOON + DAY), now=NOON + DAY)

    again = await confirm(engine, snapshot(State.PAST_DUE, NOON + 30 * DAY), now=NOON + 30 * DAY)

    assert again.deadline == NOON + 33 * DAY


async def test_what_was_canceled_keeps_access_until_it_is_paid_for(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(access_until=NOON + 10 * DAY))

    await hear(engine, event(State.CANCELED, NOON + minutes(1)))
    kept = await standing(engine)
    ended = await settle(engine, now=NOON + 10 * DAY, may_open=False)

    assert (kept.status, kept.deadline) == (Status.ACTIVE, NOON + 10 * DAY)
    assert (ended.status, ended.blocks) == (Status.SUSPENDED, frozenset({Block.CANCELED}))


async def test_what_was_canceled_without_a_paid_through_time_ends_at_once(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)

    assert await hear(engine, event(State.CANCELED, NOON + minutes(1))) is Heard.SHUT


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

    heard = [
        await hear(engine, event(None, id_=money.id, kind=EventKind.DISPUTE_OPENED, money=money)) for money in disputes
    ]
    async with engine.begin() as conn:
        after = await folding.unblock(conn, ORGANIZATION, Block.DISPUTE, "D-1", by="paypal", now=NOON)

    assert heard == [Heard.SHUT, Heard.NOTED]
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
    assert await hear(engine, event(State.CANCELED, NOON + minutes(30))) is Heard.OTHER


@pytest.mark.parametrize("told", [State.PENDING, State.PAUSED, State.SUSPENDED_NONPAYMENT, State.PAST_DUE])
async def test_a_new_subscription_that_is_not_paid_takes_over_from_nobody(engine: AsyncEngine, told: State) -> None:
    await onboard(engine)
    await subscribe(engine)
    await hear(engine, SUSPENDED)
    await note_subscription(engine, "I-NEW")

    after = await confirm(engine, snapshot(told, NOON + minutes(20)), id_="I-NEW")

    assert after.status is Status.SUSPENDED
    assert (await subscription(engine)).is_current


async def test_a_paid_subscription_takes_over_from_one_that_is_past_due_and_both_bill(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(State.PAST_DUE))
    await note_subscription(engine, "I-NEW")

    after = await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(20)), id_="I-NEW")

    assert (await subscription(engine, "I-NEW")).is_current
    assert after.deadline is None
    assert await standing_alerts(engine) == {"two_subscriptions_bill"}


@pytest.mark.parametrize("current", [State.ACTIVE, State.TRIALING])
async def test_two_subscriptions_that_bill_are_an_alert_until_one_ends(engine: AsyncEngine, current: State) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(current))
    await note_subscription(engine, "I-NEW")

    await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(20)), id_="I-NEW")
    raised = await standing_alerts(engine)
    await confirm(engine, snapshot(State.CANCELED, NOON + minutes(30)), id_="I-NEW")

    assert raised == {"two_subscriptions_bill"}
    assert await standing_alerts(engine) == set()
    assert (await subscription(engine)).is_current


async def named_current(engine: AsyncEngine, id_: str, told: State) -> None:
    """As a migration does that has not moved on."""
    noted = await note_subscription(engine, id_)
    async with engine.begin() as conn:
        await subscriptions.make_current(conn, noted)
    await confirm(engine, snapshot(told, NOON + minutes(20)), id_=id_)


async def test_service_for_which_nobody_bills_any_more_is_an_alert_until_somebody_does(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(State.CANCELED, access_until=NOON - DAY))
    suspended = await standing_alerts(engine)

    await named_current(engine, "I-NEW", State.PENDING)
    raised, served = await standing_alerts(engine), (await standing(engine)).status
    await confirm(engine, snapshot(State.ACTIVE, NOON + minutes(30)), id_="I-NEW")

    assert (suspended, raised, served) == (set(), {"nobody_bills"}, Status.ACTIVE)
    assert await standing_alerts(engine) == set()


async def test_service_that_ends_needs_nobody_to_bill_for_it(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(State.CANCELED, access_until=NOON - DAY))
    await named_current(engine, "I-NEW", State.PENDING)

    await block(engine)
    await confirm(engine, snapshot(State.PENDING, NOON + minutes(30)), id_="I-NEW")

    assert await standing_alerts(engine) == set()


@pytest.mark.parametrize("told", [State.PAST_DUE, State.CANCELED, State.PENDING])
async def test_grace_paid_time_and_a_first_checkout_are_no_alert(engine: AsyncEngine, told: State) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(told, access_until=NOON + DAY))

    await confirm(engine, snapshot(told, NOON + minutes(20), access_until=NOON + DAY))

    assert (await standing(engine)).status is Status.ACTIVE
    assert await standing_alerts(engine) == set()


async def test_linking_twice_is_linking_once(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await subscribe(engine)

    async with engine.connect() as conn:
        found = await subscriptions.of_organization(conn, ORGANIZATION)
    assert [(one.id, one.is_current) for one in found] == [(SUBSCRIPTION, True)]


async def test_linking_another_makes_it_the_only_current_one(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, "I-1")
    await subscribe(engine, "I-2")

    async with engine.connect() as conn:
        found = await subscriptions.of_organization(conn, ORGANIZATION)
    assert [(one.id, one.is_current) for one in found] == [("I-2", True), ("I-1", False)]


async def test_linking_a_lapsed_subscription_suspends(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, told=snapshot(State.SUSPENDED_NONPAYMENT))

    assert (await standing(engine)).status is Status.SUSPENDED
    assert not (await wallet(engine)).gate_open


async def test_an_event_that_tells_no_state_is_noted(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)

    assert await hear(engine, event(None)) is Heard.NOTED
    assert (await receive(engine, event(None))).outcome == Heard.NOTED.value


async def test_what_belongs_to_nobody_yet_is_noted_and_changes_nothing(engine: AsyncEngine) -> None:
    assert await hear(engine, event()) is Heard.NOTED


async def test_nobody_there_is_an_answer(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        assert await folding.unblock(conn, "nobody", Block.ADMIN, "", by="operator", now=NOON) is None
        assert await subscriptions.find(conn, Provider.STRIPE, "sub_1") is None
