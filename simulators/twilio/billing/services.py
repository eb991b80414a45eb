"""Messaging Services of `messaging.twilio.com/v1/Services`, and the senders in their pools.

A service belongs to the account whose credentials are used: the main account does not see those of
its subaccounts here. A service with an RCS sender tries RCS first (Twilio's page "Send and receive
RCS messages"). Sources of the errors: Twilio's pages of 21421, 21710, 21712, 21714 and 21715.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from simulators.twilio.answers import Answer, Refusal, not_found, ok
from simulators.twilio.billing.numbers import Numbers
from simulators.twilio.billing.pages import page_v1
from simulators.twilio.billing.rates import country_of
from simulators.twilio.billing.registrations import Registrations
from simulators.twilio.billing.short_codes import ShortCodes
from simulators.twilio.parameters import Call, boolean, invalid, required, url
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
_URLS = {
    "InboundRequestUrl": "inbound_request_url",
    "FallbackUrl": "fallback_url",
    "StatusCallback": "status_callback",
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
_NAMED = {"PhoneNumbers": "PhoneNumberSid", "ShortCodes": "ShortCodeSid", "ChannelSenders": "Sid"}
_ALPHA = re.compile(r"(?=.*[A-Za-z +_&-])[A-Za-z0-9 +_&-]{1,11}")
_MOST = 400


class Services:
    def __init__(
        self, state: State, numbers: Numbers, short_codes: ShortCodes, registrations: Registrations
    ) -> None:
        self.state = state
        self.numbers = numbers
        self.short_codes = short_codes
        self.registrations = registrations

    def answer(
        self,
        account: Account,
        call: Call,
    ) -> Answer:
        parts = call.path.removeprefix("/v1/Services").strip("/").split("/")
        if parts == [""]:
            return self._all(account, call)
        if parts[0] not in account.services:
            raise not_found(call.path)
        match parts:
            case [sid]:
                if call.method == "DELETE":
                    del account.services[sid]
                    return Answer(204, b"")
                if call.method == "POST":
                    _change(account.service_settings.setdefault(sid, {}), call.given)
                return ok(self._json(account, sid, call.base))
            case [sid, "Compliance", "Usa2p", *rest] if len(rest) < 2:
                return self.registrations.answer(account, sid, "".join(rest), call)
            case [sid, kind, *rest] if kind in _KEYS and len(rest) < 2:
                return self._senders(account, sid, kind, "".join(rest), call)
        raise not_found(call.path)

    def _all(self, account: Account, call: Call) -> Answer:
        if call.method == "POST":
            given, settings = call.given, dict[str, Any]()
            if len(required(given, "FriendlyName")) > 64:
                raise invalid("FriendlyName", given["FriendlyName"])
            _change(settings, given)
            sid = self.state.new_sid("MG")
            account.services[sid], account.service_settings[sid] = [], settings
            return ok(self._json(account, sid, call.base), 201)
        listed = [self._json(account, sid, call.base) for sid in account.services]
        return ok(page_v1("services", f"{call.base}{call.path}", call.given, listed))

    def _senders(self, account: Account, service: str, kind: str, sid: str, call: Call) -> Answer:
        pool = account.services[service]
        shown = [
            self._sender(account, service, each, kind, call.base)
            for each in pool
            if kind_of(each) == kind
        ]
        if not sid:
            if call.method == "POST":
                added = self._add(account, service, kind, call.given)
                return ok(self._sender(account, service, added, kind, call.base), 201)
            return ok(page_v1(_KEYS[kind], f"{call.base}{call.path}", call.given, shown))
        found = next((each for each in shown if each["sid"] == sid), None)
        if found is None:
            raise not_found(call.path)
        if call.method == "DELETE":
            pool.remove(found[_SHAPES[kind][1]])
            return Answer(204, b"")
        return ok(found)

    def _add(self, account: Account, service: str, kind: str, given: Mapping[str, str]) -> str:
        pool = account.services[service]
        if kind == "AlphaSenders":
            sender = required(given, "AlphaSender")
            if not _ALPHA.fullmatch(sender):
                raise invalid("AlphaSender", sender)
        else:
            sender = self._owned(account, kind, required(given, _NAMED[kind]))
        if sender in pool:
            raise Refusal(409, 21710, f"{sender} is already in the Messaging Service")
        if kind != "AlphaSenders" and any(sender in each for each in account.services.values()):
            raise Refusal(409, 21712, f"{sender} is associated with another Messaging Service")
        if len(pool) >= _MOST:
            raise Refusal(400, 21714, "Messaging Service Number Pool size limit reached")
        pool.append(sender)
        return sender

    def _owned(self, account: Account, kind: str, sid: str) -> str:
        """The account's sender with this sid."""
        number = self.numbers.numbers.get(sid)
        if number is not None and number.account_sid == account.sid and kind == "PhoneNumbers":
            if not number.sms:
                raise Refusal(400, 21715, "The phone number can send neither SMS nor MMS")
            return number.phone_number
        code = self.short_codes.leased.get(sid)
        if code is not None and code.account_sid == account.sid and kind == "ShortCodes":
            return code.short_code
        for sender in account.senders:
            if kind_of(sender) == kind and self.sid_of(account, sender) == sid:
                return sender
        raise Refusal(400, 21421, f"{sid} is invalid")

    def sid_of(self, account: Account, sender: str) -> str:
        owned = {each.phone_number: each.sid for each in self.numbers.numbers.values()}
        owned |= {each.short_code: each.sid for each in self.short_codes.leased.values()}
        digest = sha256(f"{account.sid} {sender}".encode()).hexdigest()
        return owned.get(sender) or _SHAPES[kind_of(sender)][0] + digest[:32]

    def _json(self, account: Account, sid: str, base: str) -> dict[str, Any]:
        address, at = f"{base}/v1/Services/{sid}", _iso(account.created)
        registered = any(
            each.service_sid == sid and each.status == "VERIFIED"
            for each in self.registrations.registered.values()
        )
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
            "links": {name: f"{address}/{path}" for name, path in _LINKS.items()},
            "mms_converter": True,
            "scan_message_content": "inherit",
            "sid": sid,
            "smart_encoding": self.state.behaviour.smart_encoding,
            "status_callback": None,
            "sticky_sender": True,
            "synchronous_validation": False,
            "url": address,
            "us_app_to_person_registered": registered,
            "use_inbound_webhook_on_number": False,
            "usecase": "undeclared",
            "validity_period": LONGEST_VALIDITY,
            **account.service_settings.get(sid, {}),
        }

    def _sender(
        self, account: Account, service: str, sender: str, kind: str, base: str
    ) -> dict[str, Any]:
        _, shown, owner = _SHAPES[kind]
        sid, channel = self.sid_of(account, sender), sender.partition(":")[0]
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
    for name, written in _URLS.items():
        if name in given:
            settings[written] = url(given, name) if given[name] else None
    if {"GET"} & {given.get(name) for name in ("InboundMethod", "FallbackMethod")}:
        raise Refusal(400, 20001, "The simulator calls webhooks with POST only")
    if "ValidityPeriod" in given:
        period = given["ValidityPeriod"]
        if not period.isdigit() or not 1 <= int(period) <= LONGEST_VALIDITY:
            raise invalid("ValidityPeriod", period)
        settings["validity_period"] = int(period)
    named = {"FriendlyName": "friendly_name", "Usecase": "usecase"}
    settings.update({written: given[name] for name, written in named.items() if name in given})


def _iso(at: float) -> str:
    return f"{datetime.fromtimestamp(int(at), UTC):%Y-%m-%dT%H:%M:%SZ}"
