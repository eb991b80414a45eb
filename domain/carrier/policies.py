"""Policies: who pays for what Twilio charges in a category. Pure.

An organization's policies go before everybody's, and those before the defaults; among one's own the
longest prefix counts. So an exception that an operator makes for one customer always holds.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum

from domain.carrier.categories import FAILED_FEE, within

EVERYBODY = "*"
MOST_FACTOR = 1000
_PREFIX = re.compile("([a-z0-9]+(-[a-z0-9]+)*)?")


class Action(StrEnum):
    CHARGE = "charge"
    ABSORB = "absorb"
    """The company pays; the bill names it."""
    FORBID = "forbid"
    """Charged, and the organization is blocked at first sight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Charges Twilio's price times `factor`, or `unit_price_micros` (of the wallet's currency) for
    each unit of usage.
    """

    prefix: str
    action: Action
    factor: Decimal = Decimal(1)
    unit_price_micros: int | None = None

    @property
    def problem(self) -> str | None:
        """Why it cannot be set."""
        if not _PREFIX.fullmatch(self.prefix):
            return "a category is written in small letters, digits and hyphens"
        exact = 0 < self.factor < MOST_FACTOR and self.factor == round(self.factor, 6)
        if not exact:
            return f"a markup is above 0 and below {MOST_FACTOR}, with at most six decimals"
        if self.unit_price_micros is not None and self.unit_price_micros < 0:
            return "a price is 0 or above"
        priced = self.unit_price_micros is not None
        if priced + (self.factor != 1) > (self.action is not Action.ABSORB):
            return "a policy has a markup or a price for each unit, and none if it absorbs"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """`known`: somebody has named the category, or a prefix of it."""

    policy: Policy
    known: bool = True


_CHARGE = (
    "sms", "smsmessages", "mms", "usage-rcs", "rcs-messages", "usage-programmable-messaging",
    "channels", "shortcodes", "phonenumbers", "a2p", "calls", "pstnconnectivity", "pv", "voice",
    "programmablevoice", "recordings", "recordingstorage", "mediastorage", "transcriptions",
    "verify", "authy", "lookups", "lookup", "calleridlookups", "carrier-lookups", "conversations",
    "ip-messaging", "pchat", "flex", "studio", "functions", "video", "group-rooms", "pvideo",
    "trunking", "turnmegabytes", "notify", "proxy", "sync", "monitor", "taskrouter", "wireless",
    "pfax", "twilio",
)  # fmt: skip
# a message that failed was refunded in full, as its sender was promised; Twilio's fee for it
# remains, and the bill names it
DEFAULTS = (
    *(Policy(prefix=prefix, action=Action.CHARGE) for prefix in _CHARGE),
    Policy(prefix=FAILED_FEE, action=Action.ABSORB),
)
UNKNOWN = Policy(prefix="", action=Action.CHARGE)
"""Charged at cost, and alerted once."""


def choose(
    category: str, of_organization: Iterable[Policy], of_everybody: Iterable[Policy]
) -> Chosen:
    for policies in (of_organization, of_everybody, DEFAULTS):
        covering = [policy for policy in policies if within(category, policy.prefix)]
        if covering:
            policy = max(covering, key=lambda each: len(each.prefix))
            known = policy.prefix != "" or any(within(category, each.prefix) for each in DEFAULTS)
            return Chosen(policy=policy, known=known)
    return Chosen(policy=UNKNOWN, known=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What the customer owes for a cost, in the wallet's currency, and what of the cost the company
    absorbs, in Twilio's.
    """

    micros: int
    absorbed_micros: int


def due(cost_micros: int, units: Decimal, policy: Policy, rate: Decimal) -> Due:
    """`rate` is what one unit of Twilio's currency is worth in the wallet's. Fractions of a micro
    are rounded up, in favor of whoever paid Twilio.

    A cost below 0 is a credit of Twilio's to the company, which keeps it.
    """
    if cost_micros <= 0 or policy.action is Action.ABSORB:
        return Due(micros=0, absorbed_micros=cost_micros)
    if policy.unit_price_micros is not None:
        micros = _up(policy.unit_price_micros * units)
    else:
        micros = _up(cost_micros * policy.factor * rate)
    covered = min(cost_micros, _up(micros / rate))
    return Due(micros=micros, absorbed_micros=cost_micros - covered)


def _up(micros: Decimal) -> int:
    return int(micros.to_integral_value(rounding=ROUND_CEILING))
