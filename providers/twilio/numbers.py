"""The phone numbers of a subaccount, what they cost, and giving them up; with the parent's
credentials, also while the subaccount is suspended.

Sources: Twilio's OpenAPI descriptions `twilio_api_v2010.json` (IncomingPhoneNumber) and
`twilio_pricing_v1.json` (PhoneNumbers/Countries: `current_price` includes the account's discounts).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from domain import money
from domain.money import BadAmount, Money
from providers.errors import NotFound, ProviderUnavailable
from providers.twilio.adapter import Twilio
from providers.twilio.wire import answer_of

WEBHOOKS = (
    "sms_url",
    "sms_fallback_url",
    "sms_application_sid",
    "voice_url",
    "voice_fallback_url",
    "voice_application_sid",
)
"""What Twilio does with what a number receives."""
_MOST_LISTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """`kind` as Twilio prices it: local, mobile, national or toll free. `webhooks` are those that
    are set.
    """

    sid: str
    number: str
    kind: str
    webhooks: dict[str, str]


async def numbers(twilio: Twilio, account_sid: str) -> list[Number]:
    listed = (await twilio.as_subaccount(account_sid)).incoming_phone_numbers
    page = await answer_of(lambda: listed.page_async(page_size=_MOST_LISTED))
    found: list[Number] = []
    while True:
        found += [_number(each) for each in page]
        following = page.next_page_url
        if following is None:
            return found
        page = await answer_of(partial(listed.get_page_async, following))


async def number(twilio: Twilio, account_sid: str, number_sid: str) -> Number | None:
    """None if it was released."""
    listed = (await twilio.as_subaccount(account_sid)).incoming_phone_numbers
    try:
        return _number(await answer_of(listed(number_sid).fetch_async))
    except NotFound:
        return None


async def monthly_prices(twilio: Twilio, account_sid: str, country: str) -> dict[str, Money]:
    """By the kind of number, what the account pays a month in a country (ISO code)."""
    parent = await twilio.parent_of(account_sid)
    countries = twilio.pricing(parent).phone_numbers.countries
    answer = await answer_of(lambda: countries(country).fetch_async())
    return {
        str(price["number_type"]): _money(price.get("current_price"), answer.price_unit)
        for price in answer.phone_number_prices or ()
    }


async def remove_webhooks(twilio: Twilio, account_sid: str, number_sid: str) -> None:
    """Twilio hands over nothing that the number receives from now on."""
    number = (await twilio.as_subaccount(account_sid)).incoming_phone_numbers(number_sid)
    await answer_of(lambda: number.update_async(**dict.fromkeys(WEBHOOKS, "")))


async def release(twilio: Twilio, account_sid: str, number_sid: str) -> None:
    """Give the number up: its rent ends, and somebody else may get it. Released before is the
    same.
    """
    number = (await twilio.as_subaccount(account_sid)).incoming_phone_numbers(number_sid)
    try:
        await answer_of(number.delete_async)
    except NotFound:
        return


def _number(fetched: Any) -> Number:
    kind = (
        str(fetched.type or "local")
        .replace("tollfree", "toll free")
        .replace("toll-free", "toll free")
    )
    return Number(
        sid=fetched.sid or "",
        number=fetched.phone_number or "",
        kind=kind,
        webhooks={name: value for name in WEBHOOKS if (value := getattr(fetched, name, None))},
    )


def _money(amount: object, currency: object) -> Money:
    try:
        return Money(money.parse_micros(str(amount)), str(currency).upper())
    except BadAmount as problem:
        raise ProviderUnavailable(
            f"Twilio answered a price that cannot be read: {amount!r}", code="UNREADABLE"
        ) from problem
