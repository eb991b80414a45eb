"""The pricing pages of `pricing.twilio.com/v1`, from the same price list as the bill.

Source: Twilio's OpenAPI description of Pricing v1 (v2 has voice and trunking only). Prices are
strings in the account's currency; a network of a country may have a price of its own.
"""

from collections.abc import Mapping
from typing import Any

from simulators.twilio.answers import Answer, not_found, ok
from simulators.twilio.billing.pages import page_v1
from simulators.twilio.billing.rates import COUNTRIES
from simulators.twilio.billing.usage_records import dollars
from simulators.twilio.state import Account, State

_NETWORKS = {
    "US": (("Verizon", "311", "480"), ("AT&T", "310", "410"), ("T-Mobile", "310", "260")),
    "GB": (("EE", "234", "30"), ("O2", "234", "10"), ("Vodafone", "234", "15")),
    "DE": (("Telekom", "262", "01"), ("Vodafone", "262", "02"), ("O2", "262", "03")),
}
_NUMBER_TYPES = {"local": "local", "mobile": "mobile", "tollfree": "toll free"}


class Pricing:
    def __init__(self, state: State) -> None:
        self.state = state

    def answer(self, caller: Account, base: str, path: str, given: Mapping[str, str]) -> Answer:
        match path.removeprefix("/v1/").split("/"):
            case [("Messaging" | "PhoneNumbers") as kind, "Countries"]:
                listed = [_named(base, kind, iso) for iso in sorted(COUNTRIES)]
                return ok(page_v1("countries", f"{base}{path}", dict(given), listed))
            case [("Messaging" | "PhoneNumbers") as kind, "Countries", iso]:
                if iso.upper() not in COUNTRIES:
                    raise not_found(path)
                country = _named(base, kind, iso.upper())
                prices = (
                    self._messaging(iso.upper(), caller.owner)
                    if kind == "Messaging"
                    else self._numbers()
                )
                return ok({**country, **prices, "price_unit": self.state.behaviour.currency})
        raise not_found(path)

    def _messaging(self, iso: str, parent: str) -> dict[str, Any]:
        state = self.state
        segment = state.rates.segment(iso, state.behaviour, parent)
        inbound = {"local": "longcode", "shortcode": "shortcode", "toll free": "tollfree"}
        return {
            "outbound_sms_prices": [
                {
                    "carrier": carrier,
                    "mcc": mcc,
                    "mnc": mnc,
                    "prices": [_price("local", state.rates.networks.get(mcc + mnc, segment))],
                }
                for carrier, mcc, mnc in _NETWORKS.get(iso, (("Other", "000", "00"),))
            ],
            "inbound_sms_prices": [
                _price(kind, state.rates.prices[f"sms-inbound-{name}"])
                for kind, name in inbound.items()
            ],
        }

    def _numbers(self) -> dict[str, Any]:
        return {
            "phone_number_prices": [
                _price(written, self.state.rates.prices[f"phonenumbers-{kind}"])
                for kind, written in _NUMBER_TYPES.items()
            ]
        }


def _price(number_type: str, micros: int) -> dict[str, str]:
    price = dollars(micros)
    return {"number_type": number_type, "base_price": price, "current_price": price}


def _named(base: str, kind: str, iso: str) -> dict[str, Any]:
    return {
        "country": COUNTRIES[iso][0],
        "iso_country": iso,
        "url": f"{base}/v1/{kind}/Countries/{iso}",
    }
