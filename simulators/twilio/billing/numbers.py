"""Phone numbers of an account: `IncomingPhoneNumbers`, each with its monthly rent.

Source: Twilio's OpenAPI description. A suspension keeps the numbers and their rent; the main
account can release them meanwhile. A number is bought with `PhoneNumber`; the simulator does not
choose one by `AreaCode`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulators.twilio.answers import API, Answer, Refusal, not_found, ok, page_json
from simulators.twilio.billing.billing import Billing
from simulators.twilio.billing.rates import number_kind
from simulators.twilio.billing.webhooks import SMS_FIELDS, change
from simulators.twilio.parameters import boolean, required
from simulators.twilio.state import Account, State, rfc2822

_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_FIELDS = {
    **SMS_FIELDS,
    "SmsApplicationSid": "sms_application_sid",
    "StatusCallback": "status_callback",
    "StatusCallbackMethod": "status_callback_method",
    "VoiceApplicationSid": "voice_application_sid",
    "VoiceFallbackMethod": "voice_fallback_method",
    "VoiceFallbackUrl": "voice_fallback_url",
    "VoiceMethod": "voice_method",
    "VoiceUrl": "voice_url",
}
KINDS = ("local", "mobile", "tollfree")


@dataclass(slots=True, kw_only=True)
class Number:
    sid: str
    account_sid: str
    phone_number: str
    friendly_name: str
    kind: str
    created: float
    updated: float
    sms: bool = True
    fields: dict[str, str] = field(default_factory=dict)


class Numbers:
    def __init__(self, state: State, billing: Billing) -> None:
        self.state = state
        self.billing = billing
        self.numbers: dict[str, Number] = {}

    def clear(self) -> None:
        self.numbers.clear()

    def answer(
        self, account: Account, method: str, sid: str | None, path: str, given: Mapping[str, str]
    ) -> Answer:
        if sid is None:
            if method == "POST":
                return ok(_json(self._buy(account, given)), 201)
            listed = self._list(account, given)
            return ok(page_json("incoming_phone_numbers", path, dict(given), listed, _json))
        number = self.numbers.get(sid)
        if number is None or number.account_sid != account.sid:
            raise not_found(path)
        if method == "DELETE":
            self.release(number)
            return Answer(204, b"")
        if method == "POST":
            self._update(number, given)
        return ok(_json(number))

    def buy(
        self, account: Account, phone_number: str, *, kind: str | None = None, sms: bool = True
    ) -> Number:
        """The first month's rent is charged at once."""
        if not _E164.fullmatch(phone_number):
            raise Refusal(400, 21421, f"PhoneNumber is invalid: {phone_number}")
        if any(each.phone_number == phone_number for each in self.numbers.values()):
            raise Refusal(400, 21422, f"{phone_number} is not available")
        chosen = kind or ("tollfree" if number_kind(phone_number) == "tollfree" else "local")
        if chosen not in KINDS:
            raise ValueError(f"unknown kind of number: {chosen}; known: {KINDS}")
        now = self.state.clock.now()
        number = Number(
            sid=self.state.new_sid("PN"),
            account_sid=account.sid,
            phone_number=phone_number,
            friendly_name=phone_number,
            kind=chosen,
            created=now,
            updated=now,
            sms=sms,
        )
        self.numbers[number.sid] = number
        account.senders[phone_number] = sms
        account.released.discard(phone_number)
        self.billing.start_fee(account.sid, f"phonenumbers-{chosen}", number.sid)
        return number

    def release(self, number: Number) -> None:
        """Its rent ends; what was charged for the present month is not given back."""
        self.billing.end_fee(number.sid)
        self.numbers.pop(number.sid)
        self.state.release(self.state.accounts[number.account_sid], number.phone_number)

    def _buy(self, account: Account, given: Mapping[str, str]) -> Number:
        number = self.buy(account, required(given, "PhoneNumber"))
        self._update(number, given)
        return number

    def _update(self, number: Number, given: Mapping[str, str]) -> None:
        change(number.fields, given, _FIELDS)
        number.friendly_name = given.get("FriendlyName", number.friendly_name)
        number.updated = self.state.clock.now()

    def _list(self, account: Account, given: Mapping[str, str]) -> list[Number]:
        boolean(given, "Beta", default=True)
        digits = re.sub(r"[^\d]", "", given.get("PhoneNumber", ""))
        return [
            number
            for number in reversed(self.numbers.values())
            if number.account_sid == account.sid
            and digits in number.phone_number
            and given.get("FriendlyName") in (None, number.friendly_name)
            and given.get("Origin") in (None, "", "twilio")
        ]


def _json(number: Number) -> dict[str, Any]:
    methods = {name: "POST" for name in _FIELDS.values() if name.endswith("method")}
    texts = {name: "" for name in _FIELDS.values() if not name.endswith("method")}
    uri = f"{API}/Accounts/{number.account_sid}/IncomingPhoneNumbers/{number.sid}.json"
    return {
        **texts,
        **methods,
        **number.fields,
        "account_sid": number.account_sid,
        "address_requirements": "none",
        "address_sid": None,
        "api_version": "2010-04-01",
        "beta": False,
        "bundle_sid": None,
        "capabilities": {"voice": True, "sms": number.sms, "mms": number.sms, "fax": False},
        "date_created": rfc2822(number.created),
        "date_updated": rfc2822(number.updated),
        "emergency_address_sid": None,
        "emergency_address_status": "unregistered",
        "emergency_status": "Inactive",
        "friendly_name": number.friendly_name,
        "identity_sid": None,
        "origin": "twilio",
        "phone_number": number.phone_number,
        "sid": number.sid,
        "status": "in-use",
        "trunk_sid": None,
        "type": number.kind,
        "uri": uri,
        "voice_caller_id_lookup": False,
        "voice_receive_mode": "voice",
    }
