"""Translates the Twilio SDK's objects into ours; an unknown status or price is None, never a guess."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from domain import money
from domain.campaigns.telephony import Account, AccountStatus, DeliveryStatus, SentMessage
from domain.money import BadAmount, Money
from providers.errors import ProviderUnavailable

SID = re.compile("[A-Z]{2}[0-9A-Za-z]{1,62}", re.ASCII)


def account(fetched: Any) -> Account:
    try:
        status = AccountStatus(fetched.status)
    except ValueError as error:
        raise ProviderUnavailable(
            f"Twilio returned an unknown account status: {fetched.status!r}"
        ) from error
    return Account(
        sid=fetched.sid or "",
        status=status,
        auth_token=fetched.auth_token or "",
        friendly_name=fetched.friendly_name or "",
        owner_sid=fetched.owner_account_sid,
    )


def accounts(listed: Iterable[Any]) -> Iterator[Account]:
    """Those with a status that we know."""
    for fetched in listed:
        with suppress(ProviderUnavailable):
            yield account(fetched)


def message(fetched: Any) -> SentMessage:
    return SentMessage(
        sid=fetched.sid or "",
        account_sid=fetched.account_sid or "",
        to=fetched.to or "",
        body=fetched.body or "",
        status=delivery_status(fetched.status),
        error_code=number(fetched.error_code),
        price=price(fetched.price, fetched.price_unit),
        segments=number(fetched.num_segments)
        or None,  # "0" until a Messaging Service chooses its sender
        created_at=_time(fetched.date_created),
        sent_at=_time(fetched.date_sent),
        senders=tuple(
            sender
            for sender in (fetched.from_, fetched.messaging_service_sid)
            if isinstance(sender, str) and sender
        ),
        outbound=str(fetched.direction or "").startswith("outbound"),
        media=number(fetched.num_media) or 0,
    )


def _time(value: object) -> datetime | None:
    return value.astimezone(UTC) if isinstance(value, datetime) else None


def delivery_status(value: object) -> DeliveryStatus | None:
    try:
        return DeliveryStatus(str(value))
    except ValueError:
        return None


def price(value: object, unit: object) -> Money | None:
    """What Twilio charged: it writes a charge as a negative string, such as `"-0.00750"`."""
    if not isinstance(value, str) or not isinstance(unit, str):
        return None
    try:
        return Money(abs(money.parse_micros(value)), unit.upper())
    except BadAmount:
        return None


def number(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def first(params: Mapping[str, str], *names: str) -> str | None:
    return next((params[name] for name in names if params.get(name)), None)
