"""The locks, each shown by a test that fails when the lock is removed."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.billing import blocks, decisions, payments, receivables, reversals
from db.campaigns import campaigns, parked_campaigns, readings, reservations, transitions, windows
from db.campaigns.campaigns import Campaign
from db.campaigns.messages import Message
from db.campaigns.readings import Reading
from db.campaigns.send_results import Reply
from db.inbox import adoption, deliveries, pending_deliveries
from db.lifecycle import standings, unnotified
from db.wallet import gates, holds, seals, wallets
from domain.billing.events import MoneyObject, MoneyReference, Payment, PaymentStatus, Reversal
from domain.billing.subscription import Provider, State
from domain.campaigns.campaign import Act, MessageStatus, Next
from domain.campaigns.telephony import DeliveryStatus
from domain.money import Money
from domain.wallet.entries import credit, debit, refund
from domain.wallet.holds import Hold
from domain.wallet.ledger import Debited, Frozen, InsufficientFunds, Suspended
from runtime.coalescer import Coalescer
from tests.builders import (
    NO_RECEIPT,
    NOON,
    ORGANIZATION,
    accepted,
    admin_block,
    apply,
    balance,
    begin_window,
    block,
    broken_claims,
    callback,
    campaign,
    checks,
    confirm,
    event,
    freeze,
    freeze_of,
    given_back,
    hand_over,
    hear,
    listed,
    message_now,
    number,
    onboard,
    open_gate,
    open_gate_of,
    park,
    post,
    post_one,
    reserve,
    resume,
    rows,
    send_one,
    settle_replies,
    shut_gate,
    sid_of,
    snapshot,
    standing,
    subscribe,
    unblock,
    unfreeze,
    until_it_waits_for,
    usd,
    wallet,
)
from tests.soak import seeds

Shut = Callable[[AsyncEngine], Awaitable[object]]


async def freeze_for_suspension(engine: AsyncEngine) -> None:
    await freeze(engine)


async def freeze_by_operator(engine: AsyncEngine) -> None:
    await freeze(engine, by_operator=True)


async def test_ten_concurrent_debits_never_overdraw(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10.00")

    outcomes = await asyncio.gather(
        *(post_one(engine, debit(f"k{n}", usd("3"))) for n in range(10))
    )

    assert sum(isinstance(outcome, Debited) for outcome in outcomes) == 3
    assert sum(isinstance(outcome, InsufficientFunds) for outcome in outcomes) == 7
    assert await balance(engine) == usd("1")


async def test_concurrent_lists_of_more_than_the_balance_take_all_of_it_and_no_more(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="1.00")

    outcomes = await asyncio.gather(
        *(post(engine, *(debit(f"{n}-{m}", usd("0.01")) for m in range(10))) for n in range(20))
    )

    assert sum(isinstance(outcome, Debited) for some in outcomes for outcome in some) == 100
    assert await balance(engine) == usd("0")
    assert await broken_claims(engine) == set()


async def test_one_reference_requested_many_times_at_once_is_booked_once(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)

    outcomes = await asyncio.gather(*(post_one(engine, debit("same", usd("1"))) for _ in range(20)))

    assert all(isinstance(outcome, Debited) for outcome in outcomes)
    assert sum(isinstance(outcome, Debited) and not outcome.replayed for outcome in outcomes) == 1
    assert await balance(engine) == usd("9")


async def test_one_debit_refunded_by_many_at_once_is_refunded_once(engine: AsyncEngine) -> None:
    await onboard(engine)
    await post(engine, debit("d", usd("4")))

    await asyncio.gather(*(post_one(engine, refund(f"r{n}", "d", usd("4"))) for n in range(10)))

    assert await balance(engine) == usd("10")


@pytest.mark.parametrize("close", [shut_gate, freeze_for_suspension, freeze_by_operator])
async def test_a_debit_waits_for_a_gate_that_is_being_shut_and_is_refused(
    engine: AsyncEngine, close: Shut
) -> None:
    await onboard(engine)
    async with engine.begin() as conn:
        if close is shut_gate:
            await gates.shut_gate(conn, ORGANIZATION, epoch=1, cause="test")
        else:
            by_operator = close is freeze_by_operator
            await gates.freeze(conn, ORGANIZATION, epoch=1, cause="test", by_operator=by_operator)
        task = asyncio.create_task(post_one(engine, debit("d", usd("1"))))
        await until_it_waits_for(engine, conn, task)

    assert isinstance(await task, Suspended | Frozen)
    assert await balance(engine) == usd("10")


@pytest.mark.parametrize("close", [shut_gate, freeze_for_suspension, freeze_by_operator, block])
async def test_a_gate_waits_for_a_debit_that_has_the_wallet_and_shuts_behind_it(
    engine: AsyncEngine, close: Shut
) -> None:
    await onboard(engine)
    async with engine.begin() as conn:
        await wallets.post(conn, ORGANIZATION, [debit("d", usd("1"))])
        shutting = asyncio.ensure_future(close(engine))
        assert isinstance(shutting, asyncio.Task)
        await until_it_waits_for(engine, conn, shutting)
    await shutting

    [change] = await rows(engine, "SELECT after_seq FROM gate_changes")
    assert change.after_seq == 2
    assert await broken_claims(engine) <= NO_RECEIPT


@pytest.mark.parametrize("close", [shut_gate, freeze_for_suspension, freeze_by_operator, block])
async def test_no_debit_commits_after_the_gate_that_shut_among_many(
    engine: AsyncEngine, close: Shut
) -> None:
    await onboard(engine)

    async def closing() -> None:
        await post_one(engine, credit("meanwhile", usd("1")))
        await close(engine)

    debits = (post_one(engine, debit(f"d{n}", usd("0.01"))) for n in range(60))
    outcomes, _ = await asyncio.gather(asyncio.gather(*debits), closing())

    [change] = await rows(engine, "SELECT after_seq FROM gate_changes")
    booked = [1, *(outcome.entry.seq for outcome in outcomes if isinstance(outcome, Debited))]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Suspended | Frozen)]
    assert max(booked) <= change.after_seq
    assert len(booked) + len(refused) == 61
    assert await broken_claims(engine) <= NO_RECEIPT


async def test_shutting_and_opening_again_and_again_leaves_no_debit_in_between(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)

    async def flapping() -> None:
        for _ in range(15):
            await block(engine)
            await unblock(engine)
            await open_gate(engine)
            await freeze(engine, by_operator=True)
            await unfreeze(engine)

    async def debits(name: int) -> None:
        for n in range(25):
            await post_one(engine, debit(f"{name}-{n}", usd("0.01")))

    await asyncio.gather(flapping(), *(debits(name) for name in range(6)))

    assert await number(engine, "SELECT count(*) FROM gate_changes WHERE change = 'shut'") == 15
    assert await broken_claims(engine) == set()


async def test_a_window_waits_for_a_gate_that_is_being_shut_and_is_refused(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    await reserve(engine, sending)
    async with engine.begin() as conn:
        await gates.shut_gate(conn, ORGANIZATION, epoch=1, cause="test")
        task = asyncio.create_task(begin_window(engine, sending))
        await until_it_waits_for(engine, conn, task)

    assert await task is None
    assert await number(engine, "SELECT count(*) FROM messages WHERE status = 'reserved'") == 5


async def test_a_gate_waits_for_a_window_that_is_being_marked(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    await reserve(engine, sending)
    async with engine.begin() as conn:
        window = await windows.next_window(
            conn, ORGANIZATION, sending.id, (), limit=5, now=datetime.now(UTC)
        )
        shutting = asyncio.create_task(shut_gate(engine))
        await until_it_waits_for(engine, conn, shutting)
    await shutting

    assert window is not None
    assert len(window) == 5
    assert await broken_claims(engine) == set()


async def test_two_senders_of_one_campaign_never_hold_the_same_message(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=6)
    await reserve(engine, sending)
    async with engine.begin() as conn:
        first = await windows.next_window(
            conn, ORGANIZATION, sending.id, (), limit=4, now=datetime.now(UTC)
        )
        other = asyncio.create_task(begin_window(engine, sending, limit=4))
        await until_it_waits_for(engine, conn, other)
    second = await other

    assert first is not None
    assert second is not None
    assert [message.position for message in first] == [1, 2, 3, 4]
    assert [message.position for message in second] == [5, 6]


async def test_a_campaign_that_a_person_is_pausing_hands_nothing_more_over(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    await reserve(engine, sending)
    async with engine.begin() as conn:
        locked = await campaigns.lock(conn, ORGANIZATION, sending.id)
        assert locked is not None
        await transitions.change(conn, locked, Act.PAUSE, by=transitions.PERSON, reason="asked")
        task = asyncio.create_task(begin_window(engine, sending))
        await until_it_waits_for(engine, conn, task)

    assert await task is None


async def test_one_message_requested_many_times_at_once_is_paid_for_once(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)

    messages = await asyncio.gather(*(send_one(engine, "same key") for _ in range(10)))

    assert len({message.id for message in messages}) == 1
    assert await balance(engine) == usd("9.99")


async def test_two_reservations_at_once_pay_for_each_message_once(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=10)

    batches = await asyncio.gather(*(reserve(engine, sending) for _ in range(5)))

    assert {batch.next for batch in batches} == {Next.SEND}
    assert {batch.reserved for batch in batches} == {10}
    assert await balance(engine) == usd("9.90")


async def test_decisions_about_one_organization_are_taken_one_after_the_other(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    async with engine.begin() as conn:
        await blocks.block(conn, ORGANIZATION, admin_block(), now=NOON)
        other = asyncio.create_task(unblock(engine))
        await until_it_waits_for(engine, conn, other)
    await other

    assert (await standing(engine)).epoch == 2
    assert not (await wallet(engine)).gate_open


class Storm:
    """Everything that takes a lock, concurrently and in any order, on one organization."""

    def __init__(self, engine: AsyncEngine, sending: list[Campaign], seed: int) -> None:
        self.engine = engine
        self.sending = sending
        self.random = random.Random(seed)
        self.sent: list[Message] = []
        self.count = 0
        self.coalescer = Coalescer(engine)

    def next_name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    async def credits(self) -> None:
        await post(self.engine, credit(self.next_name(), usd("0.20")))

    async def debits(self) -> None:
        first, second = self.next_name(), self.next_name()
        await post(
            self.engine,
            debit(first, usd("0.01")),
            debit(second, usd("0.02")),
            refund("r" + first, first, usd("0.01")),
        )

    async def debits_with_others(self) -> None:
        postings = [debit(self.next_name(), usd("0.01")), credit(self.next_name(), usd("0.01"))]
        await asyncio.gather(
            *(self.coalescer.post(name, postings) for name in ("another", ORGANIZATION))
        )

    async def debits_many_wallets(self) -> None:
        postings = [debit(self.next_name(), usd("0.01"))]
        async with self.engine.begin() as conn:
            await wallets.post_all(conn, dict.fromkeys((ORGANIZATION, "another"), postings))

    async def holds(self) -> None:
        name = self.next_name()
        ends = self.random.choice([NOON + timedelta(hours=1), NOON + timedelta(days=1)])
        hold = Hold(reference_id=name, amount=usd("0.03"), expires_at=ends)
        async with self.engine.begin() as conn:
            await holds.reserve(conn, ORGANIZATION, hold, now=NOON)
        async with self.engine.begin() as conn:
            if self.random.random() < 0.5:
                await holds.capture(conn, ORGANIZATION, name, usd("0.02").micros, now=NOON)
            else:
                await holds.release(conn, ORGANIZATION, name, now=NOON)

    async def expires(self) -> None:
        async with self.engine.begin() as conn:
            await holds.expire(conn, ORGANIZATION, now=NOON + timedelta(hours=2))

    async def seals(self) -> None:
        async with self.engine.begin() as conn:
            await seals.seal(conn)

    async def tops_up(self) -> None:
        """Each payment is booked twice concurrently; some are reversed, fully or in part, twice
        concurrently, and some of these reversals returned.
        """
        name = self.next_name()
        reference = MoneyReference(kind=MoneyObject.CAPTURE, id=name)
        paid = Payment(reference=reference, status=PaymentStatus.COMPLETED, amount=usd("0.30"))
        await asyncio.gather(*(self._book(paid) for _ in range(2)))
        if self.random.random() < 0.6:
            amount = usd(self.random.choice(["0.10", "0.30"]))
            await asyncio.gather(*(self._take_back(name, amount, stands=True) for _ in range(2)))
        if self.random.random() < 0.3:
            await asyncio.gather(
                *(self._take_back(name, usd("0.10"), stands=False) for _ in range(2))
            )

    async def _book(self, paid: Payment) -> None:
        async with self.engine.begin() as conn:
            await payments.book_topup(conn, ORGANIZATION, Provider.PAYPAL, paid, now=NOON)

    async def _take_back(self, payment_id: str, amount: Money, *, stands: bool) -> None:
        reversal = Reversal(
            id=f"r-{payment_id}",
            what="dispute",
            payment_id=payment_id,
            amount=amount,
            stands=stands,
        )
        async with self.engine.begin() as conn:
            await reversals.book(conn, ORGANIZATION, Provider.PAYPAL, reversal, now=NOON)

    async def covers(self) -> None:
        async with self.engine.begin() as conn:
            await receivables.recover(conn, ORGANIZATION, now=NOON)

    async def suspends(self) -> None:
        await block(self.engine)
        async with self.engine.begin() as conn:
            locked_standing = await standings.lock(conn, ORGANIZATION)
            if locked_standing is not None and locked_standing.blocks:
                await freeze_of(conn, locked_standing)
        await park(self.engine)

    async def reactivates(self) -> None:
        await unblock(self.engine)
        await self.confirms()
        await self._open()
        await resume(self.engine)

    async def _open(self) -> None:
        async with self.engine.begin() as conn:
            locked_standing = await standings.lock(conn, ORGANIZATION)
            if locked_standing is not None and not locked_standing.blocks:
                await open_gate_of(conn, locked_standing)

    async def reserves(self) -> None:
        await reserve(self.engine, self.random.choice(self.sending), limit=7)

    async def hands_over(self) -> None:
        window = await begin_window(self.engine, self.random.choice(self.sending), limit=5)
        if window:
            await settle_replies(self.engine, *(self._reply(message) for message in window))
            self.sent += window

    def _reply(self, message: Message) -> Reply:
        status = self.random.choice(
            [
                *[MessageStatus.ACCEPTED] * 6,
                MessageStatus.REFUSED,
                MessageStatus.UNKNOWN,
                MessageStatus.PENDING,
            ]
        )
        return (
            accepted(message)
            if status is MessageStatus.ACCEPTED
            else Reply(message=message, status=status)
        )

    async def releases(self) -> None:
        sending = self.random.choice(self.sending)
        async with self.engine.begin() as conn:
            await windows.release(conn, ORGANIZATION, sending.id)

    async def calls_back(self) -> None:
        if self.sent:
            message = self.random.choice(self.sent)
            status_callback = self.random.choice(
                [given_back(message), callback(message), callback(message, DeliveryStatus.SENT)]
            )
            await apply(self.engine, status_callback)
            if due := await checks(self.engine):
                failed = {
                    sid_of(sent_message): listed(
                        sent_message, DeliveryStatus.FAILED, error_code=30002
                    )
                    for sent_message in self.sent
                }
                read = [Reading(check=check, sent=failed.get(check.message_sid)) for check in due]
                async with self.engine.begin() as conn:
                    await readings.apply(conn, ORGANIZATION, read, now=datetime.now(UTC))

    async def resolves(self) -> None:
        for message in self.random.sample(self.sent, min(3, len(self.sent))):
            if (now := await message_now(self.engine, message)).status is MessageStatus.UNKNOWN:
                await settle_replies(self.engine, Reply(message=now, status=MessageStatus.LOST))

    async def marks_unanswered(self) -> None:
        async with self.engine.begin() as conn:
            await windows.mark_unanswered(conn, ORGANIZATION, self.random.choice(self.sending).id)

    async def sends_message(self) -> None:
        async with self.engine.begin() as conn:
            await reservations.pay_for_one(
                conn,
                ORGANIZATION,
                recipient="+1",
                body="b",
                segments=1,
                price=usd("0.01"),
                key=self.next_name(),
            )

    async def hears(self) -> None:
        state = self.random.choice(
            [State.SUSPENDED_NONPAYMENT, State.ACTIVE, State.ACTIVE, State.ACTIVE]
        )
        self.count += 1
        billing_event = event(state, NOON + timedelta(seconds=self.count), id_=f"WH-{self.count}")
        await asyncio.gather(*(hear(self.engine, billing_event) for _ in range(2)))

    async def confirms(self) -> None:
        self.count += 1
        at = NOON + timedelta(seconds=self.count)
        await confirm(self.engine, snapshot(State.ACTIVE, at), now=at)

    async def relays(self) -> None:
        async with self.engine.begin() as conn:
            await adoption.adopt(conn, now=NOON + timedelta(days=9000))
            await unnotified.organizations(conn, now=NOON + timedelta(days=9000), limit=5)
        async with self.engine.begin() as conn:
            found = await pending_deliveries.unhandled(conn, ORGANIZATION)
            await decisions.settle(conn, ORGANIZATION, now=NOON, cause="storm", may_open=True)
            await deliveries.mark_handled(conn, [row.id for row in found])
            await parked_campaigns.resume_eligible(conn, ORGANIZATION, now=NOON)


DEEDS = {
    Storm.credits: 1, Storm.debits: 2, Storm.suspends: 1, Storm.reactivates: 6, Storm.reserves: 6, Storm.hands_over: 6,
    Storm.releases: 1, Storm.calls_back: 6, Storm.resolves: 1, Storm.marks_unanswered: 1, Storm.sends_message: 1,
    Storm.hears: 2, Storm.confirms: 1, Storm.relays: 1, Storm.debits_with_others: 2, Storm.debits_many_wallets: 1,
    Storm.holds: 2, Storm.expires: 1, Storm.seals: 1, Storm.tops_up: 3, Storm.covers: 2,
}  # fmt: skip


@pytest.mark.parametrize("seed", seeds(1, soaking=20))
async def test_everything_at_once_on_one_organization_neither_deadlocks_nor_breaks_a_claim(
    engine: AsyncEngine, seed: int
) -> None:
    await onboard(engine, balance="3.00")
    await onboard(engine, "another", balance="100.00")
    await subscribe(engine)
    sending = [await campaign(engine, name=name, messages=150) for name in ("one", "two")]
    storm = Storm(engine, sending, seed)

    async def worker() -> None:
        for deed in storm.random.choices([*DEEDS], [*DEEDS.values()], k=30):
            await deed(storm)

    await asyncio.gather(*(worker() for _ in range(16)))

    assert storm.sent
    assert await number(engine, "SELECT count(*) FROM reversals") > 0
    assert await broken_claims(engine) == set()


async def test_organizations_do_not_wait_for_one_another(engine: AsyncEngine) -> None:
    await onboard(engine, "slow")
    await onboard(engine, "quick")
    async with engine.begin() as conn:
        await wallets.lock(conn, "slow")

        outcome = await asyncio.wait_for(
            post_one(engine, debit("d", usd("1")), organization_id="quick"), 4
        )

    assert isinstance(outcome, Debited)


async def test_two_senders_hand_over_a_whole_campaign_once(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=120)
    await reserve(engine, sending, limit=120)
    seen: list[str] = []

    async def sender() -> None:
        while window := await begin_window(engine, sending, limit=5):
            seen.extend(message.attempt_id for message in window)

    await asyncio.gather(*(sender() for _ in range(6)))

    assert len(seen) == len(set(seen)) == 120
    assert not await begin_window(engine, sending)


async def test_a_sent_message_is_refunded_once_no_matter_how_often_twilio_reports_its_failure(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    await settle_replies(engine, accepted(message))

    await apply(engine, given_back(message))
    due = await checks(engine)
    read = [
        Reading(check=check, sent=listed(message, DeliveryStatus.FAILED, error_code=30002))
        for check in due
    ]

    async def reads() -> None:
        async with engine.begin() as conn:
            await readings.apply(conn, ORGANIZATION, read, now=datetime.now(UTC))

    await asyncio.gather(*(reads() for _ in range(10)))

    assert await balance(engine) == usd("10")
    assert (await message_now(engine, message)).status is MessageStatus.PENDING


async def test_answers_that_come_in_any_order_at_once_do_not_deadlock(engine: AsyncEngine) -> None:
    await onboard(engine)
    window = await hand_over(engine, await campaign(engine, messages=20))
    shuffle = random.Random(1).sample

    async def answers() -> None:
        for _ in range(10):
            unknown = [
                Reply(message=message, status=MessageStatus.UNKNOWN)
                for message in shuffle(window, 20)
            ]
            assert await settle_replies(engine, *unknown) == 20

    await asyncio.gather(*(answers() for _ in range(8)))

    assert await broken_claims(engine) == set()


async def test_a_suspension_that_holds_the_wallet_waits_for_no_campaign(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    await park(engine)
    async with engine.begin() as callback_at_work:
        await campaigns.lock(callback_at_work, ORGANIZATION, sending.id)
        async with engine.begin() as conn:
            await standings.lock(conn, ORGANIZATION)
            await standings.place_block(conn, ORGANIZATION, admin_block())
            await decisions.settle(conn, ORGANIZATION, now=NOON, cause="test", may_open=True)
            resumed = await parked_campaigns.resume_eligible(conn, ORGANIZATION, now=NOON)
        await wallets.lock(callback_at_work, ORGANIZATION)

    assert resumed == []
    assert not (await wallet(engine)).gate_open
