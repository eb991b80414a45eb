"""Evidence: what a webhook may do by itself, and whether a provider's answer counts. Pure; no
clock, no I/O.

A webhook may only close. An answer may open if it is newer than what shut the gate, or if it stays
the same for longer than a provider's reads may lag behind its webhooks.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from domain.billing.events import MAY_CLOSE, BillingEvent
from domain.billing.subscription import (
    ENDED,
    PAID,
    Order,
    Provider,
    Snapshot,
    State,
    Subscription,
    Word,
    confirmed,
    order,
)
from domain.lifecycle.standing import Policy, Status, decide, opens

CLOCKS_APART = timedelta(minutes=5)
READS_LAG = timedelta(minutes=2)
"""The largest lag of a provider's reads behind its webhooks. An answer that is not newer opens only
if it is repeated after this time.
"""
SAME_SECOND = timedelta(seconds=10)
"""The same for two changes within one second: a read that shows that second lags behind it by less.
"""

SIGN_A_CHECKSUM = frozenset({Provider.PAYPAL})
"""Providers whose webhooks can be forged by anybody who saw a genuine one."""


class EventEffect(StrEnum):
    """What a webhook did before it was answered, stored as the delivery's outcome.

    UNCLEAR: it would close, but it may be outdated; query the provider.
    """

    SHUT = "the gate was shut"
    NOTED = "recorded; the gate opens only after the provider confirms it"
    OLD = "older than the recorded state; nothing changed"
    OTHER = "not the current subscription; the standing did not change"
    UNCLEAR = "its time does not show whether it is newer than the recorded state"


def event_order(snapshot: Snapshot, subscription: Subscription, now: datetime) -> Order:
    """Compare an event with the provider's own answers only: no other event, true or forged,
    outdates it.
    """
    if snapshot.as_of is not None and snapshot.as_of > now + CLOCKS_APART:
        return Order.UNCLEAR  # a future time proves nothing
    if snapshot.as_of is not None and subscription.confirmed_at is not None:
        long_before = subscription.confirmed_at - READS_LAG - CLOCKS_APART
        if snapshot.as_of < long_before:
            return Order.OLDER  # the provider was queried long after it: its answer includes it
    return order(snapshot.as_of, subscription.snapshot.as_of)


def word_of(
    subscription: Subscription, snapshot: Snapshot, policy: Policy, now: datetime
) -> Word | None:
    """What an event that counts may do by itself: suspend, or set a deadline. None: nothing.

    An event that repeats the recorded state counts if it is newer: a read in between must no longer
    open.
    """
    record = subscription.record
    if (
        snapshot.state is record.state
        and event_order(snapshot, subscription, now) is not Order.NEWER
    ):
        return None
    match snapshot.state:
        case State.SUSPENDED_NONPAYMENT | State.PAUSED:
            return Word(state=snapshot.state, as_of=snapshot.as_of)
        case State.PAST_DUE if record.state in PAID and record.debt is None:
            since = min(snapshot.as_of or now, now)
            return Word(
                state=snapshot.state, as_of=snapshot.as_of, until=since + policy.grace, since=since
            )
        case State.CANCELED | State.EXPIRED:
            return Word(state=snapshot.state, as_of=snapshot.as_of, until=record.paid_until)
    return None


def may_be_paid_for(subscription: Subscription, word: Word, policy: Policy, now: datetime) -> bool:
    """Whether it would end service at once for lack of paid time: the last payment may have arrived
    in the same moment.
    """
    over = word.until is None or word.until <= now
    served = decide(subscription.record, (), policy, now).status is Status.ACTIVE
    return word.state in ENDED and over and served and subscription.debt is None


def effect(
    event: BillingEvent, subject: Subscription | None, policy: Policy, now: datetime, *, sure: bool
) -> tuple[EventEffect, Word | None]:
    """The effect of an event on its subscription, and the word to record for it.

    A word about a subscription that is not current keeps it from taking over until its provider was
    queried. `sure`: the provider was queried, and an unclear time shuts the gate.
    """
    snapshot = event.snapshot
    if event.subscription_id is None or (snapshot is None and event.kind not in MAY_CLOSE):
        return EventEffect.NOTED, None
    if subject is None or (snapshot is None and not subject.is_current):
        return EventEffect.OTHER, None
    if snapshot is None:
        return EventEffect.NOTED if sure else EventEffect.UNCLEAR, None
    newer, word = event_order(snapshot, subject, now), word_of(subject, snapshot, policy, now)
    if newer is Order.OLDER:
        return EventEffect.OLD if subject.is_current else EventEffect.OTHER, None
    if word is None:
        return EventEffect.NOTED if subject.is_current else EventEffect.OTHER, None
    if not subject.is_current:
        return EventEffect.OTHER, word
    unclear = newer is Order.UNCLEAR or may_be_paid_for(subject, word, policy, now)
    return (EventEffect.UNCLEAR, None) if unclear and not sure else (EventEffect.SHUT, word)


def knows(answer: Snapshot, snapshot: Snapshot | None, now: datetime) -> bool:
    """Whether the provider's answer already includes what an event reported.

    It does if it says the same, is newer, or was given long after the event; or if the event has a
    future time, which proves nothing.
    """
    at = None if snapshot is None else snapshot.as_of
    newer = order(answer.as_of, at)
    if newer is Order.NEWER or (at is not None and not now - READS_LAG < at <= now + CLOCKS_APART):
        return True
    return snapshot is not None and answer.state is snapshot.state and newer is not Order.OLDER


def believe(
    subscription: Subscription, answer: Snapshot, policy: Policy, now: datetime
) -> Subscription | None:
    """The subscription after the provider's answer, if that counts. None: it may be a stale read;
    query again.

    An answer that closes counts at once. One that opens counts if it is newer, by the provider's
    own times, than what shut the gate; or if it is repeated after the longest lag of reads. An
    answer older than an earlier one counts only in the second way.
    """
    after = confirmed(subscription, answer, word=_borne_out(subscription, answer), now=now)
    shut_at = subscription.snapshot.as_of if subscription.word is None else subscription.word.as_of
    if order(answer.as_of, subscription.snapshot.as_of) is Order.OLDER:
        if decide(after.record, (), policy, now) == decide(subscription.record, (), policy, now):
            return replace(subscription, confirmed_at=now, alert=None)
        needed = READS_LAG
    elif (
        not opens(subscription.record, after.record, policy, now)
        or order(answer.as_of, shut_at) is Order.NEWER
    ):
        return after
    elif (
        subscription.word is not None and subscription.word.state in ENDED and answer.state in ENDED
    ):
        return after  # an end is final: the answer confirms the webhook and adds details
    else:
        needed = SAME_SECOND if answer.as_of is not None and answer.as_of == shut_at else READS_LAG
    if subscription.doubted_at is None or now < subscription.doubted_at + needed:
        return None
    return after


def _borne_out(subscription: Subscription, answer: Snapshot) -> Word | None:
    """What the answer may adopt from a word: that the subscription was suspended for a debt, unless
    the word may be forged.
    """
    word = subscription.word
    if (
        word is None
        or subscription.provider not in SIGN_A_CHECKSUM
        or order(answer.as_of, word.as_of) is Order.NEWER
    ):
        return word
    return replace(word, state=State.PAST_DUE)
