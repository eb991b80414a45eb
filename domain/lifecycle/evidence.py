"""Evidence: what a webhook's word may do by itself, and whether a provider's answer counts. Pure;
no clock, no I/O.

A word may only close. An answer may open, if it is newer than what has shut the gate, or stays the
same for as long as a provider's reads may lag behind its webhooks.
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
"""So far behind its webhooks a provider may answer. What is not newer opens when it was answered
twice so far apart.
"""
SAME_SECOND = timedelta(seconds=10)
"""The same for two changes of one second: a read that shows that second lags behind it by less."""

SIGN_A_CHECKSUM = frozenset({Provider.PAYPAL})
"""Whose webhooks can be forged by whoever saw a genuine one."""


class EventEffect(StrEnum):
    """What a webhook did in its own answer. UNCLEAR: it would close, but it may be old news; ask
    the provider.

    It is stored as the delivery's outcome.
    """

    SHUT = "the gate was shut"
    NOTED = "noted; the provider is asked before anything opens"
    OLD = "older than what is known; nothing changed"
    OTHER = "not the current subscription; the standing did not change"
    UNCLEAR = "its time does not say whether it is news"


def event_order(snapshot: Snapshot, subscription: Subscription, now: datetime) -> Order:
    """Of an event against the provider's own answers alone: no other event, true or forged, makes
    it old news.
    """
    if snapshot.as_of is not None and snapshot.as_of > now + CLOCKS_APART:
        return Order.UNCLEAR  # a time that has not come yet proves nothing
    if snapshot.as_of is not None and subscription.confirmed_at is not None:
        long_before = subscription.confirmed_at - READS_LAG - CLOCKS_APART
        if snapshot.as_of < long_before:
            return (
                Order.OLDER
            )  # it came late: the provider was asked so long after it that its answer knows of it
    return order(snapshot.as_of, subscription.snapshot.as_of)


def word_of(
    subscription: Subscription, snapshot: Snapshot, policy: Policy, now: datetime
) -> Word | None:
    """What an event may do by itself if it counts: suspend, or set a deadline; None: nothing.

    One that repeats what is known counts if it is newer: what was read in between may not open any
    more.
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
    """It would end service at once for want of paid time: the last payment may have come in the
    same moment.
    """
    over = word.until is None or word.until <= now
    served = decide(subscription.record, (), policy, now).status is Status.ACTIVE
    return word.state in ENDED and over and served and subscription.debt is None


def effect(
    event: BillingEvent, subject: Subscription | None, policy: Policy, now: datetime, *, sure: bool
) -> tuple[EventEffect, Word | None]:
    """What an event does by its own word to the subscription that it is about, and the word to be
    written down for it.

    A word of another subscription than the current one keeps that from taking over before its
    provider was asked. `sure`: the provider was asked, and an unclear time shuts.
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
    """Whether the provider's answer knows of what an event told.

    It does if it says the same, is newer, or came long after the event; or if the event has a time
    to come, which proves nothing.
    """
    at = None if snapshot is None else snapshot.as_of
    newer = order(answer.as_of, at)
    if newer is Order.NEWER or (at is not None and not now - READS_LAG < at <= now + CLOCKS_APART):
        return True
    return snapshot is not None and answer.state is snapshot.state and newer is not Order.OLDER


def believe(
    subscription: Subscription, answer: Snapshot, policy: Policy, now: datetime
) -> Subscription | None:
    """The subscription as the provider's answer makes it, if that counts. None: it may be a stale
    read, so ask again.

    What closes counts at once. What opens is newer, by the provider's own times, than what has
    shut; or it is answered twice, as far apart as reads may lag. An answer older than an earlier
    one counts only in the second way.
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
        return after  # an end is final: it is the webhook's own word, with what only the provider can tell
    else:
        needed = SAME_SECOND if answer.as_of is not None and answer.as_of == shut_at else READS_LAG
    if subscription.doubted_at is None or now < subscription.doubted_at + needed:
        return None
    return after


def _borne_out(subscription: Subscription, answer: Snapshot) -> Word | None:
    """What the answer may take over from a word: that it was suspended for a debt, unless that may
    be forged.
    """
    word = subscription.word
    if (
        word is None
        or subscription.provider not in SIGN_A_CHECKSUM
        or order(answer.as_of, word.as_of) is Order.NEWER
    ):
        return word
    return replace(word, state=State.PAST_DUE)
