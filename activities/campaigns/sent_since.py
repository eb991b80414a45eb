"""Finds what an organization's subaccount sent since a time and the database does not know, and
books it.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.campaigns.twilio_lookup import reply_to
from db.campaigns import messages, recovered_sends, unmatched_messages
from db.campaigns.messages import Message
from db.campaigns.recovered_sends import Match
from db.campaigns.unmatched_messages import Unmatched
from db.lifecycle.organizations import Organization
from domain.campaigns.matching import Handed, match
from domain.campaigns.telephony import CLOCKS_DIFFER, SentMessage
from providers.twilio import Twilio

TOGETHER = 200
"""Messages looked up, and booked, in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """`left` are messages at Twilio that were not booked."""

    listed: int = 0
    booked: int = 0
    left: tuple[SentMessage, ...] = field(default=())


async def unknown_since(
    engine: AsyncEngine, twilio: Twilio, organization: Organization, since: datetime
) -> Recovered:
    """Messages that Twilio lists and that match none of ours, oldest first; nothing is booked yet.

    Raises `ProviderError`.
    """
    listed, unknown = 0, list[SentMessage]()
    pages = twilio.pages_since(organization.twilio_account_sid, since)
    async with aclosing(pages) as found:
        async for page in found:
            listed += len(page)
            unknown += await _unknown(engine, organization, page)
    unknown.sort(key=lambda sent: (sent.created_at or since, sent.sid))
    return Recovered(listed=listed, left=tuple(unknown))


async def book(
    engine: AsyncEngine,
    organization: Organization,
    unknown: Sequence[SentMessage],
    *,
    since: datetime,
    finally_: bool,
) -> Recovered:
    """Match messages at Twilio with ours, and book them, some at a time. `finally_`: what is left
    is named.
    """
    async with engine.connect() as conn:
        ours = await recovered_sends.candidates(conn, organization.id, unknown)
    matches, left = _match(organization, ours, unknown, since)
    for start in range(0, len(matches), TOGETHER):
        async with engine.begin() as conn:
            some = matches[start : start + TOGETHER]
            not_booked = await recovered_sends.book(conn, organization.id, some, finally_=finally_)
        left += [match.sent for match in not_booked]
    left = await _unknown(engine, organization, left)  # some were settled meanwhile
    if finally_:
        async with engine.begin() as conn:
            await unmatched_messages.note(conn, [_named(organization, sent) for sent in left])
    return Recovered(booked=len(unknown) - len(left), left=tuple(left))


async def _unknown(
    engine: AsyncEngine, organization: Organization, listed: Sequence[SentMessage]
) -> list[SentMessage]:
    """Those that match none of ours, and that no person has closed."""
    known: set[str] = set()
    for start in range(0, len(listed), TOGETHER):
        sids = [sent.sid for sent in listed[start : start + TOGETHER]]
        async with engine.connect() as conn:
            named = await messages.named_by(conn, organization.id, sids)
            known |= await unmatched_messages.closed(conn, organization.id, sids)
        known |= {each.sid for each in named if each.confirmed}
    return [sent for sent in listed if sent.sid not in known]


def _match(
    organization: Organization,
    ours: Sequence[Message],
    unknown: Sequence[SentMessage],
    since: datetime,
) -> tuple[list[Match], list[SentMessage]]:
    left = {sent.sid: sent for sent in unknown}
    by_number: dict[str, list[SentMessage]] = {}
    for sent in unknown:
        by_number.setdefault(sent.to, []).append(sent)
    masked = [sent for sent in unknown if not sent.to.lstrip("+").isdigit()]
    waiting = Counter(message.recipient for message in ours)
    matches: list[Match] = []
    for message in ours:
        handed = Handed(
            recipient=message.recipient,
            body=message.body,
            sender=message.sender or organization.sender,
            since=(message.sending_at or since) - CLOCKS_DIFFER,
        )
        possible = [*by_number.get(message.recipient, ()), *masked]
        found = match(
            handed,
            [sent for sent in possible if sent.sid in left],
            waiting=waiting[message.recipient],
        )
        if found.sent is not None:
            del left[found.sent.sid]
            waiting[message.recipient] -= 1
            reply = reply_to(message, found.sent)
            matches.append(Match(message=message, sent=found.sent, reply=reply))
    return matches, list(left.values())


def _named(organization: Organization, sent: SentMessage) -> Unmatched:
    return Unmatched(
        organization_id=organization.id,
        message_sid=sent.sid,
        problem="no message here is to this recipient with this text",
        listed=True,
        created_at=sent.created_at,
    )
