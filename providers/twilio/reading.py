"""Translates what the Twilio SDK hands out into our words; an unknown status or price is None,
never a guess.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from domain import money
from domain.campaigns.telephony import Account, AccountStatus, DeliveryStatus, SentMessage
from domain.money import BadAmount, Money
from providers.errors import ProviderUnavailable

SID = re.compile("[A-Z]{2}[0-9A-Za-z]{1,62}", re.ASCII)


def account(told: Any) -> Account:
    try:
        status = AccountStatus(told.status)
    except ValueError as error:
        raise ProviderUnavailable(
            f"Twilio told an account status unknown to us: {told.status!r}"
        ) from error
    return Account(
        sid=told.sid or "",
        status=status,
        auth_token=told.auth_token or "",
        friendly_name=told.friendly_name or "",
        owner_sid=told.owner_account_sid,
    )


def message(told: Any) -> SentMessage:
    return SentMessage(
        sid=told.sid or "",
        account_sid=told.account_sid or "",
        to=told.to or "",
        body=told.body or "",
        status=delivery_status(told.status),
        error_code=number(told.error_code),
        price=price(told.price, told.price_unit),
        segments=number(told.num_segments)
        or None,  # "0" until a Messaging Service has chosen its sender
        created_at=_time(told.date_created),
        sent_at=_time(told.date_sent),
        senders=tuple(
            one for one in (told.from_, told.messaging_service_sid) if isinstance(one, str) and one
        ),
        outbound=str(told.direction or "").startswith("outbound"),
    )


def _time(told: object) -> datetime | None:
    return told.astimezone(UTC) if isinstance(told, datetime) else None


def delivery_status(told: object) -> DeliveryStatus | None:
    try:
        return DeliveryStatus(str(told))
    except ValueError:
        return None


def price(told: object, unit: object) -> Money | None:
    """What Twilio charged: it writes a charge as a negative string, such as `"-0.00750"`."""
    if not isinstance(told, str) or not isinstance(unit, str):
        return None
    try:
        return Money(abs(money.parse_micros(told)), unit.upper())
    except BadAmount:
        return None


def number(told: object) -> int | None:
    text = str(told)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def first(params: Mapping[str, str], *names: str) -> str | None:
    return next((params[name] for name in names if params.get(name)), None)
