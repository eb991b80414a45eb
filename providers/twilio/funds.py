"""A parent account's balance at Twilio, what it spent with all its subaccounts, and whether Twilio
has suspended it.

Only a parent has a balance. Sources: Twilio's OpenAPI `twilio_api_v2010.json` (Balance, Usage
Records; `IncludeSubaccounts` is true unless set).
"""

from datetime import date

from domain import money
from domain.campaigns.telephony import AccountStatus
from domain.carrier import runway
from domain.money import BadAmount, Money
from providers.errors import ProviderRefused, ProviderUnavailable
from providers.twilio.adapter import Twilio
from providers.twilio.wire import answer_of


async def balance(twilio: Twilio, parent_sid: str) -> Money:
    """Below zero if it owes."""
    answer = await answer_of(twilio.as_parent(parent_sid).balance.fetch_async)
    return _money(answer.balance, answer.currency)


async def why_suspended(twilio: Twilio, account_sid: str) -> str | None:
    """Why Twilio refuses what a subaccount and all others of its parent ask for; None: the parent is
    active. With it all its subaccounts are suspended, whatever Twilio shows for them (its page of
    error 10001).
    """
    parent = await twilio.parent_of(account_sid)
    account = await twilio.get_account(parent)
    if account.status is AccountStatus.ACTIVE:
        return None  # also with nothing left: who pays by invoice goes on
    try:
        left = await balance(twilio, parent)
    except ProviderRefused:
        left = None
    return runway.suspended(parent, account.status, left)


async def spent(twilio: Twilio, parent_sid: str, first: date, last: date) -> Money | None:
    """The total price of all usage on these days (UTC), as far as Twilio has counted it; None:
    there is none yet.
    """
    records = twilio.as_parent(parent_sid).usage.records
    page = await answer_of(
        lambda: records.page_async(category="totalprice", start_date=first, end_date=last)
    )
    record = next(iter(page), None)
    return None if record is None else _money(record.price, record.price_unit)


def _money(amount: object, currency: object) -> Money:
    try:
        return Money(money.parse_micros(str(amount)), str(currency).upper())
    except BadAmount as problem:
        raise ProviderUnavailable(
            f"Twilio answered an amount that cannot be read: {amount!r}", code="UNREADABLE"
        ) from problem
