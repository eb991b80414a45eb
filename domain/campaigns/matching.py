"""Finds the Twilio message that one of our unconfirmed messages is, by properties that nobody can
erase or rewrite at Twilio.

A body can be redacted, and a Messaging Service replaces characters of it and chooses the sender;
digits of a number can be masked. So a different text does not prove a different message: a message
that could be ours never counts as absent.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.campaigns import delivery_failure
from domain.campaigns.telephony import SentMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A message as it was handed over; `since` is the earliest time at which Twilio can have
    created it.
    """

    recipient: str
    body: str
    sender: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """`sent` is the message; without it, `possible` are those that could be it, none if it is
    surely not listed.
    """

    sent: SentMessage | None = None
    possible: tuple[SentMessage, ...] = ()


def match(handed: Handed, unknown: Sequence[SentMessage], *, waiting: int = 1) -> Match:
    """Find our message among the Twilio messages that match none of ours yet.

    `waiting` counts our unmatched messages to the same recipient, including this one. A failed
    message is matched only if no other could be ours: otherwise a message that was sent might be
    refunded.
    """
    possible = sorted(
        (message for message in unknown if _could_be(message, handed)),
        key=lambda message: (_created(message), message.sid),
    )
    alike = [message for message in possible if _same(message, handed)]
    if not alike:
        rewritten = [message for message in possible if _rewritten(message, handed)]
        alike = rewritten if len(rewritten) <= waiting else []
    sent = next((message for message in alike if not _failed(message)), None)
    if sent is None and all(_failed(message) for message in possible):
        sent = next(iter(alike), None)
    return Match(sent=sent) if sent is not None else Match(possible=tuple(possible))


def _could_be(sent: SentMessage, handed: Handed) -> bool:
    created = sent.created_at
    return (
        sent.outbound
        and sent.may_be_to(handed.recipient)
        and (created is None or created >= handed.since)
    )


def _same(sent: SentMessage, handed: Handed) -> bool:
    return (
        sent.to == handed.recipient and sent.body == handed.body and handed.sender in sent.senders
    )


def _rewritten(sent: SentMessage, handed: Handed) -> bool:
    return not sent.body or _letters(sent.body) == _letters(handed.body)


def _letters(body: str) -> str:
    """What smart encoding preserves of a text: its letters and digits."""
    return "".join(
        character for character in unicodedata.normalize("NFKD", body) if character.isalnum()
    )


def _failed(sent: SentMessage) -> bool:
    return sent.status is not None and delivery_failure.refunded(sent.status, sent.error_code)


def _created(sent: SentMessage) -> float:
    return sent.created_at.timestamp() if sent.created_at is not None else 0.0
