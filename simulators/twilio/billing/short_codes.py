"""Short codes of an account: `SMS/ShortCodes` lists, shows and changes them. They are leased and given
back in Twilio's console, here by the control plane.

Sources: Twilio's OpenAPI description of the API of 2010; support article 223134627: the lease is
charged every three or twelve months, to the card or the invoice "regardless of your Twilio
balance".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulators.twilio.answers import API, Answer, not_found, ok, page_json
from simulators.twilio.billing.billing import Billing
from simulators.twilio.billing.webhooks import SMS_FIELDS, change
from simulators.twilio.state import Account, State, rfc2822

LEASE = "shortcodes"
_CODE = re.compile(r"[0-9]{5,6}")


@dataclass(slots=True, kw_only=True)
class ShortCode:
    sid: str
    account_sid: str
    short_code: str
    created: float
    friendly_name: str
    fields: dict[str, str] = field(default_factory=dict)


class ShortCodes:
    def __init__(self, state: State, billing: Billing) -> None:
        self.state = state
        self.billing = billing
        self.leased: dict[str, ShortCode] = {}

    def clear(self) -> None:
        self.leased.clear()

    def answer(
        self, account: Account, method: str, sid: str, path: str, given: Mapping[str, str]
    ) -> Answer:
        own = [each for each in self.leased.values() if each.account_sid == account.sid]
        if not sid:
            if method != "GET":
                raise not_found(path)
            pattern = given.get("ShortCode", "").replace("*", "[0-9]")
            listed = [
                each
                for each in own
                if re.search(pattern, each.short_code)
                and given.get("FriendlyName") in (None, each.friendly_name)
            ]
            return ok(page_json("short_codes", path, dict(given), listed, _json))
        found = next((each for each in own if each.sid == sid), None)
        if found is None or method not in ("GET", "POST"):
            raise not_found(path)
        if method == "POST":
            change(found.fields, given, SMS_FIELDS)
            found.friendly_name = given.get("FriendlyName", found.friendly_name)
        return ok(_json(found))

    def lease(self, account: Account, code: str, *, months: int) -> ShortCode:
        """The first period is charged at once."""
        if not _CODE.fullmatch(code) or any(
            each.short_code == code for each in self.leased.values()
        ):
            raise ValueError(f"not a short code that can be leased: {code}")
        if months not in (3, 12):
            raise ValueError("a lease is paid for 3 or 12 months")
        leased = ShortCode(
            sid=self.state.new_sid("SC"),
            account_sid=account.sid,
            short_code=code,
            created=self.state.clock.now(),
            friendly_name=code,
        )
        self.leased[leased.sid] = leased
        account.senders[code] = True
        self.billing.start_fee(account.sid, LEASE, leased.sid, months=months)
        return leased

    def give_back(self, sid: str) -> None:
        leased = self.leased.pop(sid)
        self.billing.end_fee(sid)
        self.state.release(self.state.accounts[leased.account_sid], leased.short_code)


def _json(each: ShortCode) -> dict[str, Any]:
    at = rfc2822(each.created)
    methods = {"sms_method": "POST", "sms_fallback_method": "POST"}
    return {
        "sms_url": None,
        "sms_fallback_url": None,
        **methods,
        **each.fields,
        "account_sid": each.account_sid,
        "api_version": "2010-04-01",
        "date_created": at,
        "date_updated": at,
        "friendly_name": each.friendly_name,
        "short_code": each.short_code,
        "sid": each.sid,
        "uri": f"{API}/Accounts/{each.account_sid}/SMS/ShortCodes/{each.sid}.json",
    }
