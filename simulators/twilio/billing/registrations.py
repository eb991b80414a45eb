"""10DLC campaigns of Messaging Services: `/v1/Services/{sid}/Compliance/Usa2p`.

Source: Twilio's OpenAPI description of Messaging v1 (parameters, their lengths, and what a campaign
looks like), support articles 1260803965530 (fees: vetting once, then monthly by use case) and
11587910480155 (the fee goes on while the account is suspended, until the campaign is deleted). A
campaign is pending until the control plane decides about it; its monthly fee begins when it is
verified. Which error a second campaign of a service gets is not documented.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulators.twilio.answers import Answer, Refusal, not_found, ok
from simulators.twilio.billing.billing import Billing
from simulators.twilio.billing.pages import page_v1
from simulators.twilio.parameters import Call, boolean, choice, invalid, required
from simulators.twilio.state import Account, State

MONTHLY = "a2p-10dlc-registrationfees-monthly"
_VETTING = "a2p-10dlc-registrationfees-campaignvetting"
_BRAND = re.compile(r"BN[0-9a-fA-F]{32}")
_LENGTHS = {"Description": (40, 4096), "MessageFlow": (40, 2048)}
_SAMPLES, _SAMPLE = (2, 5), (20, 1024)
USECASES = (
    "2FA", "ACCOUNT_NOTIFICATION", "AGENTS_FRANCHISES", "CHARITY", "PROXY", "CUSTOMER_CARE",
    "DELIVERY_NOTIFICATION", "EMERGENCY", "FRAUD_ALERT", "HIGHER_EDUCATION", "K12_EDUCATION",
    "LOW_VOLUME", "MARKETING", "MIXED", "POLITICAL", "POLLING_VOTING",
    "PUBLIC_SERVICE_ANNOUNCEMENT", "SECURITY_ALERT", "SOCIAL", "SOLE_PROPRIETOR", "SWEEPSTAKE",
)  # fmt: skip
STATUSES = ("PENDING", "IN_PROGRESS", "VERIFIED", "FAILED")
CHEAPER = {"LOW_VOLUME": 1_500_000, "SOLE_PROPRIETOR": 2_000_000}
"""A month; every other use case costs what the price list has for the category."""


@dataclass(slots=True, kw_only=True)
class Registration:
    sid: str
    account_sid: str
    service_sid: str
    created: float
    given: Mapping[str, str]
    samples: Sequence[str]
    status: str = "PENDING"


class Registrations:
    def __init__(self, state: State, billing: Billing) -> None:
        self.state = state
        self.billing = billing
        self.registered: dict[str, Registration] = {}

    def clear(self) -> None:
        self.registered.clear()

    def answer(self, account: Account, service_sid: str, sid: str, call: Call) -> Answer:
        url = f"{call.base}/v1/Services/{service_sid}/Compliance/Usa2p"
        own = [each for each in self.registered.values() if each.service_sid == service_sid]
        if not sid:
            if call.method == "POST":
                return ok(_json(self._register(account, service_sid, call), url), 201)
            return ok(page_v1("compliance", url, call.given, [_json(each, url) for each in own]))
        found = next((each for each in own if each.sid == sid), None)
        if found is None:
            raise not_found(call.path)
        if call.method == "DELETE":
            self.billing.end_fee(found.sid)
            del self.registered[found.sid]
            return Answer(204, b"")
        return ok(_json(found, url))

    def decide(self, sid: str, status: str) -> Registration:
        """What the carriers decide about it; a verified campaign costs a month at once."""
        if status not in STATUSES:
            raise ValueError(f"unknown status: {status}; known: {STATUSES}")
        registration = self.registered[sid]
        if status == "VERIFIED" != registration.status:
            price = CHEAPER.get(registration.given["UsAppToPersonUsecase"])
            self.billing.start_fee(registration.account_sid, MONTHLY, sid, price=price)
        registration.status = status
        return registration

    def _register(self, account: Account, service_sid: str, call: Call) -> Registration:
        given = call.given
        samples = _checked(given, call.lists)
        if any(each.service_sid == service_sid for each in self.registered.values()):
            raise Refusal(409, 20409, "The Messaging Service has a US A2P campaign already")
        registration = Registration(
            sid=self.state.new_sid("QE"),
            account_sid=account.sid,
            service_sid=service_sid,
            created=self.state.clock.now(),
            given=given,
            samples=samples,
        )
        self.registered[registration.sid] = registration
        price = self.state.rates.prices[_VETTING]
        self.state.books.book(account.sid, _VETTING, price, source=f"vetting:{registration.sid}")
        return registration


def _checked(given: Mapping[str, str], lists: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """The samples; refuses what is missing, too short or too long."""
    if not _BRAND.fullmatch(required(given, "BrandRegistrationSid")):
        raise invalid("BrandRegistrationSid", given["BrandRegistrationSid"])
    for name, (shortest, longest) in _LENGTHS.items():
        if not shortest <= len(required(given, name)) <= longest:
            raise invalid(name, given[name])
    for name in ("HasEmbeddedLinks", "HasEmbeddedPhone"):
        required(given, name)
        boolean(given, name, default=False)
    required(given, "UsAppToPersonUsecase")
    choice(given, "UsAppToPersonUsecase", USECASES, "")
    samples = lists.get("MessageSamples", ())
    if not _SAMPLES[0] <= len(samples) <= _SAMPLES[1]:
        raise invalid("MessageSamples", f"{len(samples)} of them")
    for sample in samples:
        if not _SAMPLE[0] <= len(sample) <= _SAMPLE[1]:
            raise invalid("MessageSamples", sample)
    return samples


def _json(each: Registration, url: str) -> dict[str, Any]:
    at = f"{datetime.fromtimestamp(int(each.created), UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {
        "sid": each.sid,
        "account_sid": each.account_sid,
        "brand_registration_sid": each.given["BrandRegistrationSid"],
        "messaging_service_sid": each.service_sid,
        "description": each.given["Description"],
        "message_samples": list(each.samples),
        "us_app_to_person_usecase": each.given["UsAppToPersonUsecase"],
        "has_embedded_links": boolean(each.given, "HasEmbeddedLinks", default=False),
        "has_embedded_phone": boolean(each.given, "HasEmbeddedPhone", default=False),
        "subscriber_opt_in": boolean(each.given, "SubscriberOptIn", default=False),
        "age_gated": boolean(each.given, "AgeGated", default=False),
        "direct_lending": boolean(each.given, "DirectLending", default=False),
        "campaign_status": each.status,
        "campaign_id": f"C{each.sid[2:9].upper()}",
        "is_externally_registered": False,
        "rate_limits": {"att": {"mps": 600, "msg_class": "A"}, "tmobile": {"brand_tier": "TOP"}},
        "message_flow": each.given["MessageFlow"],
        "opt_in_message": each.given.get("OptInMessage"),
        "opt_out_message": each.given.get("OptOutMessage"),
        "help_message": each.given.get("HelpMessage"),
        "opt_in_keywords": ["START"],
        "opt_out_keywords": ["STOP"],
        "help_keywords": ["HELP"],
        "date_created": at,
        "date_updated": at,
        "url": f"{url}/{each.sid}",
        "mock": False,
        "errors": [],
    }
