"""Verify: `verify.twilio.com/v2/Services`, verifications and their checks.

Sources: Twilio's OpenAPI description of Verify v2 and its page of error 60200; "per successful
verification" (its page of prices): what is approved is charged. The code of a verification is in
what the control plane lists.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulators.twilio.answers import Answer, Refusal, not_found, ok
from simulators.twilio.parameters import required
from simulators.twilio.state import Account, State

PREFIX = "/v2/"
CATEGORY = "verify-voice-sms"
_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_CHANNELS = ("email", "sms", "whatsapp", "call", "sna", "auto")
_LASTS = 600
"""Seconds for which a code can be checked."""


@dataclass(slots=True, kw_only=True)
class Verification:
    sid: str
    account_sid: str
    service_sid: str
    to: str
    channel: str
    code: str
    created: float
    status: str = "pending"


class Verify:
    def __init__(self, state: State) -> None:
        self.state = state
        self.services: dict[str, tuple[str, str]] = {}
        self.verifications: dict[str, Verification] = {}

    def clear(self) -> None:
        self.services.clear()
        self.verifications.clear()

    def answer(
        self, account: Account, method: str, base: str, path: str, given: Mapping[str, str]
    ) -> Answer:
        match method, path.removeprefix(f"{PREFIX}Services").strip("/").split("/"):
            case "POST", [""]:
                return ok(self._open(account, base, given), 201)
            case "POST", [service, "Verifications"] if self._owns(account, service):
                return ok(_json(self._start(account, service, given), base), 201)
            case "GET", [service, "Verifications", sid] if self._owns(account, service):
                found = self.verifications.get(sid)
                if found is not None and found.service_sid == service:
                    return ok(_json(found, base))
            case "POST", [service, "VerificationCheck"] if self._owns(account, service):
                return ok(_json(self._check(service, path, given), base), 201)
        raise not_found(path)

    def _owns(self, account: Account, service: str) -> bool:
        return self.services.get(service, ("", ""))[0] == account.sid

    def _open(self, account: Account, base: str, given: Mapping[str, str]) -> dict[str, Any]:
        name = required(given, "FriendlyName")
        if len(name) > 32:
            raise _bad("FriendlyName")
        sid = self.state.new_sid("VA")
        self.services[sid] = (account.sid, name)
        return {
            "sid": sid,
            "account_sid": account.sid,
            "friendly_name": name,
            "code_length": 6,
            "url": f"{base}{PREFIX}Services/{sid}",
        }

    def _start(self, account: Account, service: str, given: Mapping[str, str]) -> Verification:
        to, channel = required(given, "To"), required(given, "Channel")
        if channel not in _CHANNELS:
            raise _bad("Channel")
        if channel != "email" and not _E164.fullmatch(to):
            raise _bad("To")
        verification = Verification(
            sid=self.state.new_sid("VE"),
            account_sid=account.sid,
            service_sid=service,
            to=to,
            channel=channel,
            code=f"{self.state.chance.randrange(10**6):06d}",
            created=self.state.clock.now(),
        )
        self.verifications[verification.sid] = verification
        return verification

    def _check(self, service: str, path: str, given: Mapping[str, str]) -> Verification:
        """Found by its sid or its recipient, until it is approved or has expired."""
        code = required(given, "Code")
        if not re.fullmatch(r"[0-9A-Za-z]{4,10}", code):
            raise _bad("Code")
        if not (given.get("To") or given.get("VerificationSid")):
            raise _bad("To")
        since = self.state.clock.now() - _LASTS
        for found in reversed(self.verifications.values()):
            if (
                found.service_sid == service
                and found.status == "pending"
                and found.created >= since
                and given.get("To") in (None, "", found.to)
                and given.get("VerificationSid") in (None, "", found.sid)
            ):
                if found.code == code:
                    found.status = "approved"
                    price = self.state.rates.prices[CATEGORY]
                    self.state.books.book(found.account_sid, CATEGORY, price, source=found.sid)
                return found
        raise not_found(path)


def _bad(name: str) -> Refusal:
    return Refusal(400, 60200, f"Invalid parameter: {name}")


def _json(each: Verification, base: str) -> dict[str, Any]:
    at = f"{datetime.fromtimestamp(int(each.created), UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {
        "sid": each.sid,
        "service_sid": each.service_sid,
        "account_sid": each.account_sid,
        "to": each.to,
        "channel": each.channel,
        "status": each.status,
        "valid": each.status == "approved",
        "amount": None,
        "payee": None,
        "lookup": {},
        "send_code_attempts": [],
        "sna": None,
        "date_created": at,
        "date_updated": at,
        "url": f"{base}{PREFIX}Services/{each.service_sid}/Verifications/{each.sid}",
    }
