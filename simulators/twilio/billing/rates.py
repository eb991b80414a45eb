"""The price list of the simulator: what it charges, and what its pricing pages say.

Outbound SMS cost `segment_price` of the behaviour for each segment unless the country has a price
of its own. Prices are micros of the account's currency.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulators.twilio.state import Behaviour, SentMessage

FAILED = "failed-message-processing-fee"
FREE_FAILURES = frozenset(
    [
        *(12400, 20500, 20504, 21408, 30002, 30008, 30036, 30103),
        *(30450, 30454, 30500, 63010, 63012, 63038, 90010),
    ]
)
"""Failures for which Twilio takes no fee (its support article 27502337507483)."""
COUNTRIES = {
    "AU": ("Australia", "61"),
    "BR": ("Brazil", "55"),
    "DE": ("Germany", "49"),
    "ES": ("Spain", "34"),
    "FR": ("France", "33"),
    "GB": ("United Kingdom", "44"),
    "IN": ("India", "91"),
    "IT": ("Italy", "39"),
    "MX": ("Mexico", "52"),
    "NG": ("Nigeria", "234"),
    "NL": ("Netherlands", "31"),
    "PH": ("Philippines", "63"),
    "US": ("United States", "1"),
}
_TOLL_FREE = ("+1800", "+1833", "+1844", "+1855", "+1866", "+1877", "+1888")
_PRICES = {
    "sms-inbound-longcode": 8_300,
    "sms-inbound-shortcode": 8_300,
    "sms-inbound-tollfree": 8_300,
    "sms-messages-carrierfees": 0,
    FAILED: 1_000,
    "mms-outbound-longcode": 22_000,
    "mms-outbound-shortcode": 22_000,
    "mms-outbound-tollfree": 22_000,
    "mms-inbound-longcode": 16_500,
    "mms-inbound-shortcode": 16_500,
    "mms-inbound-toll-free": 20_000,
    "mms-messages-carrierfees": 0,
    "usage-rcs-basic-messages-outbound": 8_300,
    "usage-rcs-single-messages-outbound": 22_000,
    "calls-inbound-local": 8_500,
    "calls-inbound-tollfree": 22_000,
    "calls-outbound": 14_000,
    "verify-voice-sms": 50_000,
    "phonenumbers-local": 1_150_000,
    "phonenumbers-mobile": 1_150_000,
    "phonenumbers-tollfree": 2_150_000,
    "shortcodes": 500_000_000,
    "recordingstorage": 500,
    "a2p-10dlc-registrationfees-brandregistration": 4_000_000,
    "a2p-10dlc-registrationfees-campaignvetting": 15_000_000,
    "a2p-10dlc-registrationfees-monthly": 10_000_000,
}
"""A carrier fee of 0 is part of the message's price; above 0 it is billed apart, by segment."""


def micros(price: str) -> int:
    return int(Decimal(price) * 1_000_000)


def country_of(number: str) -> str | None:
    digits = number.removeprefix("+")
    return next((iso for iso, (_, code) in COUNTRIES.items() if digits.startswith(code)), None)


def number_kind(number: str | None) -> str:
    if number is None or not number.startswith("+"):
        return "shortcode" if number is not None and number.isdigit() else "longcode"
    return "tollfree" if number.startswith(_TOLL_FREE) else "longcode"


@dataclass(slots=True)
class Rates:
    prices: dict[str, int] = field(default_factory=lambda: dict(_PRICES))
    countries: dict[str, int] = field(default_factory=dict)
    networks: dict[str, int] = field(default_factory=dict)
    parents: dict[str, dict[str, int]] = field(default_factory=dict)

    def clear(self) -> None:
        self.prices.clear()
        self.prices.update(_PRICES)
        self.countries.clear()
        self.networks.clear()
        self.parents.clear()

    def change(self, values: dict[str, Any]) -> None:
        """`countries` sets outbound SMS prices by country, `networks` those that the price list has
        for a network (MCC and MNC), `prices` those of categories, `parents` those that a main account
        has agreed with Twilio, by country.
        """
        for iso, price in values.get("countries", {}).items():
            if iso not in COUNTRIES:
                raise ValueError(f"unknown country: {iso}; known: {sorted(COUNTRIES)}")
            self.countries[iso] = micros(str(price))
        for network, price in values.get("networks", {}).items():
            self.networks[network] = micros(str(price))
        for parent, countries in values.get("parents", {}).items():
            agreed = {iso: micros(str(price)) for iso, price in countries.items()}
            self.parents.setdefault(parent, {}).update(agreed)
        for name, price in values.get("prices", {}).items():
            self.prices[name] = micros(str(price))

    def segment(self, country: str | None, behaviour: "Behaviour", parent: str = "") -> int:
        everybodys = self.countries.get(country or "", micros(behaviour.segment_price))
        return self.parents.get(parent, {}).get(country or "", everybodys)

    def category_of(self, message: "SentMessage") -> str:
        if message.channel == "rcs":
            size = "basic" if len(message.body) <= 160 else "single"
            return f"usage-rcs-{size}-messages-outbound"
        kind = number_kind(message.to if message.direction == "inbound" else message.sender)
        if message.channel == "mms" and message.direction == "inbound" and kind == "tollfree":
            return "mms-inbound-toll-free"
        return f"{message.channel}-{message.direction.partition('-')[0]}-{kind}"

    def of_message(self, message: "SentMessage", behaviour: "Behaviour", parent: str) -> int:
        """What the message costs without a carrier fee that is billed apart."""
        if message.status == "failed":
            return 0 if message.error_code in FREE_FAILURES else self.prices[FAILED]
        category = self.category_of(message)
        if message.direction == "inbound":
            return self.prices[category] * (message.segments if message.channel == "sms" else 1)
        if message.channel == "sms":
            return self.segment(country_of(message.to), behaviour, parent) * message.segments
        return self.prices[category]
