"""Twilio's price list of SMS, by country and network.

Sources: Twilio's OpenAPI description of Pricing v1. Prices are numbers or strings, in the account's
currency; carriers' fees are not in them.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from domain.carrier.floors import NetworkPrice
from domain.money import MICROS, Money
from providers.errors import NotFound, ProviderUnavailable
from providers.twilio.adapter import Twilio
from providers.twilio.wire import answer_of

_MOST_LISTED = 1000


async def countries(twilio: Twilio) -> list[str]:
    """The ISO codes of the countries that Twilio lists."""
    listed = twilio.pricing(twilio.main_parent).messaging.countries
    page = await answer_of(lambda: listed.page_async(page_size=_MOST_LISTED))
    return sorted(str(each.iso_country or "") for each in page)


async def outbound_prices(twilio: Twilio, parent: str, country: str) -> list[NetworkPrice]:
    """What a parent account pays: the dearest price to each network, whichever kind of sender;
    empty for a country that Twilio does not list.
    """
    countries = twilio.pricing(parent).messaging.countries
    try:
        answer = await answer_of(countries(country).fetch_async)
    except NotFound:
        return []
    currency = str(answer.price_unit or "").upper()
    found: dict[str, NetworkPrice] = {}
    for listed in answer.outbound_sms_prices or ():
        price = _network_price(country, currency, listed)
        before = found.get(price.network)
        if before is None or before.price.micros < price.price.micros:
            found[price.network] = price
    return list(found.values())


def _network_price(country: str, currency: str, listed: Mapping[str, Any]) -> NetworkPrice:
    try:
        dearest = max(Decimal(str(each["current_price"])) for each in listed["prices"])
        micros = int((dearest * MICROS).to_integral_value(ROUND_CEILING))
    except (KeyError, TypeError, ValueError, InvalidOperation) as problem:
        raise ProviderUnavailable(
            f"Twilio answered prices for {country} that cannot be read", code="UNREADABLE"
        ) from problem
    return NetworkPrice(
        country=country,
        network=f"{listed.get('mcc') or ''}{listed.get('mnc') or ''}",
        carrier=str(listed.get("carrier") or ""),
        price=Money(micros, currency),
    )
