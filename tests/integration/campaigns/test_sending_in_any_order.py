"""Sending in a random order of events: whatever a sender, people, a suspension and Twilio do, the
totals match.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.campaigns.twilio_lookup import reply_to
from db.campaigns import campaigns, messages, readings, resends, transitions, windows
from db.campaigns.campaigns import Campaign
from db.campaigns.messages import Message
from db.campaigns.readings import Reading
from db.campaigns.send_results import Reply
from db.campaigns.transitions import PERSON
from db.lifecycle import standings
from domain.campaigns import delivery_failure
from domain.campaigns.campaign import Act, CampaignStatus, MessageStatus
from domain.campaigns.telephony import DeliveryStatus, SentMessage
from domain.lifecycle.standing import Status
from tests.builders import (
    ONE_CENT,
    ORGANIZATION,
    accepted,
    apply,
    balance,
    block,
    broken_claims,
    callback,
    campaign,
    campaign_now,
    checks,
    listed,
    onboard,
    open_gate_of,
    park,
    reserve,
    resume,
    rows,
    settle_replies,
    sid_of,
    subscribe,
    unblock,
    wallet,
)
from tests.soak import seeds

MESSAGES, STEPS = 15, 80
RUNNING, PARKED, PAUSED = CampaignStatus.RUNNING, CampaignStatus.PARKED, CampaignStatus.PAUSED
CANCELED, COMPLETED = CampaignStatus.CANCELED, CampaignStatus.COMPLETED
Word = tuple[DeliveryStatus, int | None]
QUEUED, SENT = (DeliveryStatus.QUEUED, None), (DeliveryStatus.SENT, None)
DELIVERED: list[Word] = [QUEUED, SENT, (DeliveryStatus.DELIVERED, None)]
JOURNEYS: list[list[Word]] = [
    DELIVERED,
    DELIVERED,
    [QUEUED, (DeliveryStatus.FAILED, 30002)],
    [SENT, (DeliveryStatus.FAILED, 30008)],
    [SENT, (DeliveryStatus.UNDELIVERED, 30003)],
    [SENT, (DeliveryStatus.UNDELIVERED, 21610)],
]
"""The statuses of a message that Twilio accepted, in this order; the last one is final."""
ANSWERS = {
    "taken": 50,
    "taken, unanswered": 20,
    "unanswered": 10,
    "429": 10,
    "21610": 4,
    "21211": 8,
    "20005": 8,
}
"""The weight of this result of a POST."""
PAID = """
    SELECT m.id, m.recipient, m.campaign_id, m.status, m.attempt,
           (SELECT coalesce(-sum(amount_micros), 0) FROM ledger_entries e
            WHERE split_part(coalesce(e.refunds, e.reference_id), ':', 2) = m.id::text) AS paid
    FROM messages m
"""


@dataclass(slots=True)
class Taken:
    """A message at Twilio, with its progress."""

    message: Message
    journey: list[Word]
    at: int = 0

    @property
    def costs(self) -> bool:
        """Whether the customer pays for a message with this end."""
        return not delivery_failure.refunded(*self.journey[-1])


def _sent(taken: Taken) -> SentMessage:
    status, code = taken.journey[taken.at]
    return listed(taken.message, status, error_code=code)


@dataclass(slots=True)
class Play:
    engine: AsyncEngine
    chance: Random
    both: list[Campaign]
    answers: list[Reply] = field(default_factory=list)
    taken: dict[str, Taken] = field(default_factory=dict)
    sent_again: Counter[object] = field(default_factory=Counter)
    calm: bool = False
    days: int = 0
    lines: list[str] = field(default_factory=list)

    def any_campaign(self) -> Campaign:
        return self.chance.choice(self.both)

    async def reserve(self) -> None:
        await reserve(self.engine, self.any_campaign(), limit=self.chance.randint(1, 6))

    async def hand_over(self) -> None:
        of = self.any_campaign()
        await self._window(of, self._some_answers(of), limit=self.chance.randint(1, 5))

    async def _window(self, of: Campaign, replies: list[Reply], *, limit: int) -> None:
        async with self.engine.begin() as conn:
            window = await windows.next_window(
                conn, ORGANIZATION, of.id, replies, limit=limit, now=datetime.now(UTC)
            )
        self.answers += [self._post(message) for message in window or ()]

    def _post(self, message: Message) -> Reply:
        answer = "taken" if self.calm else self.chance.choices([*ANSWERS], [*ANSWERS.values()])[0]
        self.lines.append(f"{message.attempt_id}: {answer}")
        if answer.startswith("taken"):
            assert message.attempt_id not in self.taken
            journey = DELIVERED if self.calm else self.chance.choice(JOURNEYS)
            self.taken[message.attempt_id] = Taken(message, journey)
        if answer == "taken":
            return accepted(message)
        if answer == "429":
            return Reply(message=message, status=MessageStatus.RESERVED)
        if answer.endswith("unanswered"):
            return Reply(message=message, status=MessageStatus.UNKNOWN)
        status = MessageStatus.PENDING if answer == "20005" else MessageStatus.REFUSED
        return Reply(message=message, status=status, error_code=int(answer))

    def _some_answers(self, of: Campaign | None = None) -> list[Reply]:
        """The callbacks arrive, and are not repeated."""
        coming = [
            answer for answer in self.answers if of is None or answer.message.campaign_id == of.id
        ]
        some = (
            coming if self.calm else self.chance.sample(coming, self.chance.randint(0, len(coming)))
        )
        self.answers = [answer for answer in self.answers if answer not in some]
        return some

    async def answer(self) -> None:
        await settle_replies(self.engine, *self._some_answers())

    async def die(self) -> None:
        """A sender dies with its unsaved answers, or is only presumed dead; its successor begins."""
        of = self.any_campaign()
        if self.chance.random() < 0.7:
            self.answers = [
                answer for answer in self.answers if answer.message.campaign_id != of.id
            ]
        async with self.engine.begin() as conn:
            await windows.mark_unanswered(conn, ORGANIZATION, of.id)

    async def settle_batch(self, of: Campaign | None = None) -> None:
        async with self.engine.begin() as conn:
            await windows.release(conn, ORGANIZATION, (of or self.any_campaign()).id)

    async def call_back(self) -> None:
        """Twilio advances some messages, and reports any stage that they reached."""
        for name in self.chance.sample(sorted(self.taken), min(3, len(self.taken))):
            taken = self.taken[name]
            taken.at = min(taken.at + self.chance.randint(0, 1), len(taken.journey) - 1)
            await self._say(taken, self.chance.randint(0, taken.at))

    async def _say(self, taken: Taken, stage: int) -> None:
        status, code = taken.journey[stage]
        outcome = await apply(self.engine, callback(taken.message, status, error_code=code))
        self.lines.append(f"{taken.message.attempt_id}: {status} {code}, {outcome}")

    async def read(self) -> None:
        """Messages with doubtful callbacks are read at Twilio; if only a callback names the
        message, it is looked up. Each time it is a day later: what was read before is due again.
        """
        self.days += 1
        due = await checks(self.engine, now=datetime.now(UTC) + timedelta(days=self.days))
        by_sid = {sid_of(taken.message): taken for taken in self.taken.values()}
        read = [Reading(check=check, sent=_sent(by_sid[check.message_sid])) for check in due]
        async with self.engine.begin() as conn:
            outcome = await readings.apply(conn, ORGANIZATION, read, now=datetime.now(UTC))
        for id_ in outcome.look_up:
            async with self.engine.connect() as conn:
                found = await messages.get(conn, ORGANIZATION, id_)
            if found is not None and found.is_taken_on_trust:
                async with self.engine.begin() as conn:
                    await readings.settle(conn, ORGANIZATION, [self._listed(found)])

    async def look_up(self) -> None:
        """A quarter of an hour later: every sender has recorded its answers, or is dead."""
        on_their_way = {answer.message.attempt_id for answer in self.answers}
        async with self.engine.connect() as conn:
            waiting = await messages.in_status(conn, ORGANIZATION, MessageStatus.SENDING)
            waiting += await messages.in_status(conn, ORGANIZATION, MessageStatus.UNKNOWN)
        for message in waiting:
            if message.attempt_id not in on_their_way:
                await settle_replies(self.engine, self._listed(message))

    def _listed(self, message: Message) -> Reply:
        taken = self.taken.get(message.attempt_id)
        if taken is None:
            return Reply(message=message, status=MessageStatus.LOST)
        return reply_to(message, _sent(taken))

    async def pause(self) -> None:
        await self._change(self.any_campaign(), Act.PAUSE, RUNNING, PARKED)

    async def go_on(self) -> None:
        if (await wallet(self.engine)).pays:
            await self._change(self.any_campaign(), Act.RESUME, PAUSED, PARKED)

    async def cancel(self) -> None:
        if self.chance.random() < 0.1:
            await self._change(self.any_campaign(), Act.CANCEL, RUNNING, PAUSED, PARKED)

    async def _change(self, of: Campaign, act: Act, *allowed: CampaignStatus) -> None:
        async with self.engine.begin() as conn:
            await standings.lock(conn, ORGANIZATION)
            locked = await campaigns.lock(conn, ORGANIZATION, of.id)
            if locked is None or locked.status not in allowed:
                return
            await transitions.change(
                conn, locked, act, by=PERSON, reason="asked" if act is Act.PAUSE else ""
            )
            if act is Act.CANCEL:
                await windows.release(conn, ORGANIZATION, of.id)

    async def suspend(self) -> None:
        await block(self.engine)
        if self.chance.random() < 0.7:
            await park(self.engine)

    async def reactivate(self) -> None:
        await unblock(self.engine)
        async with self.engine.begin() as conn:
            standing = await standings.lock(conn, ORGANIZATION)
            if standing is not None and standing.status is Status.ACTIVE:
                await open_gate_of(conn, standing)
        await resume(self.engine)

    async def send_again(self) -> None:
        async with self.engine.connect() as conn:
            lost = await messages.in_status(conn, ORGANIZATION, MessageStatus.LOST)
        for message in lost[:1]:
            of = next(pair for pair in self.both if pair.id == message.campaign_id)
            if (await campaign_now(self.engine, of)).status is not CANCELED:
                self.sent_again[message.id] += 1
                async with self.engine.begin() as conn:
                    await resends.in_its_campaign(conn, message, of.id)

    def some_steps(self) -> list[Callable[[], Awaitable[None]]]:
        """Some recipients that may be sent to at once, or a single message."""
        if self.chance.random() < 0.1:
            return [self.chance.choice([self.look_up, self.send_again, self.cancel])]
        often = {
            self.reserve: 12,
            self.hand_over: 20,
            self.answer: 8,
            self.call_back: 8,
            self.read: 4,
            self.go_on: 4,
        }
        rarely = {
            self.reactivate: 8,
            self.die: 2,
            self.settle_batch: 1,
            self.pause: 1,
            self.suspend: 1,
        }
        steps = often | rarely
        return self.chance.choices([*steps], [*steps.values()], k=self.chance.randint(1, 3))

    async def to_the_end(self) -> None:
        """No more faults from now on. Twilio finishes its messages, some before the campaigns end
        and some after.
        """
        self.calm = True
        await self.answer()
        for of in self.both:
            await self.settle_batch(of)
        for taken in self.taken.values():
            taken.at = len(taken.journey) - 1
        await self.look_up()
        await self._go_through()
        for taken in list(self.taken.values()):
            await self._say(taken, len(taken.journey) - 1)
        for _ in range(3):  # messages named by callbacks are looked up, and read again
            await self.read()
        await self._go_through()

    async def _go_through(self) -> None:
        await self.reactivate()
        for of in self.both:
            await self._change(of, Act.RESUME, PAUSED, PARKED)
            for _ in range(3):  # the earlier reservation, the rest, and the end
                await reserve(self.engine, of)
                await self._window(of, [], limit=MESSAGES)
                await self.answer()


@pytest.mark.parametrize("seed", seeds(3, soaking=40))
async def test_every_message_is_paid_once_if_it_went_and_not_at_all_if_it_did_not(
    engine: AsyncEngine, seed: int
) -> None:
    chance = Random(seed)
    await onboard(engine, balance=chance.choice(["10.00", "0.20"]))
    await subscribe(engine)
    play = Play(
        engine,
        chance,
        [await campaign(engine, name=name, messages=MESSAGES) for name in ("a", "b")],
    )

    for step in range(STEPS):
        await asyncio.gather(*(act() for act in play.some_steps()))
        if step % 10 == 9:
            assert await broken_claims(engine) == set(), play.lines
    await play.to_the_end()

    assert await broken_claims(engine) == set()
    ends = [(await campaign_now(engine, of)).status for of in play.both]
    poor = await balance(engine) < ONE_CENT
    assert all(end in (COMPLETED, CANCELED) or (poor and end is PARKED) for end in ends)
    for row in await rows(engine, PAID):
        over = dict(zip((of.id for of in play.both), ends, strict=True))[row.campaign_id]
        assert _adds_up(row, play, over), [
            row,
            over,
            *(line for line in play.lines if line.startswith(str(row.id))),
        ]


def _adds_up(row: Any, play: Play, end: CampaignStatus) -> bool:
    """Paid once if Twilio kept it, unpaid otherwise; kept once, unless an operator resent a message
    that was given up.
    """
    kept = [
        name for name, taken in play.taken.items() if taken.message.id == row.id and taken.costs
    ]
    once = len(kept) <= 1 + play.sent_again[row.id]
    match MessageStatus(row.status):
        case MessageStatus.ACCEPTED:
            return once and row.paid == ONE_CENT.micros and f"{row.id}.{row.attempt}" in kept
        case MessageStatus.REFUSED | MessageStatus.SKIPPED:
            return row.paid == 0 and (not kept or play.sent_again[row.id] > 0)
        case MessageStatus.PENDING:
            return row.paid == 0 and end is not COMPLETED
        case MessageStatus.LOST:
            return row.paid == 0 and not kept
        case _:
            return False
