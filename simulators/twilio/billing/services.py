"""Messaging Services of `messaging.twilio.com/v1/Services`, and the senders in their pools.

A service belongs to the account whose credentials are used: the main account does not see those of
its subaccounts here. A service with an RCS sender tries RCS first (Twilio's page "Send and receive
RCS messages"). Senders are put into a pool by the control plane; the API lists them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from simulators.twilio.answers import Answer, not_found, ok
from simulators.twilio.billing.pages import page_v1
from simulators.twilio.billing.rates import country_of
from simulators.twilio.parameters import boolean, invalid
from simulators.twilio.state import LONGEST_VALIDITY, Account, State

_FLAGS = {
    "StickySender": "sticky_sender",
    "MmsConverter": "mms_converter",
    "SmartEncoding": "smart_encoding",
    "FallbackToLongCode": "fallback_to_long_code",
    "AreaCodeGeomatch": "area_code_geomatch",
    "SynchronousValidation": "synchronous_validation",
    "UseInboundWebhookOnNumber": "use_inbound_webhook_on_number",
}
_LINKS = {
    "phone_numbers": "PhoneNumbers",
    "short_codes": "ShortCodes",
    "alpha_senders": "AlphaSenders",
    "messages": "Messages",
    "us_app_to_person": "Compliance/Usa2p",
    "us_app_to_person_usecases": "Compliance/Usa2p/Usecases",
    "channel_senders": "ChannelSenders",
    "destination_alpha_senders": "DestinationAlphaSenders",
}
_CHANNELS = {"rcs": "RCS", "whatsapp": "WhatsApp", "messenger": "Messenger"}


class Services:
    def __init__(self, state: State) -> None:
        self.state = state

    def answer(
        self, account: Account, method: str, base: str, path: str, given: Mapping[str, str]
    ) -> Answer:
        parts = path.removeprefix("/v1/Services").strip("/").split("/")
        if parts == [""] and method == "GET":
            listed = [self._json(account, sid, base) for sid in account.services]
            return ok(page_v1("services", f"{base}{path}", dict(given), listed))
        if parts[0] not in account.services:
            raise not_found(path)
        match parts:
            case [sid]:
                if method == "POST":
                    _change(account.service_settings.setdefault(sid, {}), given)
                return ok(self._json(account, sid, base))
            case [sid, kind] if method == "GET" and kind in _KEYS:
                senders = [
                    self._sender(account, sid, each, kind, base)
                    for each in account.services[sid]
                    if kind_of(each) == kind
                ]
                return ok(page_v1(_KEYS[kind], f"{base}{path}", dict(given), senders))
        raise not_found(path)

    def _json(self, account: Account, sid: str, base: str) -> dict[str, Any]:
        url, at = f"{base}/v1/Services/{sid}", _iso(account.created)
        return {
            "account_sid": account.sid,
            "area_code_geomatch": True,
            "date_created": at,
            "date_updated": at,
            "fallback_method": "POST",
            "fallback_to_long_code": True,
            "fallback_url": None,
            "friendly_name": sid,
            "inbound_method": "POST",
            "inbound_request_url": None,
            "links": {name: f"{url}/{path}" for name, path in _LINKS.items()},
            "mms_converter": True,
            "scan_message_content": "inherit",
            "sid": sid,
            "smart_encoding": self.state.behaviour.smart_encoding,
            "status_callback": None,
            "sticky_sender": True,
            "synchronous_validation": False,
            "url": url,
            "us_app_to_person_registered": False,
            "use_inbound_webhook_on_number": False,
            "usecase": "undeclared",
            "validity_period": LONGEST_VALIDITY,
            **account.service_settings.get(sid, {}),
        }

    def _sender(
        self, account: Account, service: str, sender: str, kind: str, base: str
    ) -> dict[str, Any]:
        prefix, shown, owner = _SHAPES[kind]
        digest = sha256(f"{service} {sender}".encode()).hexdigest()
        sid = prefix + digest[:32]
        channel = sender.partition(":")[0]
        return {
            "account_sid": account.sid,
            owner: service,
            "sid": sid,
            shown: sender,
            **(
                {"sender_type": _CHANNELS[channel]}
                if kind == "ChannelSenders"
                else {"capabilities": ["SMS"]}
            ),
            "country_code": country_of(sender) or "US",
            "date_created": _iso(account.created),
            "date_updated": _iso(account.created),
            "url": f"{base}/v1/Services/{service}/{kind}/{sid}",
        }


_KEYS = {
    "PhoneNumbers": "phone_numbers",
    "ShortCodes": "short_codes",
    "AlphaSenders": "alpha_senders",
    "ChannelSenders": "senders",
}
_SHAPES = {
    "PhoneNumbers": ("PN", "phone_number", "service_sid"),
    "ShortCodes": ("SC", "short_code", "service_sid"),
    "AlphaSenders": ("AI", "alpha_sender", "service_sid"),
    "ChannelSenders": ("XE", "sender", "messaging_service_sid"),
}


def kind_of(sender: str) -> str:
    if sender.partition(":")[0] in _CHANNELS and ":" in sender:
        return "ChannelSenders"
    if sender.startswith("+"):
        return "PhoneNumbers"
    return "ShortCodes" if sender.isdigit() else "AlphaSenders"


def _change(settings: dict[str, Any], given: Mapping[str, str]) -> None:
    for name, written in _FLAGS.items():
        if name in given:
            settings[written] = boolean(given, name, default=True)
    if "ValidityPeriod" in given:
        period = given["ValidityPeriod"]
        if not period.isdigit() or not 1 <= int(period) <= LONGEST_VALIDITY:
            raise invalid("ValidityPeriod", period)
        settings["validity_period"] = int(period)
    for name, written in (("FriendlyName", "friendly_name"), ("Usecase", "usecase")):
        if name in given:
            settings[written] = given[name]


def _iso(at: float) -> str:
    return f"{datetime.fromtimestamp(int(at), UTC):%Y-%m-%dT%H:%M:%SZ}"
