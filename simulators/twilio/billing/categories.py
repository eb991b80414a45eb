"""The usage categories that the simulator bills, and which of them are sums of others.

The names are from the enumeration that Twilio's OpenAPI description had until it became an open
set; so a category that is not listed here can be booked, too. Which category sums which others
follows from the names ("Usage Categories" in Twilio's page of Usage Records); `totalprice` sums
everything.
"""

from dataclasses import dataclass
from functools import lru_cache

TOTAL = "totalprice"


@dataclass(frozen=True, slots=True)
class Category:
    """`parent` is the next larger sum; the total's own is empty."""

    name: str
    description: str
    parent: str = TOTAL
    unit: str = "messages"
    usage_unit: str = ""
    is_sum: bool = False


def _sum(name: str, description: str, parent: str = TOTAL, unit: str = "messages") -> Category:
    return Category(name, description, parent, unit, is_sum=True)


_LISTED = (
    Category(TOTAL, "Total Price", "", "", is_sum=True),
    _sum("sms", "SMS"),
    _sum("sms-outbound", "Outbound SMS", "sms"),
    Category(
        "sms-outbound-longcode", "Long Code Outbound SMS", "sms-outbound", "messages", "segments"
    ),
    Category(
        "sms-outbound-shortcode", "Short Code Outbound SMS", "sms-outbound", "messages", "segments"
    ),
    Category(
        "sms-outbound-tollfree", "Toll Free Outbound SMS", "sms-outbound", "messages", "segments"
    ),
    _sum("sms-inbound", "Inbound SMS", "sms"),
    Category(
        "sms-inbound-longcode", "Long Code Inbound SMS", "sms-inbound", "messages", "segments"
    ),
    Category(
        "sms-inbound-shortcode", "Short Code Inbound SMS", "sms-inbound", "messages", "segments"
    ),
    Category(
        "sms-inbound-tollfree", "Toll Free Inbound SMS", "sms-inbound", "messages", "segments"
    ),
    Category("sms-messages-carrierfees", "SMS Carrier Fees"),
    Category("failed-message-processing-fee", "Failed Message Processing Fee"),
    Category("sms-mms-penalty-fees", "Messaging Penalty Fees", unit="penalties"),
    _sum("mms", "MMS"),
    _sum("mms-outbound", "Outbound MMS", "mms"),
    Category("mms-outbound-longcode", "Long Code Outbound MMS", "mms-outbound"),
    Category("mms-outbound-shortcode", "Short Code Outbound MMS", "mms-outbound"),
    Category("mms-outbound-tollfree", "Toll Free Outbound MMS", "mms-outbound"),
    _sum("mms-inbound", "Inbound MMS", "mms"),
    Category("mms-inbound-longcode", "Long Code Inbound MMS", "mms-inbound"),
    Category("mms-inbound-shortcode", "Short Code Inbound MMS", "mms-inbound"),
    Category("mms-inbound-toll-free", "Toll Free Inbound MMS", "mms-inbound"),
    Category("mms-messages-carrierfees", "MMS Carrier Fees"),
    _sum("usage-rcs-messages", "RCS Messages"),
    Category("usage-rcs-basic-messages-outbound", "Outbound Basic RCS", "usage-rcs-messages"),
    Category("usage-rcs-single-messages-outbound", "Outbound Single RCS", "usage-rcs-messages"),
    Category("usage-rcs-messages-inbound", "Inbound RCS", "usage-rcs-messages"),
    Category("usage-rcs-messaging-carrier-fees", "RCS Carrier Fees"),
    _sum("calls", "Voice Minutes", unit="calls"),
    _sum("calls-inbound", "Inbound Voice Minutes", "calls", "calls"),
    Category("calls-inbound-local", "Inbound Local Calls", "calls-inbound", "calls", "minutes"),
    Category(
        "calls-inbound-tollfree", "Inbound Toll Free Calls", "calls-inbound", "calls", "minutes"
    ),
    Category("calls-outbound", "Outbound Voice Minutes", "calls", "calls", "minutes"),
    Category("verify-voice-sms", "Verify: Voice and SMS", unit="verifications"),
    Category("lookups", "Lookups", unit="lookups"),
    Category("recordingstorage", "Recording Storage", unit="minutes"),
    Category("mediastorage", "Media Storage", unit="gigabytes"),
    _sum("phonenumbers", "Phone Numbers", unit="numbers"),
    Category("phonenumbers-local", "Local Phone Numbers", "phonenumbers", "numbers"),
    Category("phonenumbers-mobile", "Mobile Phone Numbers", "phonenumbers", "numbers"),
    Category("phonenumbers-tollfree", "Toll Free Phone Numbers", "phonenumbers", "numbers"),
    Category("shortcodes", "Short Codes", unit="short codes"),
    _sum("a2p-registration-fees", "A2P Registration Fees", unit="fees"),
    Category(
        "a2p-10dlc-registrationfees-brandregistration",
        "A2P 10DLC Brand Registration",
        "a2p-registration-fees",
        "fees",
    ),
    Category(
        "a2p-10dlc-registrationfees-campaignvetting",
        "A2P 10DLC Campaign Vetting",
        "a2p-registration-fees",
        "fees",
    ),
    Category(
        "a2p-10dlc-registrationfees-monthly",
        "A2P 10DLC Campaign Monthly Fees",
        "a2p-registration-fees",
        "fees",
    ),
)
LISTED = {category.name: category for category in _LISTED}
SUMS = frozenset(category.name for category in _LISTED if category.is_sum)


def category(name: str) -> Category:
    return LISTED.get(name) or Category(name, name, unit="units")


@lru_cache(maxsize=2048)
def sums_of(name: str) -> tuple[str, ...]:
    """Every category that this one counts in, itself first and the total last."""
    path = [name]
    while parent := category(path[-1]).parent:
        path.append(parent)
    return tuple(path)
