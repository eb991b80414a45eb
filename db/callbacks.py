"""Status callbacks: ranked, so that duplicates and reorderings change nothing; what Twilio did not send is refunded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts, campaigns, messages, settlements, wallets
from db.campaigns import TOLLGATE
from db.messages import Message
from db.settlements import Reply
from domain import failure
from domain.campaign import CampaignStatus, MessageStatus, Park
from domain.telephony import DeliveryStatus, StatusCallback, rank

_OPEN = (MessageStatus.SENDING, MessageStatus.UNKNOWN, MessageStatus.ACCEPTED)
_LOCK = text(
    """
    SELECT m.organization_id, m.id, m.campaign_id, m.status, m.attempt, m.provider_sid, m.delivery_status
    FROM messages m
    JOIN (SELECT DISTINCT * FROM unnest(CAST(:organizations AS text[]), CAST(:ids AS uuid[]))
              AS t (organization_id, id)) asked USING (organization_id, id)
    ORDER BY m.organization_id, m.id FOR UPDATE OF m
    """
)
_WRITE = text(
    """
    UPDATE messages m
    SET status = 'accepted', provider_sid = t.sid, delivery_status = t.status, error_code = t.code,
        settled_at = coalesce(m.settled_at, clock_timestamp())
    FROM unnest(CAST(:organizations AS text[]), CAST(:ids AS uuid[]), CAST(:sids AS text[]), CAST(:statuses AS text[]),
                CAST(:codes AS integer[])) AS t (organization_id, id, sid, status, code)
    WHERE m.organization_id = t.organization_id AND m.id = t.id
    """
)


class Applied(StrEnum):
    CHANGED = "changed"
    GIVEN_BACK = "given back unsent and refunded"
    NOTHING_NEW = "nothing new"
    NOT_OURS = "no such message"
    TOO_LATE = "of an attempt that was settled otherwise"


@dataclass(frozen=True, slots=True)
class Told:
    """A verified callback, and whose subaccount it came from."""

    organization_id: str
    callback: StatusCallback

    @property
    def returns_money(self) -> bool:
        """Whether it needs the wallet's lock, and so a transaction of its organization's own."""
        status = self.callback.status
        return status is not None and failure.refunded(status, self.callback.error_code)


@dataclass(slots=True)
class _Standing:
    """Where a message stands, as callbacks are applied to it one by one."""

    campaign_id: UUID | None
    status: MessageStatus
    attempt_id: str
    provider_sid: str | None
    delivery_status: DeliveryStatus | None
    error_code: int | None = None

    def hear(self, callback: StatusCallback) -> Applied:
        if callback.status is None:
            return Applied.NOTHING_NEW
        if self.status not in _OPEN or not self._same_attempt(callback):
            return Applied.TOO_LATE
        if self.delivery_status is not None and rank(self.delivery_status) >= rank(callback.status):
            return Applied.NOTHING_NEW
        self.status, self.provider_sid = MessageStatus.ACCEPTED, callback.message_sid
        self.delivery_status, self.error_code = callback.status, callback.error_code
        return Applied.CHANGED

    def _same_attempt(self, callback: StatusCallback) -> bool:
        if self.provider_sid is not None:
            return self.provider_sid == callback.message_sid
        return callback.attempt_id is None or callback.attempt_id == self.attempt_id


_Key = tuple[str, UUID]


async def apply(conn: AsyncConnection, told: Sequence[Told]) -> list[Applied]:
    """Write down what callbacks that return no money tell, of any organizations, in order; an answer for each.

    Any number of times. Locks the messages; the caller commits.
    """
    keys = await _keys(conn, told)
    known = await _lock(conn, keys)
    answers = []
    changed: dict[_Key, _Standing] = {}
    for one, key in zip(told, keys, strict=True):
        applied = await _hear(conn, one, None if key is None else known.get(key))
        answers.append(applied)
        if key is not None and applied is Applied.CHANGED:
            changed[key] = known[key]
    if changed:
        await conn.execute(_WRITE, _rows(changed))
    return answers


async def give_back(conn: AsyncConnection, organization_id: str, told: Sequence[Told]) -> list[Applied]:
    """The same for callbacks of one organization that return money: what was not sent is refunded.

    What failed because the account was suspended is pending again. Locks the campaigns, the wallet, the messages.
    """
    keys = await _keys(conn, told)
    found = {key for key in keys if key is not None}
    about = await messages.in_window(conn, organization_id, [id_ for _, id_ in found])
    for campaign_id in sorted({one.campaign_id for one in about if one.campaign_id is not None}):
        await campaigns.lock(conn, organization_id, campaign_id)
    wallet = await wallets.lock(conn, organization_id)
    known = await _lock(conn, keys)
    answers = []
    ended: dict[UUID, StatusCallback] = {}
    for one, key in zip(told, keys, strict=True):
        applied = await _hear(conn, one, None if key is None else known.get(key))
        if key is not None and applied is Applied.CHANGED:
            ended[key[1]] = one.callback
            applied = Applied.GIVEN_BACK
        answers.append(applied)
    replies = [_reply(message, ended[message.id]) for message in about if message.id in ended]
    await settlements.settle_locked(conn, organization_id, wallet, replies)
    await _run_again(conn, organization_id, replies)
    return answers


async def _hear(conn: AsyncConnection, told: Told, message: _Standing | None) -> Applied:
    if message is None:
        return Applied.NOT_OURS
    sent = told.callback.status is not None and not told.returns_money
    if message.status is MessageStatus.LOST and sent:
        detail = f"message {message.attempt_id} was given up and refunded; Twilio now says {told.callback.status}"
        await alerts.raise_(conn, told.organization_id, "sent_after_refund", detail)
    return message.hear(told.callback)


def _reply(message: Message, callback: StatusCallback) -> Reply:
    assert callback.status is not None  # it says that the message failed
    sid, status, code = callback.message_sid, callback.status, callback.error_code
    return settlements.never_left(message, sid, status, code, after_acceptance=True)


async def _run_again(conn: AsyncConnection, organization_id: str, replies: Sequence[Reply]) -> None:
    """A campaign that was over is not, when messages of it are pending again."""
    for campaign_id in {one.message.campaign_id for one in replies if one.status is MessageStatus.PENDING}:
        campaign = None if campaign_id is None else await campaigns.get(conn, organization_id, campaign_id)
        if campaign is not None and campaign.status is CampaignStatus.COMPLETED:
            await campaigns.change(conn, campaign, CampaignStatus.PARKED, by=TOLLGATE, reason=Park.SUSPENDED.value)


async def _keys(conn: AsyncConnection, told: Sequence[Told]) -> list[_Key | None]:
    """Which messages they are about: by our attempt's id, or by Twilio's where that is missing."""
    keys: list[_Key | None] = []
    for one in told:
        message_id = _message_id(one.callback.attempt_id)
        if message_id is None:
            found = await messages.by_provider_sid(conn, one.organization_id, one.callback.message_sid)
            message_id = None if found is None else found.id
        keys.append(None if message_id is None else (one.organization_id, message_id))
    return keys


async def _lock(conn: AsyncConnection, keys: Sequence[_Key | None]) -> dict[_Key, _Standing]:
    named = [key for key in keys if key is not None]
    if not named:
        return {}
    asked = {"organizations": [key[0] for key in named], "ids": [key[1] for key in named]}
    return {
        (row.organization_id, row.id): _Standing(
            campaign_id=row.campaign_id,
            status=MessageStatus(row.status),
            attempt_id=f"{row.id}.{row.attempt}",
            provider_sid=row.provider_sid,
            delivery_status=None if row.delivery_status is None else DeliveryStatus(row.delivery_status),
        )
        for row in await conn.execute(_LOCK, asked)
    }


def _rows(changed: Mapping[_Key, _Standing]) -> dict[str, list[Any]]:
    return {
        "organizations": [key[0] for key in changed],
        "ids": [key[1] for key in changed],
        "sids": [message.provider_sid for message in changed.values()],
        "statuses": [message.delivery_status for message in changed.values()],
        "codes": [message.error_code for message in changed.values()],
    }


def _message_id(attempt_id: str | None) -> UUID | None:
    try:
        return UUID((attempt_id or "").partition(".")[0])
    except ValueError:
        return None
