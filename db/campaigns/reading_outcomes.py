"""What a reading decides about a message that is still open at Twilio: its status, a refund, or a
contradiction.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from db.campaigns import send_results
from db.campaigns.messages import Message
from db.campaigns.send_results import Reply
from db.campaigns.status_checks import GIVEN_UP_AFTER, Check
from domain.alerts import AlertKind
from domain.campaigns import delivery_failure
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.telephony import (
    TERMINAL,
    DeliveryStatus,
    SentMessage,
    exclude_each_other,
    rank,
)


@dataclass(frozen=True, slots=True)
class Heard:
    """A status that Twilio reports, and the one recorded before."""

    message_id: UUID
    before: DeliveryStatus | None
    status: DeliveryStatus
    code: int | None


@dataclass(slots=True)
class Decided:
    replies: list[Reply] = field(default_factory=list)
    words: list[Heard] = field(default_factory=list)
    done: list[Check] = field(default_factory=list)
    look_up: list[UUID] = field(default_factory=list)
    alerts: dict[AlertKind, str] = field(default_factory=dict)


def is_refunded(message: Message, check: Check, sent: SentMessage) -> bool:
    """A callback can name any attempt: the Twilio message of the paid attempt does not belong to an
    earlier one.
    """
    earlier = message.attempt != check.attempt and message.provider_sid != sent.sid
    return earlier or message.status in send_results.RETURNED | {MessageStatus.SKIPPED}


def of_what_is_open(
    decided: Decided, message: Message, check: Check, sent: SentMessage, now: datetime
) -> None:
    if message.status not in (MessageStatus.SENDING, MessageStatus.UNKNOWN, MessageStatus.ACCEPTED):
        decided.done.append(check)  # refused, or waiting for its next attempt
    elif message.is_taken_on_trust or message.provider_sid is None:
        decided.look_up.append(message.id)  # it is read again once its id is known
        if too_old(check, now):
            decided.done.append(check)
    elif message.provider_sid != sent.sid:
        decided.done.append(check)  # a callback named a different message than Twilio's own answer
        decided.alerts[AlertKind.CALLBACK_CONTRADICTED] = (
            f"a callback reported message {message.id} as {sent.sid}, but Twilio's id is "
            f"{message.provider_sid}: somebody else may have the subaccount's token"
        )
    elif sent.status is None:  # unknown here
        if too_old(check, now):
            decided.done.append(check)
    elif delivery_failure.refunded(sent.status, sent.error_code):
        decided.replies.append(
            send_results.never_left(
                message, sent.sid, sent.status, sent.error_code, after_acceptance=True
            )
        )
        decided.done.append(check)
    else:
        _keep(decided, message, check, sent.status, sent.error_code, now)


def _keep(
    decided: Decided,
    message: Message,
    check: Check,
    status: DeliveryStatus,
    code: int | None,
    now: datetime,
) -> None:
    """It was sent, or may still be: nothing is refunded, whatever a callback said."""
    recorded = None if message.delivery_status is None else DeliveryStatus(message.delivery_status)
    if recorded is None or status in TERMINAL or rank(status) > rank(recorded):
        decided.words.append(Heard(message.id, recorded, status, code))
    if status not in TERMINAL and not too_old(check, now):
        return
    decided.done.append(check)
    if exclude_each_other(check.reported, status):
        decided.alerts[AlertKind.CALLBACK_CONTRADICTED] = (
            f"a callback reported {check.message_sid} of message {message.id} as "
            f"{check.reported}, Twilio reports {status}: nothing was refunded; somebody else may "
            "have the subaccount's token"
        )


def too_old(check: Check, now: datetime) -> bool:
    return check.since is not None and now - check.since > GIVEN_UP_AFTER
