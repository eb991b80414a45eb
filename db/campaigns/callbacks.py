"""Status callbacks: ranked, so that duplicates and reordered callbacks change nothing. None of them
moves money.

Whoever has a subaccount's token can sign one, so a refund requires that the message is read at
Twilio first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.campaigns import message_events, refusals, status_checks, unmatched_messages
from db.campaigns.attempt_ids import message_of, number_of
from db.campaigns.callback_statements import BY_SID, FREE, THERE, WAITING, WRITE
from db.campaigns.refusals import Failed
from db.campaigns.status_checks import Check
from db.campaigns.unmatched_messages import Unmatched
from domain.alerts import AlertKind
from domain.campaigns import delivery_failure
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.telephony import (
    ARRIVED,
    WENT_OUT,
    DeliveryStatus,
    StatusCallback,
    exclude_each_other,
    rank,
)

_OPEN = (MessageStatus.SENDING, MessageStatus.UNKNOWN, MessageStatus.ACCEPTED)
_RETURNED = (MessageStatus.REFUSED, MessageStatus.LOST)


class Applied(StrEnum):
    CHANGED = "changed"
    TO_BE_READ = "to be read at Twilio, which alone can say how it ended"
    NOTHING_NEW = "nothing new"
    NOT_OURS = "no such message"
    TOO_LATE = "of an attempt with another result"


@dataclass(frozen=True, slots=True)
class SubaccountCallback:
    """A verified callback and the organization whose subaccount sent it."""

    organization_id: str
    callback: StatusCallback

    @property
    def asks_for_money(self) -> bool:
        """Whether its status would cause a refund if it were true."""
        status = self.callback.status
        return status is not None and delivery_failure.refunded(status, self.callback.error_code)


@dataclass(slots=True)
class _Standing:
    """The state of a message while callbacks are applied to it one after the other."""

    status: MessageStatus
    attempt: int
    provider_sid: str | None
    delivery_status: DeliveryStatus | None
    sender: str | None
    error_code: int | None = None

    def take(
        self, received: SubaccountCallback, attempt: int | None, *, sid_taken: bool
    ) -> Applied:
        callback = received.callback
        if callback.status is None:
            return Applied.NOTHING_NEW
        if self.status not in _OPEN or not self._same_attempt(callback, attempt):
            return Applied.TOO_LATE
        another_sid = (
            sid_taken if self.provider_sid is None else self.provider_sid != callback.message_sid
        )
        # one of two is forged
        in_doubt = another_sid or exclude_each_other(self.delivery_status, callback.status)
        if received.asks_for_money or in_doubt:
            return Applied.TO_BE_READ
        if self.delivery_status is not None and rank(self.delivery_status) >= rank(callback.status):
            return Applied.NOTHING_NEW
        self.status, self.provider_sid = MessageStatus.ACCEPTED, callback.message_sid
        self.delivery_status, self.error_code = callback.status, callback.error_code
        return Applied.CHANGED

    def contradicts(self, received: SubaccountCallback, attempt: int | None) -> bool:
        """Whether it reports the sending of a message that was refunded, or returned and sent
        again.
        """
        status = received.callback.status
        if status not in WENT_OUT or received.asks_for_money:
            return False
        if attempt is not None and attempt < self.attempt:
            return True
        if self.status not in (*_RETURNED, MessageStatus.PENDING, MessageStatus.SKIPPED):
            return False
        if self.provider_sid not in (None, received.callback.message_sid):
            return False
        delivery_status = self.delivery_status
        # known to be sent after its refund
        if delivery_status in WENT_OUT and delivery_status is not DeliveryStatus.UNDELIVERED:
            return rank(status) > rank(delivery_status)
        return status in (
            WENT_OUT if delivery_status is not DeliveryStatus.UNDELIVERED else ARRIVED
        )

    def never_sent(self, received: SubaccountCallback) -> bool:
        """Whether the attempt was not handed over as far as the database, perhaps restored, knows."""
        attempt = number_of(received.callback.attempt_id)
        if attempt is None:
            return False
        return attempt > self.attempt or (
            attempt == self.attempt and self.status is MessageStatus.RESERVED
        )

    def _same_attempt(self, callback: StatusCallback, attempt: int | None) -> bool:
        """The known Twilio id decides: a forged callback may name any attempt."""
        return callback.message_sid == self.provider_sid or attempt in (None, self.attempt)


@dataclass(slots=True)
class _Findings:
    """Follow-ups of callbacks besides their changes: messages to read, and alerts."""

    checks: list[Check] = field(default_factory=list)
    sent_after_refund: dict[str, str] = field(default_factory=dict)
    unmatched: dict[str, Unmatched] = field(default_factory=dict)


_Key = tuple[str, UUID]
_Sids = Mapping[tuple[str, str], UUID]


async def apply(
    conn: AsyncConnection, received: Sequence[SubaccountCallback], *, wait: bool = True
) -> list[Applied | None]:
    """Apply callbacks of any organizations, in order; returns an outcome for each. Idempotent.

    Locks the messages and nothing else. With `wait` false, rows locked elsewhere are not waited
    for: their outcome is None and nothing is changed. The caller commits.
    """
    by_sid = await _by_sid(conn, received)
    keys = [_key(item, by_sid) for item in received]
    messages = await _lock(conn, keys, wait=wait)
    before = {key: message.delivery_status for key, message in messages.items()}
    locked_elsewhere = set() if wait else await _locked_elsewhere(conn, keys, messages)
    answers: list[Applied | None] = []
    changed: dict[_Key, _Standing] = {}
    findings = _Findings()
    for item, key in zip(received, keys, strict=True):
        if key in locked_elsewhere:
            answers.append(None)
            continue
        message = None if key is None else messages.get(key)
        known = (item.organization_id, item.callback.message_sid) in by_sid
        if not known and (message is None or message.never_sent(item)):
            _note_unmatched(item, key, message, findings)
        if key is None or message is None:
            answers.append(Applied.NOT_OURS)
            continue
        applied = _take(item, key, message, by_sid, findings)
        if applied is Applied.CHANGED:
            changed[key] = message
        answers.append(applied)
    if changed:
        await conn.execute(WRITE, _rows(changed))
        now = {key: message.delivery_status for key, message in changed.items()}
        await message_events.tell(conn, before, now)
    await status_checks.add(conn, findings.checks)
    await unmatched_messages.note(conn, list(findings.unmatched.values()))
    for organization_id, detail in sorted(findings.sent_after_refund.items()):
        await alerts.raise_(conn, organization_id, AlertKind.SENT_AFTER_REFUND, detail)
    for organization_id in sorted({key[0] for key in changed}):
        failed = [
            Failed(failure.error_code, failure.sender)
            for key, failure in changed.items()
            if key[0] == organization_id
        ]
        await refusals.tell(conn, organization_id, failed)
    return answers


def _take(
    received: SubaccountCallback, key: _Key, message: _Standing, by_sid: _Sids, findings: _Findings
) -> Applied:
    callback, attempt = received.callback, number_of(received.callback.attempt_id)
    whose = by_sid.get((received.organization_id, callback.message_sid))
    applied = message.take(received, attempt, sid_taken=whose not in (None, key[1]))
    contradicts = applied is Applied.TOO_LATE and message.contradicts(received, attempt)
    if applied is Applied.TO_BE_READ or contradicts:
        findings.checks.append(
            Check(
                organization_id=received.organization_id,
                message_id=key[1],
                attempt=attempt if contradicts and attempt is not None else message.attempt,
                message_sid=callback.message_sid,
                reported=callback.status,
            )
        )
    if contradicts and message.status in _RETURNED:
        detail = (
            f"message {key[1]} was refunded; a callback reports {callback.message_sid} as "
            f"{callback.status}"
        )
        findings.sent_after_refund[received.organization_id] = detail
    return applied


def _note_unmatched(
    received: SubaccountCallback, key: _Key | None, message: _Standing | None, findings: _Findings
) -> None:
    """A callback URL with an attempt is ours, whatever the database knows."""
    attempt = number_of(received.callback.attempt_id)
    if key is None or attempt is None:
        return
    sid = received.callback.message_sid
    what = "a message that is not known here" if message is None else "an attempt never sent here"
    findings.unmatched[sid] = Unmatched(
        organization_id=received.organization_id,
        message_sid=sid,
        problem=f"a callback reports {what}: {key[1]}.{attempt}",
    )


async def _by_sid(conn: AsyncConnection, received: Sequence[SubaccountCallback]) -> _Sids:
    """The messages that already have these Twilio ids."""
    params = {
        "organizations": [item.organization_id for item in received],
        "sids": [item.callback.message_sid for item in received],
    }
    return {
        (row.organization_id, row.provider_sid): row.id
        for row in await conn.execute(BY_SID, params)
    }


def _key(received: SubaccountCallback, by_sid: _Sids) -> _Key | None:
    """The message that it concerns: by our attempt's id or, if that is missing, by Twilio's id."""
    message_id = message_of(received.callback.attempt_id)
    if message_id is None:
        message_id = by_sid.get((received.organization_id, received.callback.message_sid))
    return None if message_id is None else (received.organization_id, message_id)


async def _lock(
    conn: AsyncConnection, keys: Sequence[_Key | None], *, wait: bool
) -> dict[_Key, _Standing]:
    named = [key for key in keys if key is not None]
    if not named:
        return {}
    return {
        (row.organization_id, row.id): _Standing(
            status=MessageStatus(row.status),
            attempt=row.attempt,
            provider_sid=row.provider_sid,
            delivery_status=None
            if row.delivery_status is None
            else DeliveryStatus(row.delivery_status),
            sender=row.sender,
        )
        for row in await conn.execute(WAITING if wait else FREE, _params(named))
    }


async def _locked_elsewhere(
    conn: AsyncConnection, keys: Sequence[_Key | None], locked: Mapping[_Key, _Standing]
) -> set[_Key | None]:
    """The keys of messages that exist and are locked elsewhere."""
    missing = [key for key in keys if key is not None and key not in locked]
    if not missing:
        return set()
    return {(row.organization_id, row.id) for row in await conn.execute(THERE, _params(missing))}


def _params(keys: Sequence[_Key]) -> dict[str, list[Any]]:
    return {"organizations": [key[0] for key in keys], "ids": [key[1] for key in keys]}


def _rows(changed: Mapping[_Key, _Standing]) -> dict[str, list[Any]]:
    return _params(list(changed)) | {
        "sids": [message.provider_sid for message in changed.values()],
        "statuses": [message.delivery_status for message in changed.values()],
        "codes": [message.error_code for message in changed.values()],
    }
